//! As fast as the API server lets us: an answer of 429 says that a request was certainly not executed and when to come
//! again, and everything that this runner sends waits until then.

use super::{Trouble, timed};
use kube::core::Status;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a request is put off at most before its refusal is taken as an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// When to come again where the server does not say: what its own flow control says.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// When this runner may send again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    not_before: Mutex<Option<Instant>>,
}

impl Pace {
    /// Sends a request, and again only when the server said that it did not execute it. What may have been executed is
    /// never sent twice.
    pub(super) async fn send<T, F>(&self, mut request: impl FnMut() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let began = Instant::now();
        loop {
            self.turn().await;
            let answer = timed(request()).await;
            let Err(Trouble::Api(kube::Error::Api(status))) = &answer else { return answer };
            let Some(wait) = asked_to_wait(status) else { return answer };
            self.put_off(wait);
            if status.code != 429 || began.elapsed() + wait > PATIENCE {
                return answer;
            }
            tracing::debug!(?wait, "the API server asks to come again later");
        }
    }

    fn put_off(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = Some(not_before.map_or(until, |known| known.max(until)));
    }

    async fn turn(&self) {
        loop {
            let not_before = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            match not_before.filter(|at| *at > Instant::now()) {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => return,
            }
        }
    }
}

/// How long the server asks its clients to stay away. A 503 says it too; whether it executed anything is another question.
fn asked_to_wait(status: &Status) -> Option<Duration> {
    let said = status.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0);
    let said = said.map(|s| Duration::from_secs(s.into()));
    match status.code {
        429 => Some(said.unwrap_or(COME_AGAIN)),
        503 => said,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn refusal(code: u16, retry_after_s: u32) -> kube::Error {
        let details = serde_json::json!({ "retryAfterSeconds": retry_after_s });
        let status = serde_json::json!({ "status": "Failure", "code": code, "message": "later", "details": details });
        kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[tokio::test]
    async fn what_was_not_executed_is_sent_again_when_the_server_said_and_nothing_else_is_sent_before() {
        let pace = Pace::default();
        let sent = Cell::new(0);
        let request = || {
            sent.set(sent.get() + 1);
            std::future::ready(if sent.get() == 1 { Err(refusal(429, 1)) } else { Ok(()) })
        };
        let began = Instant::now();
        pace.send(request).await.unwrap();
        assert_eq!(sent.get(), 2);
        assert!(began.elapsed() >= Duration::from_secs(1), "not before the server said");
        assert!(pace.not_before.lock().unwrap().is_some_and(|at| at > began), "for everything that is sent");
    }

    #[tokio::test]
    async fn what_may_have_been_executed_is_not_sent_again() {
        let pace = Pace::default();
        let sent = Cell::new(0);
        let request = || {
            sent.set(sent.get() + 1);
            std::future::ready(Err::<(), _>(refusal(503, 1)))
        };
        assert!(pace.send(request).await.is_err());
        assert_eq!(sent.get(), 1);
        assert_eq!(asked_to_wait(&Status::default()), None);
    }
}
