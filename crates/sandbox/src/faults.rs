//! Faults of the API server itself, for tests: slow, refusing, forgetful, and the answer lost *after* the effect.
//!
//! Switched through [`Faults`] in the same process, or over HTTP beside the Kubernetes paths from another one:
//! `POST /sandbox/v1/faults` with a [`Rule`], `GET` and `DELETE` there, `POST /sandbox/v1/cut-watches` with a
//! [`Selection`], `POST /sandbox/v1/compact` to forget all history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::Store;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Executed after this time, unless the client hangs up before.
    Slow {
        /// Milliseconds before the execution.
        delay_ms: u64,
    },
    /// Executed after this time, whether or not the client still waits.
    Late {
        /// Milliseconds before the execution.
        delay_ms: u64,
    },
    /// 409 without an effect.
    Conflict,
    /// 429 without an effect.
    TooManyRequests {
        /// Seconds for `Retry-After`.
        retry_after_s: u32,
    },
    /// 500 without an effect.
    ServerError,
    /// 403, and access reviews say so.
    Forbidden,
    /// The connection breaks before the effect.
    RequestLost,
    /// The effect comes, the answer does not.
    AnswerLost {
        /// Milliseconds until the connection breaks; without them it stays open until the client gives up.
        hold_ms: Option<u64>,
    },
}

/// Which requests are meant. What is left out matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Any of these verbs, as audit logs call them (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`).
    pub verbs: Vec<String>,
    /// The resource's plural name.
    pub resource: Option<String>,
    /// The subresource; the empty string means the object itself.
    pub subresource: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The object's name.
    pub name: Option<String>,
    /// A part of the user agent.
    pub user_agent: Option<String>,
}

/// A fault and the requests that it strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests.
    #[serde(default)]
    pub on: Selection,
    /// How many of them pass first.
    #[serde(default)]
    pub skip: u32,
    /// How many are struck; all when left out.
    pub times: Option<u32>,
    /// What happens to them.
    pub fault: Fault,
}

impl Rule {
    /// Strikes every selected request.
    pub fn always(on: Selection, fault: Fault) -> Self {
        Self { on, skip: 0, times: None, fault }
    }

    /// Strikes the next selected request.
    pub fn once(on: Selection, fault: Fault) -> Self {
        Self { on, skip: 0, times: Some(1), fault }
    }
}

/// A request as faults see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) verb: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) user_agent: String,
}

impl Selection {
    /// Requests of one verb on one resource.
    pub fn of(verb: &str, resource: &str) -> Self {
        Self { verbs: vec![verb.to_owned()], resource: Some(resource.to_owned()), ..Self::default() }
    }

    /// Narrows it to objects of this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    fn matches(&self, request: &Request) -> bool {
        let is = |wanted: &Option<String>, told: &str| wanted.as_deref().is_none_or(|wanted| wanted == told);
        (self.verbs.is_empty() || self.verbs.contains(&request.verb))
            && is(&self.resource, &request.resource)
            && is(&self.subresource, &request.subresource)
            && is(&self.namespace, &request.namespace)
            && is(&self.name, &request.name)
            && self.user_agent.as_deref().is_none_or(|part| request.user_agent.contains(part))
    }
}

/// A rule in force.
#[derive(Debug)]
struct Standing {
    id: u64,
    rule: Rule,
    seen: u32,
    struck: u32,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    standing: Vec<Standing>,
    watches: Vec<(Request, Weak<CancellationToken>)>,
}

/// The switches.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a rule; the answer names it.
    pub fn add(&self, rule: Rule) -> u64 {
        let mut state = self.lock();
        state.last_id += 1;
        let id = state.last_id;
        state.standing.push(Standing { id, rule, seen: 0, struck: 0 });
        id
    }

    /// Takes one rule back. Returns how many requests it has struck.
    pub fn remove(&self, id: u64) -> Option<u32> {
        let mut state = self.lock();
        let place = state.standing.iter().position(|standing| standing.id == id)?;
        Some(state.standing.remove(place).struck)
    }

    /// Takes all rules back.
    pub fn clear(&self) {
        self.lock().standing.clear();
    }

    /// How many requests a rule has struck.
    pub fn struck(&self, id: u64) -> u32 {
        self.lock().standing.iter().find(|standing| standing.id == id).map_or(0, |standing| standing.struck)
    }

    /// Breaks the connections of the open watches that are meant. Returns how many there were.
    pub fn cut_watches(&self, on: &Selection) -> usize {
        let mut state = self.lock();
        let (cut, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.watches).into_iter().partition(|(request, _)| on.matches(request));
        state.watches = kept;
        let open: Vec<_> = cut.iter().filter_map(|(_, token)| token.upgrade()).collect();
        for token in &open {
            token.cancel();
        }
        open.len()
    }

    /// The fault that a request meets; the first rule that applies counts.
    pub(crate) fn strike(&self, request: &Request) -> Option<Fault> {
        let mut state = self.lock();
        for standing in state.standing.iter_mut().filter(|standing| standing.rule.on.matches(request)) {
            standing.seen += 1;
            if standing.seen <= standing.rule.skip || standing.rule.times.is_some_and(|times| standing.struck >= times)
            {
                continue;
            }
            standing.struck += 1;
            return Some(standing.rule.fault.clone());
        }
        None
    }

    /// Whether such a request would be forbidden, without striking it.
    pub(crate) fn forbids(&self, request: &Request) -> bool {
        self.lock().standing.iter().any(|standing| {
            standing.rule.fault == Fault::Forbidden
                && standing.rule.times.is_none_or(|times| standing.struck < times)
                && standing.rule.on.matches(request)
        })
    }

    /// Remembers a watch as long as the token is held, so that it can be cut.
    pub(crate) fn watch_begins(&self, request: Request) -> Arc<CancellationToken> {
        let mut state = self.lock();
        state.watches.retain(|(_, token)| token.strong_count() > 0);
        let token = Arc::new(CancellationToken::new());
        state.watches.push((request, Arc::downgrade(&token)));
        token
    }

    fn shown(&self) -> Value {
        let shown = |standing: &Standing| json!({"id": standing.id, "rule": standing.rule, "seen": standing.seen, "struck": standing.struck});
        self.lock().standing.iter().map(shown).collect()
    }
}

/// An answer of the control paths.
pub(crate) struct Controlled {
    pub(crate) code: u16,
    pub(crate) body: Vec<u8>,
}

/// Serves the control paths; `None` when the path is not one of them.
pub(crate) fn control(faults: &Faults, store: &Store, method: &str, path: &str, body: &[u8]) -> Option<Controlled> {
    let path = path.strip_prefix("/sandbox/v1/")?;
    let answer = |code: u16, value: &Value| Controlled { code, body: value.to_string().into_bytes() };
    let read = |error: serde_json::Error| answer(400, &json!({"error": error.to_string()}));
    let id = path.strip_prefix("faults/").and_then(|id| id.parse().ok());
    let answered = match (method, path) {
        ("GET", "faults") => answer(200, &faults.shown()),
        ("POST", "faults") => match serde_json::from_slice(body) {
            Ok(rule) => answer(201, &json!({"id": faults.add(rule)})),
            Err(error) => read(error),
        },
        ("DELETE", "faults") => {
            faults.clear();
            answer(200, &json!({}))
        }
        ("DELETE", _) if id.is_some() => match id.and_then(|id| faults.remove(id)) {
            Some(struck) => answer(200, &json!({"struck": struck})),
            None => answer(404, &json!({"error": "no such rule"})),
        },
        ("POST", "cut-watches") => match serde_json::from_slice::<Selection>(body) {
            Ok(on) => answer(200, &json!({"cut": faults.cut_watches(&on)})),
            Err(error) => read(error),
        },
        ("POST", "compact") => {
            store.compact();
            answer(200, &json!({}))
        }
        _ => answer(404, &json!({"error": "expected faults, faults/ID, cut-watches or compact"})),
    };
    Some(answered)
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, Request, Rule, Selection};

    fn patch_of(name: &str) -> Request {
        Request {
            verb: "patch".to_owned(),
            resource: "deployments".to_owned(),
            subresource: String::new(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            user_agent: "firedrill/0.1".to_owned(),
        }
    }

    #[test]
    fn a_rule_passes_some_strikes_some_and_is_then_spent() {
        let faults = Faults::default();
        let on = Selection::of("patch", "deployments").named("web");
        let id = faults.add(Rule { on, skip: 1, times: Some(2), fault: Fault::Conflict });
        let struck: Vec<bool> = (0..4).map(|_| faults.strike(&patch_of("web")).is_some()).collect();
        assert_eq!(struck, [false, true, true, false]);
        assert_eq!(faults.strike(&patch_of("api")), None);
        assert_eq!(faults.remove(id), Some(2));
    }

    #[test]
    fn reviews_ask_without_spending() {
        let faults = Faults::default();
        faults.add(Rule::once(Selection::of("patch", "deployments"), Fault::Forbidden));
        assert!(faults.forbids(&patch_of("web")) && faults.forbids(&patch_of("web")));
        assert_eq!(faults.strike(&patch_of("web")), Some(Fault::Forbidden));
        assert!(!faults.forbids(&patch_of("web")));
    }

    #[test]
    fn rules_are_read_from_json_and_misspellings_are_refused() {
        let rule: Rule = serde_json::from_str(
            r#"{"on": {"verbs": ["patch"], "name": "web"}, "times": 1, "fault": {"answer_lost": {"hold_ms": null}}}"#,
        )
        .expect("a rule");
        assert_eq!(rule.fault, Fault::AnswerLost { hold_ms: None });
        assert!(serde_json::from_str::<Rule>(r#"{"on": {"verb": "patch"}, "fault": "conflict"}"#).is_err());
    }
}
