//! Restoring the chosen backup into staging, as work of a drill.

use crate::targets::scene::Scene;
use firedrill_core::event::WorkResult;
use firedrill_core::plan::Plan;

/// Restores, and asks the questions.
pub async fn run(_scene: &Scene, _plan: &Plan) -> WorkResult {
    WorkResult::Failed("wip".to_owned())
}
