//! The runner's side of a scratch: the directory, the pipe that keeps it alive, and the server once it is started.

use super::account::{Account, NoAccount};
use super::layout::{Layout, PORT};
use super::protocol::{Reply, Request, StartServer};
use super::undo::{self, Seen};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The superuser of a scratch: it makes extensions and roles, and runs nothing of the dump.
pub const SUPERUSER: &str = "firedrill_admin";
/// The role that owns everything restored. It is no superuser: a dump's text is other people's SQL.
pub const OWNER: &str = "firedrill_owner";
/// The database that is restored into.
pub const DATABASE: &str = "restored";

/// Which program is the keeper: this one with a hidden subcommand.
#[derive(Clone, Debug)]
pub struct KeeperProgram {
    /// Its path.
    pub path: PathBuf,
    /// What comes before the directory.
    pub args: Vec<OsString>,
}

impl KeeperProgram {
    /// This very program, also when its file was replaced meanwhile.
    pub fn own() -> Self {
        Self { path: PathBuf::from("/proc/self/exe"), args: vec![OsString::from("scratch-keeper")] }
    }
}

/// Why there is no scratch.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// Nobody to run as.
    #[error(transparent)]
    NoAccount(#[from] NoAccount),
    /// The directory could not be made.
    #[error("could not make the scratch directory {path}: {why}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The account that PostgreSQL runs as cannot get there.
    #[error(
        "PostgreSQL would run as `{account}`, which cannot pass through the directories above {path}: name another `directory` for the scratch in the estate, for example /var/tmp"
    )]
    OutOfReach {
        /// Which account.
        account: String,
        /// Which directory.
        path: PathBuf,
    },
    /// The keeper did not come up, or went away.
    #[error("the keeper of the scratch {doing}: {why}")]
    Keeper {
        /// What it did.
        doing: &'static str,
        /// What was seen.
        why: String,
    },
    /// The server was not made.
    #[error("the scratch server could not be started: {0}")]
    Server(String),
    /// Something is left.
    #[error("the scratch is not gone: {0}")]
    Left(String),
}

/// A scratch that is held. Dropping it closes the pipe: the keeper then ends everything.
#[derive(Debug)]
pub struct Scratch {
    layout: Layout,
    drill: String,
    account: Account,
    keeper: Child,
    pipe: ChildStdin,
    replies: Lines<BufReader<ChildStdout>>,
}

/// How the server is made.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// Where `initdb` and `postgres` are.
    pub binaries: PathBuf,
    /// The encoding of its databases.
    pub encoding: String,
    /// Settings as `name`, `value`.
    pub settings: Vec<(String, String)>,
}

/// How to reach the server of a scratch.
#[derive(Clone, Debug)]
pub struct ScratchServer {
    socket_directory: PathBuf,
    superuser_password: SecretString,
}

impl ScratchServer {
    /// The directory of its socket.
    pub fn socket_directory(&self) -> &Path {
        &self.socket_directory
    }

    /// The port in the socket's name.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// The superuser's password.
    pub fn superuser_password(&self) -> &SecretString {
        &self.superuser_password
    }

    /// A login.
    pub fn login(&self, role: &str, password: &SecretString, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_directory)
            .port(PORT)
            .username(role)
            .password(password.expose_secret())
            .database(database)
            .application_name("firedrill")
    }
}

/// How long the keeper has to answer that it keeps.
const KEEPING_WITHIN: Duration = Duration::from_secs(10);
/// How long it has for a server: a little more than the keeper's own limit.
const SERVER_WITHIN: Duration = Duration::from_secs(90);
/// How long it has to end everything.
const GONE_WITHIN: Duration = Duration::from_secs(30);

impl Scratch {
    /// Makes the directory, its marker and its keeper. No server yet.
    ///
    /// # Errors
    /// See [`ScratchError`]; nothing is left then.
    pub async fn make(directory: &Path, drill: &str, program: &KeeperProgram) -> Result<Self, ScratchError> {
        let account = Account::choose()?;
        let layout = Layout::new(directory);
        let parent = directory.parent().unwrap_or(Path::new("/"));
        let failed = |e: io::Error| ScratchError::Directory { path: directory.to_owned(), why: e.to_string() };
        fs::create_dir_all(parent).map_err(failed)?;
        if let Account::Dropped { name, .. } = &account
            && !account.reaches(parent)
        {
            return Err(ScratchError::OutOfReach { account: name.clone(), path: directory.to_owned() });
        }
        layout.make(drill).map_err(failed)?;
        match Self::keep(&layout, drill, account, program).await {
            Ok(scratch) => Ok(scratch),
            Err(error) => {
                // Nothing was started in it but perhaps the keeper, which ends as its pipe is closed.
                let gone = end(layout, drill.to_owned()).await;
                gone.and(Err(error))
            }
        }
    }

    async fn keep(
        layout: &Layout,
        drill: &str,
        account: Account,
        program: &KeeperProgram,
    ) -> Result<Self, ScratchError> {
        let failed = |e: io::Error| ScratchError::Directory { path: layout.directory().to_owned(), why: e.to_string() };
        let work = layout.work();
        fs::create_dir(&work).map_err(failed)?;
        fs::set_permissions(&work, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        account.own(&work).map_err(failed)?;
        let mut command = Command::new(&program.path);
        command.args(&program.args).arg(layout.directory()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg0("firedrill").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keeper =
            command.spawn().map_err(|e| ScratchError::Keeper { doing: "could not be started", why: e.to_string() })?;
        let (Some(pipe), Some(replies)) = (keeper.stdin.take(), keeper.stdout.take()) else {
            return Err(ScratchError::Keeper { doing: "has no pipes", why: String::new() });
        };
        let replies = BufReader::new(replies).lines();
        let mut scratch = Self { layout: layout.clone(), drill: drill.to_owned(), account, keeper, pipe, replies };
        match scratch.reply(KEEPING_WITHIN).await? {
            Reply::Keeping => Ok(scratch),
            other => Err(ScratchError::Keeper { doing: "did not say that it keeps", why: format!("{other:?}") }),
        }
    }

    async fn reply(&mut self, within: Duration) -> Result<Reply, ScratchError> {
        let went = |why: String| ScratchError::Keeper { doing: "went away", why };
        match tokio::time::timeout(within, self.replies.next_line()).await {
            Err(_) => Err(ScratchError::Keeper { doing: "did not answer", why: format!("for {} s", within.as_secs()) }),
            Ok(Err(e)) => Err(went(e.to_string())),
            Ok(Ok(None)) => Err(went("its end of the pipe is closed".to_owned())),
            Ok(Ok(Some(line))) => serde_json::from_str(&line).map_err(|e| went(format!("it said `{line}`: {e}"))),
        }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        self.layout.directory()
    }

    /// The directory for the fetched backup; the account that programs run as owns it.
    pub fn work_directory(&self) -> PathBuf {
        self.layout.work()
    }

    /// As whom programs run in it.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The keeper's process number.
    pub fn keeper_pid(&self) -> Option<u32> {
        self.keeper.id()
    }

    /// Makes and starts the server. Once in a scratch's life.
    ///
    /// # Errors
    /// [`ScratchError::Server`] with the server's own words; the scratch stays.
    pub async fn start_server(&mut self, plan: &ServerPlan) -> Result<ScratchServer, ScratchError> {
        let password = random_secret().map_err(|e| ScratchError::Server(format!("no randomness: {e}")))?;
        let request = Request::Start(StartServer {
            binaries: plan.binaries.clone(),
            account: (&self.account).into(),
            encoding: plan.encoding.clone(),
            superuser: SUPERUSER.to_owned(),
            password: password.expose_secret().to_owned(),
            settings: plan.settings.clone(),
        });
        let mut line = serde_json::to_string(&request).map_err(|e| ScratchError::Server(e.to_string()))?;
        line.push('\n');
        let sent = async {
            self.pipe.write_all(line.as_bytes()).await?;
            self.pipe.flush().await
        };
        sent.await.map_err(|e| ScratchError::Keeper { doing: "does not listen", why: e.to_string() })?;
        match self.reply(SERVER_WITHIN).await? {
            Reply::Ready => {
                Ok(ScratchServer { socket_directory: self.layout.socket_directory(), superuser_password: password })
            }
            Reply::Failed(why) | Reply::Died(why) => Err(ScratchError::Server(why)),
            other => Err(ScratchError::Keeper { doing: "answered something else", why: format!("{other:?}") }),
        }
    }

    /// Ends everything, and proves that nothing is left.
    ///
    /// # Errors
    /// What is left.
    pub async fn end(self) -> Result<(), ScratchError> {
        let Self { layout, drill, mut keeper, pipe, .. } = self;
        drop(pipe);
        // Whatever the keeper says: the look decides.
        let _ = tokio::time::timeout(GONE_WITHIN, keeper.wait()).await;
        end(layout, drill).await
    }
}

/// Looks, undoes what is ours, and looks again.
async fn end(layout: Layout, drill: String) -> Result<(), ScratchError> {
    let ended = tokio::task::spawn_blocking(move || match undo::look(&layout, &drill) {
        Seen::Gone => Ok(()),
        Seen::Other(what) => Err(what),
        Seen::Ours => undo::undo(&layout),
    });
    match ended.await {
        Ok(ended) => ended.map_err(ScratchError::Left),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// 256 random bits as text.
///
/// # Errors
/// When the system gives none.
pub fn random_secret() -> io::Result<SecretString> {
    let mut bytes = [0_u8; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let (high, low) = bytes.split_at(16);
    let number = |half: &[u8]| half.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    Ok(SecretString::from(format!("{:032x}{:032x}", number(high), number(low))))
}
