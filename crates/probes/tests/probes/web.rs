//! `http` against a service that can be switched.

use crate::support::harvest::Harvest;
use crate::support::switch::{Mode, Switch};
use firedrill_core::sample::{Failure, Outcome, View};
use firedrill_probes::config::{ProbeConfig, ProbeError, Question};
use firedrill_probes::http::Http;
use firedrill_probes::pace::{Pace, Views};
use firedrill_probes::scalar::Span;
use firedrill_probes::set::ProbeSet;
use firedrill_probes::summary::Health;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn probe(switch: &Switch, every_ms: u64, timeout_ms: u64, views: Views) -> ProbeConfig {
    let http = Http {
        url: switch.url(),
        status: None,
        json: [("/items/0/id".to_owned(), serde_json::json!(7))].into(),
        body: Some("status".to_owned()),
        latency: None,
        every: None,
        fresh_every: None,
        timeout: None,
    };
    let pace = Pace { every: Span::ms(every_ms), fresh_every: None, timeout: Span::ms(timeout_ms), views };
    ProbeConfig { name: "storefront".to_owned(), question: Question::Http(http), pace, excluded: None, detour: None }
}

#[tokio::test]
async fn a_kept_view_keeps_its_connection_and_a_fresh_one_makes_a_new_one_each_time() {
    for views in [Views::KeptAndFresh, Views::FreshOnly] {
        let switch = Switch::start(Mode::Right).await;
        let mut harvest = Harvest::start(&[probe(&switch, 5, 10_000, views)]);
        harvest.until_ok(0, 20).await;
        let (finished, samples) = harvest.stop().await;
        assert!(samples[0].iter().all(|s| !matches!(s.outcome, Outcome::Failed(_))), "{:?}", finished[0].summary);
        let requests = switch.seen.requests.load(Ordering::Relaxed);
        let connections = switch.seen.connections.load(Ordering::Relaxed);
        let most_at_once = samples[0].iter().map(|s| overlapping(&samples[0], s)).max().unwrap();
        match finished[0].info.stream.view {
            View::Kept => assert!(connections <= most_at_once, "{connections} for {requests}, {most_at_once} at once"),
            View::Fresh => assert_eq!(connections, requests),
        }
    }
}

/// How many requests were under way when this one was sent, itself included.
fn overlapping(samples: &[firedrill_core::sample::Sample], one: &firedrill_core::sample::Sample) -> u64 {
    samples.iter().filter(|s| s.sent_ns <= one.sent_ns && one.sent_ns <= s.done_ns).count() as u64
}

#[tokio::test]
async fn every_way_of_answering_badly_has_its_name_and_the_service_is_seen_to_come_back() {
    let cases = [
        (Mode::Status(500), Failure::Error),
        (Mode::Status(503), Failure::Error),
        // A redirect is an answer, and not the one expected.
        (Mode::Status(302), Failure::Error),
        (Mode::WrongBody, Failure::WrongAnswer),
        (Mode::Huge, Failure::WrongAnswer),
        (Mode::Cut, Failure::Broken),
        (Mode::Refuse, Failure::Refused),
        (Mode::BlackHole, Failure::TimedOut),
        (Mode::Slow(Duration::from_secs(2)), Failure::TimedOut),
    ];
    let mut switch = Switch::start(Mode::Right).await;
    let probes = [probe(&switch, 10, 300, Views::KeptAndFresh), probe(&switch, 20, 300, Views::FreshOnly)];
    let mut harvest = Harvest::start(&probes);
    for (mode, failure) in cases {
        for stream in 0..2 {
            harvest.until_ok(stream, 2).await;
        }
        switch.set(mode).await;
        for stream in 0..2 {
            harvest.until_failed(stream, failure).await;
            let summary = &harvest.set.summaries()[stream];
            assert!(summary.last_detail.is_some(), "{mode:?}: {summary:?}");
        }
        switch.set(Mode::Right).await;
    }
    harvest.until_ok(0, 2).await;
    assert_eq!(harvest.set.summaries()[0].health, Health::Up);
    harvest.stop().await;
}

#[tokio::test]
async fn what_is_not_http_is_a_wrong_answer() {
    let switch = Switch::start(Mode::NotHttp).await;
    let mut harvest = Harvest::start(&[probe(&switch, 20, 5_000, Views::FreshOnly)]);
    harvest.until_failed(0, Failure::WrongAnswer).await;
    harvest.stop().await;
}

#[tokio::test]
async fn a_slow_answer_is_too_slow_by_the_probes_own_bound() {
    let switch = Switch::start(Mode::Slow(Duration::from_millis(60))).await;
    let mut slow = probe(&switch, 50, 5_000, Views::KeptAndFresh);
    if let Question::Http(http) = &mut slow.question {
        http.latency = Some(Span::ms(50));
    }
    let mut harvest = Harvest::start(&[slow]);
    harvest.until_failed(0, Failure::TooSlow).await;
    let (_, samples) = harvest.stop().await;
    assert!(samples[0].iter().all(|s| !matches!(s.outcome, Outcome::Ok { .. })));
}

#[tokio::test]
async fn an_expected_redirect_is_right() {
    let switch = Switch::start(Mode::Status(302)).await;
    let mut redirect = probe(&switch, 20, 5_000, Views::KeptAndFresh);
    if let Question::Http(http) = &mut redirect.question {
        http.status = Some(302);
    }
    let mut harvest = Harvest::start(&[redirect]);
    harvest.until_ok(0, 3).await;
    harvest.stop().await;
}

#[tokio::test]
async fn busy_slots_leave_unknowns_and_stopping_waits_for_what_is_under_way() {
    let switch = Switch::start(Mode::BlackHole).await;
    let mut harvest = Harvest::start(&[probe(&switch, 1, 400, Views::KeptAndFresh)]);
    harvest.until(0, 1, |s| s.outcome == Outcome::Unknown).await;
    harvest.until_failed(0, Failure::TimedOut).await;
    let (finished, samples) = harvest.stop().await;
    let samples = &samples[0];
    let most = samples
        .iter()
        .filter(|s| s.outcome != Outcome::Unknown)
        .map(|one| samples.iter().filter(|s| s.sent_ns <= one.sent_ns && one.sent_ns < s.done_ns).count());
    assert!(most.max().unwrap() <= 64, "the set of connections is bounded");
    for sample in samples.iter().filter(|s| s.outcome == Outcome::Unknown) {
        assert_eq!((sample.due_ns, sample.due_ns), (sample.sent_ns, sample.done_ns));
    }
    let timed_out = samples.iter().filter(|s| s.outcome == Outcome::Failed(Failure::TimedOut));
    for sample in timed_out {
        assert!(sample.done_ns.since(sample.sent_ns) >= finished[0].info.timeout_ns, "{sample:?}");
    }
    assert!(samples.iter().all(|s| !matches!(s.outcome, Outcome::Ok { .. })));
}

#[tokio::test]
async fn a_stream_that_hangs_does_not_hold_up_another() {
    let dead = Switch::start(Mode::BlackHole).await;
    let live = Switch::start(Mode::Right).await;
    let probes = [probe(&dead, 2, 200, Views::KeptAndFresh), probe(&live, 5, 10_000, Views::KeptAndFresh)];
    let mut harvest = Harvest::start(&probes);
    harvest.until(0, 50, |s| s.outcome == Outcome::Failed(Failure::TimedOut)).await;
    let (finished, _) = harvest.stop().await;
    assert_eq!(finished[0].summary.ok, 0);
    assert_eq!(finished[1].summary.failed, 0, "{:?}", finished[1].summary);
    assert!(finished[1].summary.ok > 0);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_runs() {
    let switch = Switch::start(Mode::Right).await;
    let start = |change: &dyn Fn(&mut ProbeConfig)| {
        let mut probe = probe(&switch, 10, 100, Views::KeptAndFresh);
        change(&mut probe);
        ProbeSet::start(&[probe]).map(|_| ()).unwrap_err()
    };
    let url = |url: &'static str| {
        start(&|p: &mut ProbeConfig| {
            if let Question::Http(http) = &mut p.question {
                url.clone_into(&mut http.url);
            }
        })
        .to_string()
    };
    assert!(url("ftp://shop.example/").contains("expected http://"));
    assert!(url("/v2/products").contains("expected http://"));
    let secret = url("http://app:hunter2@shop.example/");
    assert!(secret.contains("credentials") && !secret.contains("hunter2"), "{secret}");
    assert!(matches!(start(&|p| p.pace.every = Span::ms(0)), ProbeError::TooOften { .. }));
    assert!(matches!(start(&|p| p.pace.timeout = Span::ms(0)), ProbeError::Timeout { .. }));
    assert!(matches!(start(&|p| p.pace.timeout = Span::secs(61)), ProbeError::Timeout { .. }));
    assert_eq!(switch.seen.connections.load(Ordering::Relaxed), 0);
}
