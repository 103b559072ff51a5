//! Crash points: the places at which a runner is killed, and the runners that are.

use super::runner::{Ended, Runner};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// What a runner that was to be killed did.
#[derive(Debug)]
pub struct Struck {
    /// The points it came to, in order; the last one is where it was killed, if it was.
    pub points: Vec<String>,
    /// Whether it was killed there.
    pub killed: bool,
    /// What it said.
    pub ended: Ended,
}

/// A point to be killed at.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// The so-many-eth.
    Number(usize),
    /// The first of this name.
    Named(&'a str),
}

/// Runs a command that writes down the points it comes to, and is killed at one of them where one is given.
pub async fn strike(runner: &Runner, mut command: Command, trace: PathBuf, at: Option<At<'_>>) -> Struck {
    command.env("FIREDRILL_POINTS_TRACE", &trace);
    match at {
        Some(At::Number(number)) => command.env("FIREDRILL_POINTS_KILL", number.to_string()),
        Some(At::Named(name)) => command.env("FIREDRILL_POINTS_KILL", name),
        None => &mut command,
    };
    let ended = runner.ended(command).await;
    let killed = ended.status.signal() == Some(9);
    let mut points = read(&trace);
    let place = match at {
        Some(At::Number(number)) => (number < points.len()).then_some(number),
        Some(At::Named(name)) => points.iter().position(|point| point == name),
        None => None,
    };
    assert_eq!(killed, place.is_some(), "killed exactly where it came to that point: {at:?}, {points:?}, {ended:?}");
    if let Some(place) = place {
        // Others may have come to their points while this one was dying; none of them did anything more.
        points.truncate(place + 1);
    }
    Struck { points, killed, ended }
}

/// The points of a trace in the order of their numbers, without the numbers.
fn read(trace: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(trace).unwrap_or_default();
    let mut lines: Vec<(usize, String)> = text
        .lines()
        .map(|line| {
            let (number, point) = line.split_once(' ').unwrap();
            (number.parse().unwrap(), point.to_owned())
        })
        .collect();
    lines.sort();
    let last = lines.last().map_or(0, |(number, _)| number + 1);
    // A thread that was killed between its count and its line leaves a hole.
    let mut points = vec!["not written down any more".to_owned(); last];
    for (number, point) in lines {
        points[number] = point;
    }
    points
}
