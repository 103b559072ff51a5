//! The helpers of a fault: pods of this program that a drill makes in a namespace of their own, where they act under an account
//! of their own.

use crate::targets::cluster::Right;

/// A helper: what the runner needs to have one, and what it needs itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// What it is called in words.
    pub word: &'static str,
    /// The namespace that it runs in.
    pub namespace: String,
    /// Its service account there.
    pub account: String,
    /// What the runner must be allowed in its namespace.
    pub owner: &'static [Right],
    /// The file that has its namespace, its account, and the Role of its owner.
    pub file: &'static str,
    /// The namespace that it acts in.
    pub at: String,
    /// What its own account must be allowed there.
    pub own: &'static [Right],
    /// The file with the Role of its own account.
    pub own_file: &'static str,
    /// What the runner must be allowed where it acts, as long as it stands.
    pub meanwhile: &'static [Right],
}

impl Helper {
    /// Its account, as the cluster knows it.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }
}
