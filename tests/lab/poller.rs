//! An independent poller: what a client on the node sees, in code that shares nothing with the probes.
//!
//! It stands for the truth of a drill, and is therefore simple: a new connection for each attempt, a deadline on the client's
//! side, one commit, on a thread of its own.

use sqlx::{Connection as _, Executor as _, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long one attempt may take.
const DEADLINE: Duration = Duration::from_secs(1);
/// From the end of one attempt to the next: a login is work for the server, and there may be others who ask.
const PAUSE: Duration = Duration::from_millis(20);

/// A poller at work.
pub struct Poller {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Attempt>>,
}

/// One attempt.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    begun: Instant,
    ended: Instant,
    ok: bool,
}

/// How long nobody could write, by what a client saw: the service was down for at least `least`, at most `most`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    pub least: Duration,
    pub most: Duration,
}

impl Poller {
    /// Begins to commit rows to a table of its own, and returns once the first is there.
    pub async fn start(url: String) -> Self {
        let mut session = PgConnection::connect(&url).await.unwrap();
        session.execute("create table if not exists poller (at timestamptz)").await.unwrap();
        session.close().await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut attempts = Vec::new();
            while !stopped.load(Ordering::SeqCst) {
                let begun = Instant::now();
                let commit = async {
                    let mut session = PgConnection::connect(&url).await?;
                    session.execute("insert into poller values (now())").await?;
                    session.close().await
                };
                let ok = runtime.block_on(async { matches!(tokio::time::timeout(DEADLINE, commit).await, Ok(Ok(()))) });
                attempts.push(Attempt { begun, ended: Instant::now(), ok });
                std::thread::sleep(PAUSE);
            }
            attempts
        });
        Self { stop, thread }
    }

    /// Stops, and tells the longest time without a commit.
    pub fn stop(self) -> Gap {
        self.stop.store(true, Ordering::SeqCst);
        let attempts = self.thread.join().unwrap();
        assert!(attempts.first().is_some_and(|a| a.ok) && attempts.last().is_some_and(|a| a.ok), "it ends as it began");
        longest(&attempts)
    }
}

/// The longest run of failures, from the first to the last of it: what is between two that succeeded is at most as long.
fn longest(attempts: &[Attempt]) -> Gap {
    let mut gap = Gap { least: Duration::ZERO, most: Duration::ZERO };
    let mut from = 0;
    for (index, attempt) in attempts.iter().enumerate().filter(|(_, a)| a.ok) {
        if index > from + 1 {
            let (refused, refused_again) = (attempts[from + 1], attempts[index - 1]);
            let least = refused_again.begun.saturating_duration_since(refused.ended);
            let most = attempt.ended - attempts[from].begun;
            if most > gap.most {
                gap = Gap { least, most };
            }
        }
        from = index;
    }
    gap
}

#[test]
fn the_longest_gap_is_bounded_by_the_attempts_around_it() {
    let zero = Instant::now();
    let at = |ms: u64| zero + Duration::from_millis(ms);
    let attempt = |from: u64, to: u64, ok: bool| Attempt { begun: at(from), ended: at(to), ok };
    let attempts = [
        attempt(0, 2, true),
        attempt(10, 11, false),
        attempt(20, 22, true),
        attempt(30, 35, false),
        attempt(40, 45, false),
        attempt(60, 66, true),
    ];
    let ms = Duration::from_millis;
    assert_eq!(longest(&attempts), Gap { least: ms(5), most: ms(46) });
    assert_eq!(longest(&attempts[..3]), Gap { least: ms(0), most: ms(22) });
}
