//! Backups restored: the newest one passes, one that was cut in the middle is found out by name.

use crate::support::{files, left, runner::Runner, scene::Scene};
use firedrill_core::event::Event;
use firedrill_core::report::{ResidueState, Verdict};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_backup_passes_and_a_cut_one_fails_with_its_defect() {
    let scene = Scene::start().await;
    let runner = Runner::new(&scene, "one");

    let report = runner.run(&scene.write(&files::restore("backups"))).await.verdict(Verdict::Pass, 0);
    let backup = report.backup.as_ref().expect("a backup");
    assert_eq!(backup.defect, None);
    assert!(backup.size_bytes > 0);
    assert_eq!(report.residue.state, ResidueState::Clean);
    left::assert_nothing(&scene, &runner).await;
    let journal = runner.journal().await;
    let drills = journal.drills().await.unwrap();
    let (records, _) = journal.records(&drills[0].drill).await.unwrap();
    let probing = records.iter().filter(|r| matches!(r.event, Event::ProbingBegan(_))).count();
    assert_eq!(probing, 1, "a drill without probes does not begin to probe again and again");

    let key = scene.sandbox.backups().upload_cut(files::CUT_PREFIX, 60).await.unwrap();
    let report = runner.run(&scene.write(&files::restore("cut-backups"))).await.verdict(Verdict::Fail, 1);
    let backup = report.backup.as_ref().expect("a backup");
    assert!(backup.key.contains(&key), "{} is not {key}", backup.key);
    let defect = backup.defect.as_deref().expect("a defect");
    assert!(report.judgement.cause.contains(defect) || defect.contains("cut"), "{defect}: {:?}", report.judgement);
    assert_eq!(report.residue.state, ResidueState::Clean);
    left::assert_nothing(&scene, &runner).await;
    assert!(scene.changes().iter().all(|e| e.resource == "leases"), "{:?}", scene.changes());
    scene.stop().await;
}
