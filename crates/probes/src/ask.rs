//! What every kind of probe can do: open a connection, ask over it, and say what came back. The sampler does the rest.

use firedrill_core::sample::Failure;
use std::io;

/// A kind of probe, ready to ask. Its futures stay on the thread of their stream.
pub(crate) trait Ask: 'static {
    /// What is kept between two requests of the kept view.
    type Connection: 'static;

    /// Whether an attempt to connect is given up with the request that wanted it.
    const OPENING: Opening;

    /// Opens a connection, logs in.
    async fn connect(&self) -> Result<Self::Connection, Miss>;

    /// Whether an idle connection may be used: a server may close one that it does not need, which is no outage.
    fn condition(&self, connection: &Self::Connection) -> Condition;

    /// Asks once. `seq` is the number of the request in its stream.
    async fn ask(&self, connection: &mut Self::Connection, seq: u64) -> Result<Answer, Miss>;

    /// Says goodbye, after the outcome is known.
    async fn part(&self, connection: Self::Connection);
}

/// What becomes of an attempt to connect that has not succeeded by the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It is given up: for a server that thinks nothing of a connection.
    Hasty,
    /// The next request waits for it too: for a server that has a process for each, and gets one for each attempt,
    /// also for those given up while it stood still.
    Patient,
}

/// Whether a connection can be asked (again).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It can.
    Usable,
    /// It is to be replaced.
    Spent,
}

/// A correct answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The server that answered, when it tells.
    pub(crate) node: Option<String>,
    /// The PostgreSQL timeline on which it answered; 0 when it does not tell.
    pub(crate) timeline: u32,
    /// Whether the connection can be asked again.
    pub(crate) connection: Condition,
}

/// No correct answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Miss {
    /// Whose fault it was.
    pub(crate) cause: Cause,
    /// For people, without secrets.
    pub(crate) detail: String,
    /// Whether the connection can be asked again.
    pub(crate) connection: Condition,
}

/// Whose fault a miss was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The service's, as far as its user can tell.
    Service(Failure),
    /// The probe's own: no file descriptors or ports left. It proves nothing about the service.
    Probe,
}

impl Miss {
    /// A failure after which the connection is of no use.
    pub(crate) fn spent(failure: Failure, detail: impl Into<String>) -> Self {
        Self { cause: Cause::Service(failure), detail: detail.into(), connection: Condition::Spent }
    }

    /// A failure that was told over a connection that is still good.
    pub(crate) fn told(failure: Failure, detail: impl Into<String>) -> Self {
        Self { cause: Cause::Service(failure), detail: detail.into(), connection: Condition::Usable }
    }

    /// Classifies an error of the operating system; `established` says what it means where the kind does not.
    pub(crate) fn from_io(error: &io::Error, otherwise: Failure) -> Self {
        let detail = error.to_string();
        if is_own(error) {
            return Self { cause: Cause::Probe, detail, connection: Condition::Spent };
        }
        let failure = match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            // A socket file that is not there.
            | io::ErrorKind::NotFound => Failure::Refused,
            io::ErrorKind::TimedOut => Failure::TimedOut,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::NotConnected => Failure::Broken,
            // The standard library has no kind for the resolver's errors, but always these words.
            _ if detail.contains("failed to lookup address") => Failure::Dns,
            _ => otherwise,
        };
        Self::spent(failure, detail)
    }
}

/// Whether this machine, not the service, is at its limits.
fn is_own(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let own = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL, Errno::ADDRINUSE];
    error.raw_os_error().is_some_and(|raw| own.iter().any(|errno| errno.raw_os_error() == raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn errors_of_the_system_are_classified() {
        let cases = [
            (Errno::CONNREFUSED, Cause::Service(Failure::Refused)),
            (Errno::HOSTUNREACH, Cause::Service(Failure::Refused)),
            (Errno::NETUNREACH, Cause::Service(Failure::Refused)),
            (Errno::TIMEDOUT, Cause::Service(Failure::TimedOut)),
            (Errno::CONNRESET, Cause::Service(Failure::Broken)),
            (Errno::PIPE, Cause::Service(Failure::Broken)),
            (Errno::PERM, Cause::Service(Failure::Error)),
            (Errno::MFILE, Cause::Probe),
            (Errno::ADDRNOTAVAIL, Cause::Probe),
        ];
        for (errno, cause) in cases {
            let miss = Miss::from_io(&io::Error::from(errno), Failure::Error);
            assert_eq!(miss.cause, cause, "{errno}");
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_dns() {
        // RFC 6761: `.invalid` never resolves.
        let error = tokio::net::TcpStream::connect("orders.invalid:5432").await.unwrap_err();
        assert_eq!(Miss::from_io(&error, Failure::Error).cause, Cause::Service(Failure::Dns), "{error}");
    }
}
