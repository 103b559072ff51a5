//! The unprivileged account that foreign programs run as: PostgreSQL refuses to run as root.

use std::{fs, io, os::unix::fs::chown, path::Path, process::Command};

/// A user and group to drop to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Numeric user id, never 0.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
}

/// As whom a child process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAs {
    /// We are not root: children are ourselves.
    Ourselves,
    /// We are root: children drop to this account before they are executed.
    Dropped(Account),
}

impl RunAs {
    /// Decides by our effective user id; as root takes `postgres`, else `nobody`, from the password file.
    ///
    /// # Errors
    /// When we are root and neither account exists.
    pub fn detect() -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        let passwd = fs::read_to_string("/etc/passwd")?;
        ["postgres", "nobody"].iter().find_map(|name| find_account(&passwd, name)).map(Self::Dropped).ok_or_else(|| {
            io::Error::other(
                "running as root, but /etc/passwd has neither `postgres` nor `nobody` to run PostgreSQL as; \
                     install postgresql-15, or run as an ordinary user",
            )
        })
    }

    /// Makes `command` run as this account.
    pub fn apply(self, command: &mut Command) {
        use std::os::unix::process::CommandExt as _;
        if let Self::Dropped(account) = self {
            command.uid(account.uid).gid(account.gid);
        }
    }

    /// Gives `path` to this account.
    pub fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Dropped(account) => chown(path, Some(account.uid), Some(account.gid)),
        }
    }
}

/// The account called `name` in the text of a password file, unless it is root's.
fn find_account(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then_some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_name_and_root_is_never_one() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\npostgres:x:102:105::/var/lib/postgresql:/bin/bash\nfake:x:0:5::/:/bin/sh\n";
        assert_eq!(find_account(passwd, "postgres"), Some(Account { uid: 102, gid: 105 }));
        assert_eq!(find_account(passwd, "fake"), None);
        assert_eq!(find_account(passwd, "absent"), None);
    }
}
