//! As whom the programs of a restore run. Never as root: a dump's text is other people's SQL, and PostgreSQL refuses root.

use std::io;
use std::path::Path;
use std::process::Command;

/// An account of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// The runner's own, which is not root.
    Own,
    /// The runner is root, and becomes this one.
    Dropped {
        /// Its name.
        name: String,
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
}

/// There is nobody to become.
#[derive(Debug, thiserror::Error)]
#[error(
    "firedrill runs as root, and /etc/passwd has neither `postgres` nor `nobody` to run PostgreSQL as: add one, or run firedrill as an ordinary user"
)]
pub struct NoAccount;

/// Whom to become, in this order, when the runner is root.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

impl Account {
    /// The account for this machine.
    ///
    /// # Errors
    /// When the runner is root and there is nobody to become.
    pub fn choose() -> Result<Self, NoAccount> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        ACCOUNTS.iter().find_map(|name| find(&passwd, name)).ok_or(NoAccount)
    }

    /// Makes a command run as this account. Its supplementary groups are dropped with it.
    pub fn apply(&self, command: &mut Command) {
        use std::os::unix::process::CommandExt;
        if let Self::Dropped { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
    }

    /// Gives a file or directory to this account.
    ///
    /// # Errors
    /// What the system said.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Dropped { uid, gid, .. } => std::os::unix::fs::chown(path, Some(*uid), Some(*gid)),
        }
    }

    /// Whether this account can pass through every directory above `path`.
    pub fn reaches(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Self::Dropped { uid, gid, .. } = self else { return true };
        path.ancestors().filter_map(|above| std::fs::metadata(above).ok()).all(|seen| {
            let bit = if seen.uid() == *uid {
                0o100
            } else if seen.gid() == *gid {
                0o010
            } else {
                0o001
            };
            seen.mode() & bit != 0
        })
    }
}

/// A line of passwd: `name:password:uid:gid:…`. Root by another name is not taken.
fn find(passwd: &str, wanted: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|n| *n == wanted)?;
        let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account::Dropped { name: name.to_owned(), uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd_is_read_by_field() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\n";
        assert_eq!(find(passwd, "postgres"), Some(Account::Dropped { name: "postgres".into(), uid: 101, gid: 104 }));
        assert_eq!(find(passwd, "nobody"), None);
        assert_eq!(find(passwd, "root"), None);
        assert_eq!(find("postgresql:x:5:5::/:/bin/sh", "postgres"), None);
    }
}
