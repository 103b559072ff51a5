//! Where the proof lies: the journal's chain and the sealed samples.

use crate::time::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The journal as it was when the report was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalSeal {
    /// How many records the drill has.
    pub events: u64,
    /// The hash of the last, which covers all before it, in hex.
    pub chain_head: String,
}

/// One stream's raw samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SampleSeal {
    /// Which stream (`orders-write kept`), or the name of the file.
    pub name: String,
    /// Their size.
    pub bytes: u64,
    /// Their SHA-256, in hex.
    pub sha256: String,
}

/// Everything a doubter needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The journal.
    pub journal: JournalSeal,
    /// The samples.
    pub samples: Vec<SampleSeal>,
    /// The signature over the report, and by whom.
    pub signature: Known<String>,
}
