//! Holding the lease: renewed while anything else goes on, given up before anybody else may take it.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{
    election::Seat,
    lease::{Held, LeaseClient, LeaseError},
};

/// From one renewal to the next.
pub const RENEW_EVERY: Duration = Duration::from_millis(200);
/// How long before the lease runs out the holder gives up: time to stop a server.
const FENCE_AHEAD: Duration = Duration::from_millis(200);

/// Another leads, or may from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deposed;

/// A lease that we hold.
#[derive(Debug)]
pub struct Leadership {
    client: LeaseClient,
    held: Held,
    renewed_at: Instant,
}

impl Leadership {
    /// Takes the lease, against what was read.
    pub async fn take(client: &LeaseClient, seat: Seat, against: Option<&Held>) -> Result<Self, LeaseError> {
        let asked_at = Instant::now();
        let held = client.write(seat, against).await?;
        Ok(Self { client: client.clone(), held, renewed_at: asked_at })
    }

    /// What the lease says.
    pub fn seat(&self) -> &Seat {
        &self.held.seat
    }

    /// Renews, writing `change`d contents. A renewal counts from before it was asked for.
    pub async fn renew(&mut self, change: impl FnOnce(&mut Seat)) -> Result<(), Deposed> {
        let mut seat = self.held.seat.clone();
        change(&mut seat);
        let asked_at = Instant::now();
        let left = self.held.seat.ttl.saturating_sub(FENCE_AHEAD + self.renewed_at.elapsed());
        match timeout(left, self.client.write(seat, Some(&self.held))).await {
            Ok(Ok(held)) => {
                self.held = held;
                self.renewed_at = asked_at;
                Ok(())
            }
            Ok(Err(LeaseError::Lost)) => self.look_again().await,
            Ok(Err(LeaseError::Api(why))) => {
                tracing::warn!(why, "the lease was not renewed");
                if left.is_zero() { Err(Deposed) } else { Ok(()) }
            }
            Err(_) => Err(Deposed),
        }
    }

    /// A conflict: either an earlier write of ours landed without its answer, or another has written.
    async fn look_again(&mut self) -> Result<(), Deposed> {
        match self.client.look().await {
            Ok(Some(now)) if now.seat.run == self.held.seat.run && now.seat.holder == self.held.seat.holder => {
                self.held = now;
                Ok(())
            }
            Ok(_) => Err(Deposed),
            Err(_) => Ok(()),
        }
    }

    /// Does `work` while the lease is renewed. When deposed the work is dropped where it stands.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Deposed> {
        tokio::pin!(work);
        let mut ticks = interval(RENEW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                _ = ticks.tick() => {}
            }
            // The work goes on while the renewal is under way: it may be what the machine is busy with.
            let renewal = self.renew(|_| {});
            tokio::pin!(renewal);
            tokio::select! {
                done = &mut work => {
                    renewal.await?;
                    return Ok(done);
                }
                renewed = &mut renewal => renewed?,
            }
        }
    }

    /// Gives the lease away.
    pub async fn give_away(mut self) -> Result<(), Deposed> {
        self.renew(|seat| seat.holder = None).await
    }
}
