//! `restore-backup`: a backup is restored into staging, and asked the questions that matter.

use crate::faults::arming::{self, RANK_STAGING};
use crate::faults::{Fault, Reach};
use crate::guards::preflight::Preflight;
use crate::guards::{common, staging as staging_guards};
use crate::scratch::account::Account;
use crate::scratch::binaries::Binaries;
use crate::spec::estate::{BackupsTarget, ScratchStaging, ServerStaging, StagingTarget, Target};
use crate::spec::scalar::{Bytes, Name, SecretRef, Span};
use crate::targets::backups::{BackupStore, BackupsAccess};
use crate::targets::cluster::Right;
use crate::targets::postgres::brief;
use crate::targets::scene::Scene;
use crate::targets::secrets;
use crate::targets::staging::{Permission, StagingServer};
use crate::works::restore::fetch::FetchPlan;
use crate::works::restore::find::{Choice, FindPlan, find};
use crate::works::restore::run::{Into, RestoreJob};
use crate::works::restore::stage_server::ReadyServer;
use firedrill_core::drill::Landing;
use firedrill_core::effect::Effect;
use firedrill_core::event::Refusal;
use firedrill_core::plan::{Fact, Heal, Ledgered, Plan, Stage, Step};
use firedrill_core::sight::Sight;
use firedrill_core::time::{Known, Mono};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

/// Restores a backup into staging and verifies it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RestoreBackup {
    /// A `backups` target.
    pub from: Name,
    /// A `staging` target.
    pub into: Name,
    /// Which backup.
    #[serde(default)]
    pub select: BackupSelection,
    /// How many `pg_restore` jobs; the machine's cores by default.
    pub jobs: Option<u16>,
    /// How large the ranges of the parallel download are.
    pub range: Option<Bytes>,
    /// What the restored copy must answer.
    #[serde(default)]
    pub verify: RestoreChecks,
}

/// Which backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupSelection {
    /// The newest in the prefix.
    #[default]
    Newest,
    /// The newest that is at least this old.
    OlderThan(Span),
    /// This key.
    Key(String),
}

/// What the restored copy must answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RestoreChecks {
    /// The fewest rows each of these tables must have (`schema.table`).
    pub rows: BTreeMap<String, u64>,
    /// A query for the time of the newest row (a `timestamptz`): the canary, by which the recovery point is exact.
    pub canary: Option<String>,
    /// Every sequence must be at or above the largest value of the column it feeds.
    pub sequences: Requirement,
    /// Indexes and heaps are checked with amcheck.
    pub amcheck: Requirement,
    /// Queries with the answer expected.
    pub sql: Vec<SqlCheck>,
}

/// Whether a check is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// It is made, and must hold.
    #[default]
    Required,
    /// It is not made.
    Off,
}

/// A query with the answer expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SqlCheck {
    /// What it proves, for the report.
    pub name: String,
    /// The query; its first row's first column is the answer.
    pub query: String,
    /// The answer expected, as text.
    pub expect: String,
}

impl RestoreBackup {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str = "restore-backup: { from: orders-backups, into: scratch, select: newest }";
}

impl Fault for RestoreBackup {
    const REACH: Reach = Reach::Targets;
    const RIGHTS: &'static [Right] = &[];

    fn targets(&self) -> Vec<&Name> {
        vec![&self.from, &self.into]
    }

    async fn look_around(&self, scene: &Scene, preflight: &mut Preflight) -> Result<Option<Plan>, Refusal> {
        common::times(scene, preflight, jiff::Timestamp::now());
        let place = self.look_at_store(scene, preflight).await?;
        let dir = self.scratch_parent(scene)?.join(format!("firedrill-scratch-{}", scene.drill));
        let mut steps = arming::steps(scene, None);
        let scratch = Effect::Scratch { target: self.into.to_string(), dir: dir.display().to_string() };
        steps.push(Step { stage: Stage::Arm, rank: RANK_STAGING, effect: scratch });
        let besides = self.look_at_staging(scene, preflight).await?;
        steps.extend(besides.map(|effect| Step { stage: Stage::Arm, rank: RANK_STAGING, effect }));
        if preflight.refused() {
            return Ok(None);
        }
        Ok(Some(Plan {
            fault: "restore-backup".to_owned(),
            steps,
            heal: Heal::Work,
            watch: Vec::new(),
            members: 0,
            ledger: Ledgered::No,
            facts: vec![
                Fact::new("backups", place, "the estate"),
                Fact::new("staging", self.into.as_str(), "the estate"),
            ],
            untouched: vec!["production: the backup is only read".to_owned()],
        }))
    }

    /// Nothing is injected, so nothing lands.
    fn landed(&self, _plan: &Plan, _injected: Mono, _seen: &[Sight]) -> Landing {
        Landing::NotYet
    }
}

impl RestoreBackup {
    /// Where a scratch is made. When the estate names no place it must be one that others can enter, since PostgreSQL may
    /// run as another user than we do.
    pub(crate) fn scratch_parent(&self, scene: &Scene) -> Result<PathBuf, Refusal> {
        let parent = match self.staging(scene)? {
            StagingTarget::Scratch(ScratchStaging { directory: Some(dir), .. }) => scene.base.join(dir),
            _ => match Account::choose() {
                Ok(account) if account.reaches(&scene.state_dir) => scene.state_dir.clone(),
                _ => std::env::temp_dir(),
            },
        };
        Ok(std::path::absolute(&parent).unwrap_or(parent))
    }

    fn backups<'a>(&self, scene: &'a Scene) -> Result<&'a BackupsTarget, Refusal> {
        match scene.loaded.estate.targets.get(&self.from) {
            Some(Target::Backups(target)) => Ok(target),
            _ => Err(Refusal::new(
                format!("`{}` is not a `backups` target", self.from),
                "Name one in the estate's `targets`.",
            )),
        }
    }

    pub(crate) fn staging<'a>(&self, scene: &'a Scene) -> Result<&'a StagingTarget, Refusal> {
        match scene.loaded.estate.targets.get(&self.into) {
            Some(Target::Staging(target)) => Ok(target),
            _ => Err(Refusal::new(
                format!("`{}` is not a `staging` target", self.into),
                "Name one in the estate's `targets`.",
            )),
        }
    }

    /// Where the backups are, with the secrets that reach them.
    pub(crate) async fn access(&self, scene: &Scene) -> Result<BackupsAccess, Refusal> {
        let s3 = &self.backups(scene)?.s3;
        let keys = secret(scene, s3.access_key.as_ref()).await?.zip(secret(scene, s3.secret_key.as_ref()).await?);
        Ok(BackupsAccess {
            bucket: s3.bucket.clone(),
            prefix: s3.prefix.clone(),
            region: s3.region.clone(),
            endpoint: s3.endpoint.clone(),
            keys,
        })
    }

    pub(crate) fn find_plan(&self, reference_wall_ns: i64) -> FindPlan {
        let choice = match &self.select {
            BackupSelection::Newest => Choice::Newest,
            BackupSelection::OlderThan(age) => Choice::OlderThan(age.0),
            BackupSelection::Key(key) => Choice::Key(key.clone()),
        };
        FindPlan { choice, ..FindPlan::newest(reference_wall_ns) }
    }

    /// The server that is there already, with what every guard holds it against.
    pub(crate) async fn server(&self, scene: &Scene, server: &ServerStaging) -> Result<StagingServer, Refusal> {
        let unreadable = |e: secrets::SecretError| Refusal::new(e.to_string(), "Mend the reference in the estate.");
        let url = secrets::resolve(&server.url, &scene.base, scene.reader.as_ref()).await.map_err(unreadable)?;
        let allowed = scene.loaded.estate.allow.iter().any(|word| word.as_str() == "restore-backup");
        let of = self.backups(scene)?.of.as_ref();
        let route = of.and_then(|name| scene.routes.get(name));
        // As the estate names it: through a door every server is on loopback.
        let production = route.map(|r| r.named.clone());
        let source_system_identifier = match route {
            Some(route) => system_identifier(&route.url).await,
            None => Known::Unknown("the backups do not say whose data they are: name `of` in the estate".to_owned()),
        };
        Ok(StagingServer {
            url,
            marker: server.marker.clone(),
            permission: if allowed { Permission::Allowed } else { Permission::NotAllowed },
            production: production.map_or_else(
                || Known::Unknown("the backups do not say whose data they are: name `of` in the estate".to_owned()),
                Known::Known,
            ),
            source_system_identifier,
        })
    }

    /// Everything the restore needs to know.
    ///
    /// # Errors
    /// A refusal when a secret or a target is not there any more.
    pub(crate) async fn job(&self, scene: &Scene) -> Result<RestoreJob, Refusal> {
        let (into, binaries) = match self.staging(scene)? {
            StagingTarget::Scratch(scratch) => {
                let binaries = scratch.binaries.as_ref().map(|dir| scene.base.join(dir));
                (Into::Scratch { tuning: scratch.tuning }, binaries)
            }
            StagingTarget::Server(server) => {
                let server = self.server(scene, server).await?;
                (Into::Server(Box::new(ReadyServer { server, drill: scene.drill.clone() })), None)
            }
        };
        let fetch = FetchPlan {
            range_bytes: self.range.map_or(FetchPlan::default().range_bytes, |r| r.0),
            ..FetchPlan::default()
        };
        Ok(RestoreJob {
            access: self.access(scene).await?,
            find: self.find_plan(crate::clock::stamp().wall_ns),
            fetch,
            into,
            binaries,
            jobs: self.jobs,
            checks: self.verify.clone(),
            drill: scene.drill.clone(),
            within: Some(scene.loaded.experiment.recover.deadline.duration()),
        })
    }

    /// What the prefix holds.
    async fn look_at_store(&self, scene: &Scene, preflight: &mut Preflight) -> Result<String, Refusal> {
        let store = BackupStore::open(self.access(scene).await?).await;
        let place = format!("s3://{}/{}", store.bucket(), store.prefix());
        match find(&store, &self.find_plan(crate::clock::stamp().wall_ns)).await {
            Ok(found) => preflight.note(
                "the backup",
                "one that can be restored",
                format!("{} ({})", found.object.key, found.chosen_by),
            ),
            // A prefix without a backup is what such a drill is to find out: it is proven bad, and no refusal.
            Err(e) if e.is_proof() => preflight.note("the backup", "one that can be restored", e.to_string()),
            Err(e) => preflight.require(
                "the store of backups",
                place.clone(),
                e.to_string(),
                Known::Known(false),
                "See that the bucket, its endpoint and the credentials are right.",
            ),
        }
        Ok(place)
    }

    /// Whether staging can be made ready; for a server that is there already every guard must agree. What it takes besides
    /// the scratch.
    async fn look_at_staging(&self, scene: &Scene, preflight: &mut Preflight) -> Result<Option<Effect>, Refusal> {
        match self.staging(scene)? {
            StagingTarget::Scratch(scratch) => {
                let found = Binaries::find(scratch.binaries.as_ref().map(|b| scene.base.join(b)).as_deref(), None);
                let (shown, ok) = match &found {
                    Ok(_) => ("found".to_owned(), true),
                    Err(e) => (e.to_string(), false),
                };
                preflight.require(
                    "PostgreSQL's programs",
                    "initdb, postgres, pg_restore",
                    shown,
                    Known::Known(ok),
                    "Install PostgreSQL of the backup's major version, or name `binaries` in the estate.",
                );
            }
            StagingTarget::Server(server) => {
                let server = self.server(scene, server).await?;
                for check in staging_guards::survey(&server).await {
                    let found = check.found.known().cloned().unwrap_or_default();
                    preflight.require(
                        &check.name,
                        check.expected,
                        found,
                        check.ok,
                        "Every guard of a restore must agree. Correct the staging target; nothing was written.",
                    );
                }
                return Ok(Some(Effect::Database { target: self.into.to_string() }));
            }
        }
        Ok(None)
    }
}

async fn secret(scene: &Scene, of: Option<&SecretRef>) -> Result<Option<SecretString>, Refusal> {
    let Some(reference) = of else { return Ok(None) };
    let found = secrets::resolve(reference, &scene.base, scene.reader.as_ref()).await;
    found.map(Some).map_err(|e| Refusal::new(e.to_string(), "Mend the reference in the estate, or what it refers to."))
}

async fn system_identifier(url: &SecretString) -> Known<String> {
    let asked = async {
        let options = PgConnectOptions::from_str(url.expose_secret())?;
        let mut connection = options.application_name("firedrill").disable_statement_logging().connect().await?;
        let sql = "select system_identifier::text from pg_control_system()";
        let found: String = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(found)
    };
    match tokio::time::timeout(std::time::Duration::from_secs(5), asked).await {
        Ok(Ok(found)) => Known::Known(found),
        Ok(Err(e)) => Known::Unknown(format!("the source could not be asked: {}", brief(&e))),
        Err(_) => Known::Unknown("the source did not answer within 5 s".to_owned()),
    }
}
