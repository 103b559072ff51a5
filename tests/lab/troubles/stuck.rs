//! Counts that were put back, and pods that do not come: the report says what keeps them.

use super::yard::{IMAGE, WEB, Went, Yard, tells, within};
use crate::lab::Lab;
use firedrill_core::event::Event;
use firedrill_core::report::{Report, ResidueState, Verdict};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::DeleteParams;
use serde_json::json;
use std::process::Command;

/// A drill that brings its deployment back in vain, since at zero `obstacle` was put in its way.
async fn in_vain(yard: &Yard<'_>, obstacle: impl AsyncFnOnce()) -> Report {
    let runner = yard.runner();
    let mut drill = runner.start(runner.drill(&yard.to_zero(6, 10)));
    drill.until(|e| *e == Event::LossSeen).await;
    obstacle().await;
    let report = drill.ended().await.verdict(Verdict::Fail, 1);
    assert!(tells(&report, "Not recovered by the deadline, at least"), "{:#?}", report.judgement);
    assert_eq!(report.residue.state, ResidueState::Clean, "{:#?}", report.residue);
    yard.assert_restored().await;
    report
}

/// The reason that names the deployment, and what is said of it.
fn why(report: &Report) -> &str {
    let reason = report.judgement.reasons.iter().find(|r| r.text.contains("of 2 pods"));
    &reason.unwrap_or_else(|| panic!("{:#?}", report.judgement)).text
}

pub async fn on_a_quota(lab: &Lab) -> Went {
    within(lab, "quota", IMAGE, async |yard| {
        let report = in_vain(yard, async || {
            let quota = json!({ "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } });
            yard.make::<ResourceQuota>(quota).await;
            let counted = async || {
                let quota = yard.api::<ResourceQuota>().get("none").await.unwrap();
                quota.status.is_some_and(|s| s.hard.is_some())
            };
            yard.until(counted, "the quota counts").await;
        })
        .await;
        assert!(why(&report).contains("exceeded quota: none"), "{:#?}", report.judgement);
        assert_eq!(yard.ready().await, 0);
        yard.api::<ResourceQuota>().delete("none", &DeleteParams::default()).await.unwrap();
    })
    .await
}

/// The image of the lab under a name that only this test knows, so that it can be taken away.
struct Tag(String);

impl Tag {
    fn ctr(lab: &Lab, args: &[&str]) {
        let socket = lab.directory().join("containerd/containerd.sock");
        let mut command = Command::new("ctr");
        command.arg("--address").arg(socket).args(["--namespace", "k8s.io", "images"]).args(args);
        let said = command.output().unwrap();
        assert!(said.status.success(), "ctr images {args:?}: {said:?}");
    }

    /// Also when it is gone already.
    fn remove(&self, lab: &Lab) {
        Self::ctr(lab, &["rm", &self.0]);
    }

    fn new(lab: &Lab) -> Self {
        let tag = format!("registry.example/web:{}", &uuid::Uuid::now_v7().simple().to_string()[20..]);
        Self::ctr(lab, &["tag", IMAGE, &tag]);
        Self(tag)
    }
}

pub async fn on_an_image_that_is_gone(lab: &Lab) -> Went {
    let tag = Tag::new(lab);
    let went = within(lab, "image", &tag.0, async |yard| {
        let report = in_vain(yard, async || tag.remove(lab)).await;
        let why = why(&report);
        assert!(why.contains("ErrImagePull") || why.contains("ImagePullBackOff"), "{why}");
        assert!(why.contains(WEB) && why.contains(&tag.0), "{why}");
    })
    .await;
    tag.remove(lab);
    went
}
