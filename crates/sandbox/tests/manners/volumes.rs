//! Volumes: what goes with the pod, and what stays.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;

use crate::bench::{Stand, is_ready, script, written};

#[tokio::test]
async fn a_claim_outlives_the_pod_and_finds_its_successor() {
    let stand = Stand::new("volume-claim").await;
    let template = script("db", "echo $POD_UID >>$VOLUME_DATA/visitors; exec sleep 1000");
    stand
        .make::<StatefulSet>(json!({
            "metadata": {"name": "db"},
            "spec": {
                "replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
                "template": {"metadata": {"labels": {"app": "db"}}, "spec": template["spec"]},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
            },
        }))
        .await;
    stand.until("db", |set: &StatefulSet| set.status.clone().unwrap_or_default().ready_replicas == Some(2)).await;
    let first = stand.api::<Pod>().get("db-0").await.expect("there");
    let visitors = stand.keeper.dir().join("volumes/default/data-db-0/visitors");
    assert_eq!(written(&visitors).await.trim(), first.uid().expect("a uid"));
    stand.api::<Pod>().delete("db-0", &DeleteParams::default()).await.expect("deleted");
    let second = stand.until("db-0", |pod: &Pod| pod.uid() != first.uid() && is_ready(pod)).await;
    crate::bench::in_time("the successor has been there", || {
        std::fs::read_to_string(&visitors).is_ok_and(|text| text.lines().count() == 2)
    })
    .await;
    let text = std::fs::read_to_string(&visitors).expect("visitors");
    assert_eq!(text.lines().last(), second.uid().as_deref());
    stand.leave().await;
}

#[tokio::test]
async fn an_empty_directory_goes_with_the_pod_and_config_maps_are_files() {
    let stand = Stand::new("volume-empty").await;
    stand.make::<ConfigMap>(json!({"metadata": {"name": "settings"}, "data": {"colour": "red"}})).await;
    let mut manifest =
        script("one", "cp $VOLUME_SETTINGS/colour $VOLUME_SCRATCH/copy; echo done >copied; exec sleep 1000");
    manifest["spec"]["volumes"] =
        json!([{"name": "scratch", "emptyDir": {}}, {"name": "settings", "configMap": {"name": "settings"}}]);
    let pod: Pod = stand.make(manifest).await;
    let dir = stand.pod_dir(&pod);
    written(&dir.join("copied")).await;
    assert_eq!(std::fs::read_to_string(dir.join("volumes/scratch/copy")).expect("a copy"), "red");
    stand.api::<Pod>().delete("one", &DeleteParams::default()).await.expect("deleted");
    stand.until_gone::<Pod>("one").await;
    assert!(!dir.exists());
    stand.leave().await;
}
