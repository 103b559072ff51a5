//! What a real cluster may put in a drill's way, each with the outcome that it must have: never a hang, never silence.

mod going;
mod managed;
mod rejected;
mod stuck;
mod yard;

use crate::lab::{Lab, Part};
use yard::all_went_well;

/// Side by side: most of the time of each is a deadline that has to pass, and that of the webhook is the longest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cluster_puts_in_the_way_is_told() {
    let lab = Lab::enter(Part::Apart).await;
    let others = async {
        let (autoscaler, quota, image) = tokio::join!(
            managed::by_an_autoscaler(&lab),
            stuck::on_a_quota(&lab),
            stuck::on_an_image_that_is_gone(&lab),
        );
        let (pod, namespace, begins) = tokio::join!(
            going::a_pod_that_never_goes(&lab),
            going::a_namespace_that_is_going(&lab),
            going::a_namespace_that_begins_to_go(&lab),
        );
        [autoscaler, quota, image, pod, namespace, begins]
    };
    let (webhook, others) = tokio::join!(rejected::by_a_webhook_that_is_down(&lab), others);
    all_went_well([webhook]);
    all_went_well(others);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_keeps_its_pod_and_nothing_is_done() {
    let lab = Lab::enter(Part::Orders).await;
    rejected::by_a_budget(&lab).await;
}
