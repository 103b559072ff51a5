//! One thing that was looked at: how it is, what is needed, what to do.

use serde::Serialize;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// As drills need it.
    Fine,
    /// Worth a look, and no reason to refuse a drill by itself.
    Doubtful,
    /// A drill would be refused for it, or could not begin. What cannot be told counts as this where a drill refuses on doubt.
    Against,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Of what: `cluster`, `target orders-db`.
    pub subject: String,
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub mark: Mark,
    /// What is needed.
    pub expected: String,
    /// What was found. Never a secret.
    pub found: String,
    /// What to do, unless it is fine.
    pub help: Option<String>,
    /// YAML or SQL that does it, for whoever may.
    pub paste: Option<String>,
}

impl Finding {
    /// Something that is as it is needed.
    pub fn fine(subject: &str, name: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            subject: subject.to_owned(),
            name: name.to_owned(),
            mark: Mark::Fine,
            expected: expected.into(),
            found: found.into(),
            help: None,
            paste: None,
        }
    }

    /// Something for which a drill would be refused.
    pub fn against(
        subject: &str,
        name: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { mark: Mark::Against, help: Some(help.into()), ..Self::fine(subject, name, expected, found) }
    }

    /// Something that is worth a look.
    pub fn doubtful(
        subject: &str,
        name: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { mark: Mark::Doubtful, ..Self::against(subject, name, expected, found, help) }
    }

    /// Whether it is as drills need it.
    pub fn is_fine(&self) -> bool {
        self.mark == Mark::Fine
    }

    /// With what does it.
    #[must_use]
    pub fn paste(self, text: impl Into<String>) -> Self {
        Self { paste: Some(text.into()), ..self }
    }
}
