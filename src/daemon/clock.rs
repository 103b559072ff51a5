//! What time it is for the daemon: the wall clock, by which schedules go.

use jiff::Timestamp;
use std::future::Future;
use std::time::Duration;

/// The longest sleep: whatever happens to the wall clock or to the machine, the time is looked at again after it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A clock to wait by.
pub trait Clock: Send + Sync {
    /// What time it is.
    fn now(&self) -> Timestamp;

    /// Returns when a time has come, or some time before: who waits looks again.
    fn until(&self, at: Timestamp) -> impl Future<Output = ()> + Send;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn until(&self, at: Timestamp) {
        let left = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        tokio::time::sleep(left.min(LOOK_EVERY)).await;
    }
}
