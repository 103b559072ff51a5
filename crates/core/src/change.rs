//! A later look at deployments, as what it saw otherwise than the look before it: when a few of hundreds move, the others are
//! not written down again.

use crate::sight::{DeploymentView, Sight, TargetView};
use crate::time::Mono;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a look saw otherwise than the look before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The target's name in the estate.
    pub target: String,
    /// When the look began …
    pub from_ns: Mono,
    /// … and when it was complete.
    pub to_ns: Mono,
    /// The deployments that look different, or are new, by name.
    pub changed: Vec<DeploymentView>,
    /// The names of those that are not there any more.
    pub gone: Vec<String>,
}

impl Change {
    /// What `after` saw otherwise than `before`; `None` where it has to be written down whole.
    pub fn between(before: &Sight, after: &Sight) -> Option<Self> {
        let (known, seen) = (by_name(before)?, by_name(after)?);
        let place =
            |views: &[Arc<DeploymentView>], name: &str| views.binary_search_by(|v| v.name.as_str().cmp(name)).ok();
        let same = |view: &Arc<DeploymentView>| {
            place(known, &view.name).is_some_and(|at| Arc::ptr_eq(&known[at], view) || known[at] == *view)
        };
        Some(Self {
            target: after.target.clone(),
            from_ns: after.from_ns,
            to_ns: after.to_ns,
            changed: seen.iter().filter(|view| !same(view)).map(|view| (**view).clone()).collect(),
            gone: known.iter().filter(|v| place(seen, &v.name).is_none()).map(|v| v.name.clone()).collect(),
        })
    }

    /// Makes the look before it into the later one.
    ///
    /// # Errors
    /// When there is nothing that could have changed so.
    pub(crate) fn onto(&self, sight: &mut Sight) -> Result<(), &'static str> {
        by_name(sight).ok_or("a change of what was not seen as deployments")?;
        let TargetView::Deployments(view) = &mut sight.view else { return Err("a change of another kind of target") };
        let views = &mut view.deployments;
        let mut places = Vec::with_capacity(self.gone.len());
        for name in &self.gone {
            let found = views.binary_search_by(|v| v.name.as_str().cmp(name));
            places.push(found.map_err(|_| "a deployment gone that was not there")?);
        }
        places.sort_unstable();
        places.dedup();
        for place in places.into_iter().rev() {
            views.remove(place);
        }
        for changed in &self.changed {
            match views.binary_search_by(|v| v.name.cmp(&changed.name)) {
                Ok(place) => views[place] = Arc::new(changed.clone()),
                Err(place) => views.insert(place, Arc::new(changed.clone())),
            }
        }
        (sight.from_ns, sight.to_ns) = (self.from_ns, self.to_ns);
        Ok(())
    }
}

/// The deployments of a look, when each name stands there once and they ascend.
fn by_name(sight: &Sight) -> Option<&[Arc<DeploymentView>]> {
    let TargetView::Deployments(view) = &sight.view else { return None };
    view.deployments.is_sorted_by(|a, b| a.name < b.name).then_some(&view.deployments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sight::{DeploymentsView, PostgresView};
    use proptest::prelude::*;

    fn sight(at: u64, of: &std::collections::BTreeMap<u8, i32>) -> Sight {
        let view = |(name, replicas): (&u8, &i32)| DeploymentView {
            name: format!("web-{name:03}"),
            uid: String::new(),
            replicas: *replicas,
            existing: *replicas,
            ready: *replicas,
            observed: true,
            drill: None,
            trouble: None,
        };
        let view = DeploymentsView { deployments: of.iter().map(view).map(Arc::new).collect() };
        Sight { target: "web".into(), from_ns: Mono(at), to_ns: Mono(at + 1), view: TargetView::Deployments(view) }
    }

    proptest! {
        /// Whatever was seen, the change from one look to the next makes the one into the other, and holds no more than moved.
        #[test]
        fn a_change_makes_the_later_look_of_the_earlier_one(
            before in proptest::collection::btree_map(0..20_u8, 0..3_i32, 0..20),
            after in proptest::collection::btree_map(0..20_u8, 0..3_i32, 0..20),
        ) {
            let (first, second) = (sight(1, &before), sight(5, &after));
            let change = Change::between(&first, &second).unwrap();
            let moved = after.iter().filter(|(name, count)| before.get(name) != Some(count)).count();
            prop_assert_eq!(change.changed.len(), moved);
            let text = serde_json::to_string(&change).unwrap();
            let mut made = first;
            serde_json::from_str::<Change>(&text).unwrap().onto(&mut made).unwrap();
            prop_assert_eq!(made, second);
        }
    }

    #[test]
    fn what_cannot_be_told_as_a_change_is_not() {
        let deployments = sight(1, &[(2, 1), (3, 1)].into());
        let mut unsorted = deployments.clone();
        let TargetView::Deployments(view) = &mut unsorted.view else { panic!("deployments were made") };
        view.deployments.reverse();
        let postgres = Sight { view: TargetView::Postgres(PostgresView::default()), ..deployments.clone() };
        for other in [&unsorted, &postgres] {
            assert_eq!(Change::between(&deployments, other), None);
            assert_eq!(Change::between(other, &deployments), None);
        }
        let change = Change::between(&deployments, &sight(2, &[(3, 1)].into())).unwrap();
        assert_eq!(change.gone, ["web-002"]);
        for mut other in [postgres, sight(1, &[(3, 1)].into())] {
            let before = other.clone();
            assert!(change.onto(&mut other).is_err());
            assert_eq!(other, before, "what is refused changes nothing");
        }
    }
}
