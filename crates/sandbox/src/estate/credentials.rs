//! Passwords of one sandbox: made at its start from the kernel's randomness, never fixed, never printed.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// A secret text; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// 128 random bits as 32 hexadecimal digits: safe in URLs, SQL and files without quoting.
    ///
    /// # Errors
    /// When the kernel's random device cannot be read.
    pub fn random() -> io::Result<Self> {
        use fmt::Write as _;
        let mut bytes = [0_u8; 16];
        fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let mut text = String::with_capacity(32);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// A password that was handed over, as by a Secret or a file.
    pub fn from_text(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The secret itself, for the one place that must send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The database's roles, each with its password.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The agent's superuser, `postgres`.
    pub superuser: Password,
    /// Streaming replication and base backups, `replicator`.
    pub replicator: Password,
    /// What the shop's services log in as, `storefront`.
    pub storefront: Password,
    /// What drills probe as, `firedrill`.
    pub firedrill: Password,
    /// What dumps are taken as, `backup`.
    pub backup: Password,
    /// What the truth writes as, `truth`; sees nothing but its own schema.
    pub truth: Password,
    /// The S3 access key.
    pub s3_access_key: Password,
    /// The S3 secret key.
    pub s3_secret_key: Password,
}

/// File name under the credentials directory, and the field it holds.
type Field = (&'static str, fn(&Credentials) -> &Password);

const FIELDS: [Field; 8] = [
    ("superuser", |c| &c.superuser),
    ("replicator", |c| &c.replicator),
    ("storefront", |c| &c.storefront),
    ("firedrill", |c| &c.firedrill),
    ("backup", |c| &c.backup),
    ("truth", |c| &c.truth),
    ("s3-access-key", |c| &c.s3_access_key),
    ("s3-secret-key", |c| &c.s3_secret_key),
];

impl Credentials {
    /// New passwords for every role.
    pub fn random() -> io::Result<Self> {
        Ok(Self {
            superuser: Password::random()?,
            replicator: Password::random()?,
            storefront: Password::random()?,
            firedrill: Password::random()?,
            backup: Password::random()?,
            truth: Password::random()?,
            s3_access_key: Password::random()?,
            s3_secret_key: Password::random()?,
        })
    }

    /// Writes each password into a file of its own in `dir`, readable by the owner only.
    pub fn store(&self, dir: &Path) -> io::Result<()> {
        for (name, field) in FIELDS {
            write_private(&dir.join(name), field(self).reveal())?;
        }
        Ok(())
    }

    /// Reads what [`Credentials::store`] wrote.
    pub fn load(dir: &Path) -> io::Result<Self> {
        let read = |name: &str| fs::read_to_string(dir.join(name)).map(|text| Password::from_text(&text));
        Ok(Self {
            superuser: read("superuser")?,
            replicator: read("replicator")?,
            storefront: read("storefront")?,
            firedrill: read("firedrill")?,
            backup: read("backup")?,
            truth: read("truth")?,
            s3_access_key: read("s3-access-key")?,
            s3_secret_key: read("s3-secret-key")?,
        })
    }
}

/// Writes `text` to a file only its owner can read.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_do_not_show() {
        let (one, two) = (Password::random().unwrap(), Password::random().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.reveal().len(), 32);
        assert!(!format!("{one:?}").contains(one.reveal()));
    }
}
