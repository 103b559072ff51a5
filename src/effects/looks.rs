//! Looks at many Deployments at once: those that wait together are answered by one list of their namespace instead of a
//! request each. A list begins after everything that it answers was asked, so what it shows is never older than the
//! question.

use super::Trouble;
use super::pace::Pace;
use crate::targets::cluster::{DEAD_MAN_ANNOTATION, DRILL_ANNOTATION, PAGE, is_not_found};
use crate::targets::deployments::wanted_replicas;
use firedrill_core::effect::Version;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How many are asked for one by one; more are listed.
const ONE_BY_ONE: usize = 16;
/// How long questions are gathered: until none came for so long, and at most ten times that.
const GATHER: Duration = Duration::from_millis(2);
/// From the beginning of one list to that of the next, at least: the API server has others to serve. A list that takes long
/// is made less often.
const LISTS_EVERY: Duration = Duration::from_millis(120);
/// How much of the time is spent on lists, at most.
const LISTS_SHARE: u32 = 3;

/// What a look needs of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) uid: Option<String>,
    pub(super) version: Version,
    pub(super) replicas: i32,
    /// Whose mark it carries.
    pub(super) drill: Option<String>,
    /// Of which drill a dead man put it back.
    pub(super) dead_man: Option<String>,
}

impl Seen {
    pub(super) fn of(found: &Deployment) -> Self {
        let mark = |key: &str| found.metadata.annotations.as_ref().and_then(|a| a.get(key)).cloned();
        Self {
            uid: found.metadata.uid.clone(),
            version: Version(found.metadata.resource_version.clone().unwrap_or_default()),
            replicas: wanted_replicas(found),
            drill: mark(DRILL_ANNOTATION),
            dead_man: mark(DEAD_MAN_ANNOTATION),
        }
    }
}

/// What a look came to: the Deployment, nothing where there is none, or why it could not be seen.
pub(super) type Answer = Result<Option<Seen>, String>;

#[derive(Debug)]
struct Question {
    name: String,
    answer: oneshot::Sender<Answer>,
}

/// The questions that wait, by namespace. A namespace that is in it has somebody who answers them.
#[derive(Debug, Default)]
pub(super) struct Looks {
    waiting: Mutex<BTreeMap<String, Vec<Question>>>,
}

impl Looks {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Question>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at one Deployment, together with whoever else asks now.
    pub(super) async fn look(
        self: &Arc<Self>,
        pace: &Arc<Pace>,
        api: Api<Deployment>,
        namespace: &str,
        name: &str,
    ) -> Answer {
        let (answer, answered) = oneshot::channel();
        let question = Question { name: name.to_owned(), answer };
        let first = {
            let mut waiting = self.waiting();
            let first = !waiting.contains_key(namespace);
            waiting.entry(namespace.to_owned()).or_default().push(question);
            first
        };
        if first {
            // A task of its own: whoever asked first may be cancelled, and the others still want to know.
            tokio::spawn(answer_all(Arc::clone(self), Arc::clone(pace), api, namespace.to_owned()));
        }
        answered.await.unwrap_or_else(|_| Err("nobody answered".to_owned()))
    }

    /// How many questions of a namespace wait.
    fn count(&self, namespace: &str) -> usize {
        self.waiting().get(namespace).map_or(0, Vec::len)
    }

    /// Waits while questions come in: those of one wave are asked within a few milliseconds, and are answered together.
    async fn gather(&self, namespace: &str) {
        let mut known = 0;
        for _ in 0..10 {
            tokio::time::sleep(GATHER).await;
            match self.count(namespace) {
                count if count == known => return,
                count => known = count,
            }
        }
    }

    /// The questions of a namespace so far; nothing, and nobody answers any more, when there are none.
    fn take(&self, namespace: &str) -> Option<Vec<Question>> {
        let mut waiting = self.waiting();
        let questions = waiting.get_mut(namespace).map(std::mem::take).filter(|q| !q.is_empty());
        if questions.is_none() {
            waiting.remove(namespace);
        }
        questions
    }
}

async fn answer_all(looks: Arc<Looks>, pace: Arc<Pace>, api: Api<Deployment>, namespace: String) {
    looks.gather(&namespace).await;
    while let Some(questions) = looks.take(&namespace) {
        if questions.len() <= ONE_BY_ONE {
            let (pace, api) = (&pace, &api);
            let each = questions.into_iter().map(|question| async move {
                let found = one(pace, api, &question.name).await;
                // Whoever asked may be gone.
                let _ = question.answer.send(found);
            });
            futures_util::future::join_all(each).await;
            continue;
        }
        let began = tokio::time::Instant::now();
        let names = questions.iter().map(|q| q.name.as_str()).collect();
        let found = listed(&pace, &api, &names).await;
        for Question { name, answer } in questions {
            let _ = answer.send(found.as_ref().map(|all| all.get(&name).cloned()).map_err(Clone::clone));
        }
        tokio::time::sleep_until(began + LISTS_EVERY.max(began.elapsed() * LISTS_SHARE)).await;
    }
}

async fn one(pace: &Pace, api: &Api<Deployment>, name: &str) -> Answer {
    match pace.send(|| api.get(name)).await {
        Ok(found) => Ok(Some(Seen::of(&found))),
        Err(Trouble::Api(e)) if is_not_found(&e) => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

/// Those of the names that are there. All pages of a list show one moment, that of the first.
async fn listed(pace: &Pace, api: &Api<Deployment>, names: &BTreeSet<&str>) -> Result<BTreeMap<String, Seen>, String> {
    let mut found = BTreeMap::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let some = pace.send(|| api.list(&params)).await.map_err(|e| e.to_string())?;
        let wanted = some.items.iter().filter_map(|d| Some((d.metadata.name.as_deref()?, d)));
        found.extend(wanted.filter(|(name, _)| names.contains(name)).map(|(name, d)| (name.to_owned(), Seen::of(d))));
        match some.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}
