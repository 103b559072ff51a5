//! From an estate's probe to one that can be started: secrets resolved, addresses parsed, rates within bounds.

use crate::detour::Detour;
use crate::pace::Pace;
use crate::scalar::{Name, Span};
use crate::{ProbeSpec, http, ledger, sql, tcp};
use secrecy::SecretString;
use thiserror::Error;
use uuid::Uuid;

/// No stream asks more often than this: below it the machine's own scheduling is all that would be measured.
pub const EVERY_MIN: Span = Span::ms(1);
/// No ledger stream writes more often than this: 200 rows a second are a load of their own.
pub const LEDGER_EVERY_MIN: Span = Span::ms(5);
/// No request may take longer than this.
pub const TIMEOUT_MAX: Span = Span::secs(60);
/// Each stream has a thread; this many at most.
pub const STREAMS_MAX: usize = 128;

/// A probe, ready to start.
#[derive(Clone, Debug)]
pub struct ProbeConfig {
    /// Its name in the estate.
    pub name: String,
    /// What it asks.
    pub question: Question,
    /// Its rates and its timeout.
    pub pace: Pace,
    /// Why it does not count towards the recovery time, if it does not.
    pub excluded: Option<String>,
    /// What is known of its way, when it does not go as users do.
    pub detour: Option<Detour>,
}

/// What a probe asks, with everything resolved that asking needs.
#[derive(Clone, Debug)]
pub enum Question {
    /// Write rows.
    Ledger(ledger::Entries),
    /// Ask a database.
    Sql {
        /// Where, with the credentials.
        url: SecretString,
        /// The query, and the answer expected.
        spec: sql::Sql,
    },
    /// Ask a web service.
    Http(http::Http),
    /// Connect.
    Tcp(tcp::Tcp),
}

/// A probe that cannot be started.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// Its rate is out of bounds.
    #[error("probe `{probe}`: asks every {every}; at least {min} must be between two requests of a {word} probe")]
    TooOften {
        /// The probe.
        probe: String,
        /// Its kind.
        word: &'static str,
        /// What was asked.
        every: Span,
        /// The bound.
        min: Span,
    },
    /// Its timeout is out of bounds.
    #[error("probe `{probe}`: a timeout of {timeout}; it must be longer than 0 and at most {max}")]
    Timeout {
        /// The probe.
        probe: String,
        /// What was asked.
        timeout: Span,
        /// The bound.
        max: Span,
    },
    /// Its target has no connection URL here.
    #[error("probe `{probe}`: no connection URL for target `{target}`; name the target in the estate, with its `url`")]
    NoUrl {
        /// The probe.
        probe: String,
        /// Its target.
        target: Name,
    },
    /// What it asks cannot be read.
    #[error("probe `{probe}`: {reason}")]
    Unreadable {
        /// The probe.
        probe: String,
        /// What was found and what was expected, without secrets.
        reason: String,
    },
    /// Too many of them.
    #[error(
        "{found} streams of samples (two for most probes); at most {STREAMS_MAX} run together: leave some probes out"
    )]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// The system gave no thread, runtime or timer.
    #[error("probe `{probe}`: its thread could not be started: {source}")]
    Thread {
        /// The probe.
        probe: String,
        /// Why.
        source: std::io::Error,
    },
}

impl ProbeConfig {
    /// Resolves a probe of the estate. `url_of` gives the connection URL of a `postgres` target; `drill` and
    /// `first_stream` number the rows of the ledger (see [`ledger::Entries`]).
    pub fn resolve(
        name: &Name,
        spec: &ProbeSpec,
        url_of: impl Fn(&Name) -> Option<SecretString>,
        drill: Uuid,
        first_stream: u32,
    ) -> Result<Self, ProbeError> {
        let url = |target: &Name| {
            url_of(target).ok_or_else(|| ProbeError::NoUrl { probe: name.to_string(), target: target.clone() })
        };
        let question = match spec {
            ProbeSpec::Ledger(ledger) => {
                let url = url(&ledger.target)?;
                Question::Ledger(ledger::Entries { url, drill, first_stream, evidence: ledger::Evidence::Full })
            }
            ProbeSpec::Sql(sql) => Question::Sql { url: url(&sql.target)?, spec: sql.clone() },
            ProbeSpec::Http(http) => Question::Http(http.clone()),
            ProbeSpec::Tcp(tcp) => Question::Tcp(tcp.clone()),
        };
        Ok(Self { name: name.to_string(), question, pace: spec.pace(), excluded: None, detour: None })
    }

    /// The probe's kind by its registered word.
    pub fn word(&self) -> &'static str {
        match self.question {
            Question::Ledger(_) => "ledger",
            Question::Sql { .. } => "sql",
            Question::Http(_) => "http",
            Question::Tcp(_) => "tcp",
        }
    }

    /// What is asked, for people, without secrets.
    pub fn asks(&self) -> String {
        match &self.question {
            Question::Ledger(_) => "insert into firedrill.ledger".to_owned(),
            Question::Sql { spec, .. } => spec.query.clone(),
            Question::Http(http) => format!("GET {}", http.url),
            Question::Tcp(tcp) => format!("connect to {}", tcp.address),
        }
    }

    /// Holds rates and timeout against their bounds.
    pub(crate) fn check(&self) -> Result<(), ProbeError> {
        let min = match self.question {
            Question::Ledger(_) => LEDGER_EVERY_MIN,
            _ => EVERY_MIN,
        };
        if let Some((_, every)) = self.pace.streams().into_iter().find(|(_, every)| *every < min) {
            return Err(ProbeError::TooOften { probe: self.name.clone(), word: self.word(), every, min });
        }
        let timeout = self.pace.timeout;
        if timeout == Span::ms(0) || timeout > TIMEOUT_MAX {
            return Err(ProbeError::Timeout { probe: self.name.clone(), timeout, max: TIMEOUT_MAX });
        }
        Ok(())
    }
}
