//! What runner and keeper say to each other: one line of JSON each, over the keeper's standard input and output.

use super::account::Account;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// From the runner. The end of the stream means: end everything.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Make and start the server.
    Start(StartServer),
}

/// How the server is made.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StartServer {
    /// Where `initdb` and `postgres` are.
    pub binaries: PathBuf,
    /// As whom they run.
    pub account: KeptAccount,
    /// The encoding of its databases (`UTF8`).
    pub encoding: String,
    /// The superuser's name.
    pub superuser: String,
    /// The superuser's password. It goes over this pipe only, never into arguments.
    pub password: String,
    /// Settings as `name`, `value`.
    pub settings: Vec<(String, String)>,
}

/// An [`Account`] on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptAccount {
    /// The keeper's own.
    Own,
    /// Another, because the keeper is root.
    Dropped {
        /// Its name.
        name: String,
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
}

impl From<&Account> for KeptAccount {
    fn from(account: &Account) -> Self {
        match account {
            Account::Own => Self::Own,
            Account::Dropped { name, uid, gid } => Self::Dropped { name: name.clone(), uid: *uid, gid: *gid },
        }
    }
}

impl From<KeptAccount> for Account {
    fn from(account: KeptAccount) -> Self {
        match account {
            KeptAccount::Own => Self::Own,
            KeptAccount::Dropped { name, uid, gid } => Self::Dropped { name, uid, gid },
        }
    }
}

/// From the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It watches the pipe now.
    Keeping,
    /// The server answers.
    Ready,
    /// The server could not be made, and why.
    Failed(String),
    /// The server ended by itself, and the last that it said.
    Died(String),
    /// Everything is gone.
    Gone,
    /// Something is still there.
    Left(String),
}
