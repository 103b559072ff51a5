//! Leases, as locks use them: one winner, by versions alone.

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::PostParams;
use serde_json::json;

use crate::ground::{Ground, assert_status, parse, refused};

fn lease(holder: &str, seconds: i32) -> Lease {
    parse(json!({
        "metadata": {"name": "lock"},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": seconds,
            "acquireTime": "2026-01-05T10:00:00.123456Z", "renewTime": "2026-01-05T10:00:00.123456Z",
        },
    }))
}

#[tokio::test]
async fn of_many_who_create_one_wins() {
    let ground = Ground::new().await;
    let api = ground.api::<Lease>();
    let tries = (0..8).map(|number| {
        let (api, lease) = (api.clone(), lease(&format!("runner-{number}"), 15));
        async move { api.create(&PostParams::default(), &lease).await }
    });
    let outcomes = futures_util::future::join_all(tries).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for outcome in lost {
        assert_status(&refused(outcome), 409, "AlreadyExists");
    }
    ground.leave().await;
}

#[tokio::test]
async fn of_two_who_renew_the_same_version_one_wins() {
    let ground = Ground::new().await;
    let api = ground.api::<Lease>();
    let held = api.create(&PostParams::default(), &lease("a", 15)).await.expect("held");
    let renewed = held.spec.as_ref().and_then(|spec| spec.renew_time.clone()).expect("a time");
    let text = serde_json::to_value(&renewed).expect("json");
    assert_eq!(text, "2026-01-05T10:00:00.123456Z", "microseconds are kept");
    let mut stolen = held.clone();
    stolen.spec.as_mut().expect("a specification").holder_identity = Some("b".to_owned());
    api.replace("lock", &PostParams::default(), &stolen).await.expect("stolen");
    assert_status(&refused(api.replace("lock", &PostParams::default(), &held).await), 409, "Conflict");
    ground.leave().await;
}

#[tokio::test]
async fn a_lease_is_replaced_only_by_naming_its_version() {
    let ground = Ground::new().await;
    let api = ground.api::<Lease>();
    api.create(&PostParams::default(), &lease("a", 15)).await.expect("held");
    assert_status(&refused(api.replace("lock", &PostParams::default(), &lease("b", 15)).await), 422, "Invalid");
    let mut never: Lease = lease("c", 0);
    never.metadata.name = Some("other".to_owned());
    assert_status(&refused(api.create(&PostParams::default(), &never).await), 422, "Invalid");
    assert_eq!(api.get("lock").await.expect("there").name_any(), "lock");
    ground.leave().await;
}
