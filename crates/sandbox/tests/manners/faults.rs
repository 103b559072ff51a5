//! The API server's own faults: each does what it says, to whom it says, as often as it says.

use std::time::{Duration, Instant};

use firedrill_sandbox::faults::{Fault, Rule, Selection};
use futures_util::TryStreamExt;
use hyper::http::Request;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Error, ResourceExt};
use serde_json::{Value, json};

use crate::bench::{PATIENCE, Stand, in_time};

async fn stand(name: &str) -> Stand {
    let stand = Stand::new(name).await;
    stand.make::<ConfigMap>(json!({"metadata": {"name": "one"}, "data": {"key": "before"}})).await;
    stand
}

async fn patch(stand: &Stand, value: &str) -> Result<ConfigMap, Error> {
    let change = Patch::Merge(json!({"data": {"key": value}}));
    stand.api::<ConfigMap>().patch("one", &PatchParams::default(), &change).await
}

/// What is really there, past the socket.
fn value(stand: &Stand) -> String {
    let key = firedrill_sandbox::api::Key::new(firedrill_sandbox::api::Kind::ConfigMap, "default", "one");
    stand.cluster.store().get(&key).expect("there")["data"]["key"].as_str().expect("text").to_owned()
}

fn patches() -> Selection {
    Selection::of("patch", "configmaps")
}

#[tokio::test]
async fn refusals_come_as_often_as_set_and_have_no_effect() {
    let stand = stand("fault-refuse").await;
    for (fault, code, reason) in [
        (Fault::Conflict, 409, "Conflict"),
        (Fault::TooManyRequests { retry_after_s: 7 }, 429, "TooManyRequests"),
        (Fault::ServerError, 500, "InternalError"),
        (Fault::Forbidden, 403, "Forbidden"),
    ] {
        let rule = stand.cluster.faults().add(Rule { on: patches().named("one"), skip: 0, times: Some(2), fault });
        for _ in 0..2 {
            match patch(&stand, "after").await {
                Err(Error::Api(status)) => assert_eq!((status.code, status.reason.as_str()), (code, reason)),
                other => panic!("expected {code}, got {other:?}"),
            }
        }
        assert_eq!(value(&stand), "before");
        assert_eq!(stand.cluster.faults().remove(rule), Some(2));
    }
    patch(&stand, "after").await.expect("well again");
    assert_eq!(value(&stand), "after");
    stand.leave().await;
}

#[tokio::test]
async fn a_refusal_for_now_says_when_to_come_again() {
    let stand = stand("fault-429").await;
    stand
        .cluster
        .faults()
        .add(Rule::once(Selection::of("get", "configmaps"), Fault::TooManyRequests { retry_after_s: 7 }));
    let request = Request::get("/api/v1/namespaces/default/configmaps/one").body(Vec::<u8>::new()).expect("a request");
    let answer = stand.client.send(request.map(kube::client::Body::from)).await.expect("an answer");
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
    stand.leave().await;
}

#[tokio::test]
async fn a_slow_answer_comes_late_but_comes() {
    let stand = stand("fault-slow").await;
    stand.cluster.faults().add(Rule::once(patches(), Fault::Slow { delay_ms: 150 }));
    let begun = Instant::now();
    patch(&stand, "after").await.expect("patched");
    assert!(begun.elapsed() >= Duration::from_millis(150));
    stand.leave().await;
}

#[tokio::test]
async fn a_lost_answer_has_had_its_effect() {
    let stand = stand("fault-answer").await;
    stand.cluster.faults().add(Rule::once(patches(), Fault::AnswerLost { hold_ms: None }));
    let waited = tokio::time::timeout(Duration::from_millis(200), patch(&stand, "after")).await;
    assert!(waited.is_err(), "no answer: {waited:?}");
    assert_eq!(value(&stand), "after");
    stand.cluster.faults().add(Rule::once(patches(), Fault::AnswerLost { hold_ms: Some(10) }));
    let broken = tokio::time::timeout(PATIENCE, patch(&stand, "later")).await.expect("the connection breaks");
    assert!(!matches!(broken, Ok(_) | Err(Error::Api(_))), "{broken:?}");
    assert_eq!(value(&stand), "later");
    stand.leave().await;
}

#[tokio::test]
async fn a_lost_request_has_had_none() {
    let stand = stand("fault-request").await;
    stand.cluster.faults().add(Rule::once(patches(), Fault::RequestLost));
    let broken = tokio::time::timeout(PATIENCE, patch(&stand, "after")).await.expect("the connection breaks");
    assert!(!matches!(broken, Ok(_) | Err(Error::Api(_))), "{broken:?}");
    assert_eq!(value(&stand), "before");
    stand.leave().await;
}

#[tokio::test]
async fn a_late_request_lands_after_its_sender_gave_up() {
    let stand = stand("fault-late").await;
    stand.cluster.faults().add(Rule::once(patches(), Fault::Late { delay_ms: 300 }));
    let waited = tokio::time::timeout(Duration::from_millis(50), patch(&stand, "after")).await;
    assert!(waited.is_err());
    assert_eq!(value(&stand), "before");
    in_time("the effect comes", || value(&stand) == "after").await;
    stand.leave().await;
}

#[tokio::test]
async fn what_is_forbidden_is_known_beforehand() {
    let stand = stand("fault-forbid").await;
    let reviews: Api<SelfSubjectAccessReview> = Api::all(stand.client.clone());
    let review =
        json!({"spec": {"resourceAttributes": {"verb": "patch", "resource": "configmaps", "namespace": "default"}}});
    let review = serde_json::from_value(review).expect("a review");
    let allowed = async || {
        let answered = reviews.create(&PostParams::default(), &review).await.expect("an answer");
        answered.status.expect("a status").allowed
    };
    assert!(allowed().await);
    stand.cluster.faults().add(Rule::always(patches(), Fault::Forbidden));
    assert!(!allowed().await);
    stand.cluster.faults().clear();
    assert!(allowed().await);
    stand.leave().await;
}

#[tokio::test]
async fn cut_watches_are_taken_up_again_without_a_gap() {
    let stand = stand("fault-cut").await;
    let watched = watcher(stand.api::<ConfigMap>(), watcher::Config::default()).default_backoff();
    let mut objects = Box::pin(watched.applied_objects());
    // A broken stream is an item of its own; what follows is what counts.
    let mut next = async || loop {
        match tokio::time::timeout(PATIENCE, objects.try_next()).await.expect("in time") {
            Ok(Some(object)) => return object.data.unwrap_or_default()["key"].clone(),
            Ok(None) => panic!("the watcher ended"),
            Err(_) => {}
        }
    };
    assert_eq!(next().await, "before");
    patch(&stand, "first").await.expect("patched");
    assert_eq!(next().await, "first");
    assert_eq!(stand.cluster.faults().cut_watches(&Selection::of("watch", "deployments")), 0);
    assert_eq!(stand.cluster.faults().cut_watches(&Selection::of("watch", "configmaps")), 1);
    patch(&stand, "second").await.expect("patched");
    assert_eq!(next().await, "second");
    stand.leave().await;
}

#[tokio::test]
async fn a_watcher_survives_the_loss_of_all_history() {
    let stand = stand("fault-compact").await;
    let watched = watcher(stand.api::<ConfigMap>(), watcher::Config::default()).default_backoff();
    let mut objects = Box::pin(watched.applied_objects());
    let mut seen = Vec::new();
    let first = tokio::time::timeout(PATIENCE, objects.try_next()).await.expect("in time").expect("well");
    seen.push(first.expect("an object").resource_version());
    stand.cluster.faults().cut_watches(&Selection::default());
    patch(&stand, "unseen").await.expect("patched");
    stand.cluster.store().compact();
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Ok(Some(object)) = objects.try_next().await
                && object.data.clone().unwrap_or_default()["key"] == "unseen"
            {
                return;
            }
        }
    });
    assert!(found.await.is_ok(), "it never listed again");
    stand.leave().await;
}

#[tokio::test]
async fn another_process_sets_faults_over_http() {
    let stand = stand("fault-http").await;
    let call = async |method: &str, path: &str, body: Value| -> Value {
        let request = Request::builder().method(method).uri(format!("/sandbox/v1/{path}"));
        let request = request.body(body.to_string().into_bytes()).expect("a request");
        stand.client.request::<Value>(request).await.expect("an answer")
    };
    let rule =
        json!({"on": {"verbs": ["patch"], "resource": "configmaps", "name": "one"}, "times": 1, "fault": "conflict"});
    let set = call("POST", "faults", rule).await;
    assert!(matches!(patch(&stand, "after").await, Err(Error::Api(status)) if status.code == 409));
    patch(&stand, "after").await.expect("spent");
    let shown = call("GET", "faults", Value::Null).await;
    assert_eq!((&shown[0]["id"], &shown[0]["struck"], &shown[0]["seen"]), (&set["id"], &json!(1), &json!(2)));
    call("DELETE", "faults", Value::Null).await;
    assert_eq!(call("GET", "faults", Value::Null).await, json!([]));
    assert_eq!(call("POST", "cut-watches", json!({})).await, json!({"cut": 0}));
    stand.leave().await;
}
