//! `tcp` against a port that listens, and one that does not.

use crate::support::harvest::Harvest;
use crate::support::switch::{Mode, Switch};
use firedrill_core::sample::{Failure, View};
use firedrill_probes::config::{ProbeConfig, Question};
use firedrill_probes::pace::{Pace, Views};
use firedrill_probes::scalar::Span;
use firedrill_probes::tcp::Tcp;

#[tokio::test]
async fn a_port_is_up_while_something_listens() {
    let mut switch = Switch::start(Mode::Right).await;
    let tcp = Tcp { address: switch.address.to_string(), every: Some(Span::ms(10)), timeout: Some(Span::secs(5)) };
    let pace = tcp.pace();
    assert_eq!(pace.streams(), [(View::Fresh, Span::ms(10))], "a kept connection would prove nothing");
    assert_eq!(pace.views, Views::FreshOnly);
    let pace = Pace { ..pace };
    let probe =
        ProbeConfig { name: "port".to_owned(), question: Question::Tcp(tcp), pace, excluded: None, detour: None };
    let mut harvest = Harvest::start(&[probe]);
    harvest.until_ok(0, 5).await;
    switch.set(Mode::Refuse).await;
    harvest.until_failed(0, Failure::Refused).await;
    switch.set(Mode::Right).await;
    harvest.until_ok(0, 1).await;
    harvest.stop().await;
}
