//! A timer on the absolute schedule of `CLOCK_BOOTTIME`, finer than tokio's wheel of one millisecond.
//!
//! A timer of the kernel that becomes readable when it is due: the thread's own reactor waits for it and for the
//! sockets in one call, so nothing spins and nothing is handed between threads.

use firedrill_core::time::Mono;
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use tokio::io::unix::AsyncFd;

/// Waits for points in time.
#[derive(Debug)]
pub(crate) struct Timer {
    fd: AsyncFd<OwnedFd>,
}

impl Timer {
    /// Made within a tokio runtime, whose reactor wakes it.
    #[expect(deprecated, reason = "`register` is unsafe for types that may lose their descriptor; an OwnedFd keeps it")]
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self { fd: AsyncFd::new(timerfd_create(TimerfdClockId::Boottime, flags)?)? })
    }

    /// Returns once `at` has come; at once when it has passed.
    pub(crate) async fn until(&self, at: Mono) -> io::Result<()> {
        // A zero would disarm the timer.
        let at_ns = at.0.max(1);
        let value = Timespec {
            tv_sec: i64::try_from(at_ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at_ns % 1_000_000_000).unwrap_or(0),
        };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: never, it_value: value };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
        loop {
            let mut ready = self.fd.readable().await?;
            let mut expirations = [0_u8; 8];
            match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut expirations)?)) {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                // Readable was of an earlier arming.
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use firedrill_core::time::Nanos;

    #[tokio::test]
    async fn it_is_never_early_and_does_not_wait_for_what_has_passed() {
        let timer = Timer::new().unwrap();
        for _ in 0..20 {
            let at = clock::now().plus(Nanos(1_300_000));
            timer.until(at).await.unwrap();
            assert!(clock::now() >= at);
        }
        timer.until(Mono(0)).await.unwrap();
        timer.until(clock::now().minus(Nanos::from_secs(1))).await.unwrap();
    }

    #[tokio::test]
    async fn an_arming_given_up_does_not_fire_the_next_one_early() {
        let timer = Timer::new().unwrap();
        let soon = clock::now().plus(Nanos::from_ms(1));
        tokio::select! { biased;
            () = std::future::ready(()) => {}
            _ = timer.until(soon) => {}
        }
        let later = soon.plus(Nanos::from_ms(5));
        timer.until(later).await.unwrap();
        assert!(clock::now() >= later);
    }
}
