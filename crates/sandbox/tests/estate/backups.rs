//! Backups: real dumps through a real store, whole ones restorable, cut ones not.

use std::process::{Command, Output};

use firedrill_sandbox::estate::{
    backups::{Backups, Source},
    catalogue::DATABASE,
    store::{BUCKET, PREFIX, Store},
};
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::place::{Database, Place};

struct Scene {
    // Before the place: a server must end before its directory goes.
    database: Database,
    store: Store,
    backups: Backups,
    cancel: CancellationToken,
    place: Place,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

async fn scene(name: &str) -> Scene {
    let place = Place::new(name);
    let database = Database::start(&place).await;
    let cancel = CancellationToken::new();
    let layout = &database.layout;
    let address = database.network.socket(240, database.network.usable_port(9000).unwrap());
    let store = Store::serve(address, &layout.store(), &layout.credentials(), &database.credentials, cancel.clone())
        .await
        .unwrap();
    let source = Source {
        programs: database.server.programs.clone(),
        host: database.server.fixed.address.to_string(),
        port: database.server.fixed.port,
        password: database.credentials.backup.clone(),
        dumps: layout.dumps(),
    };
    let backups = Backups::new(source, store.clone()).unwrap();
    Scene { database, store, backups, cancel, place }
}

impl Scene {
    /// The whole object, by ranges of `range` bytes.
    async fn fetch(&self, key: &str, range: usize) -> Vec<u8> {
        let client = self.store.client();
        let head = client.head_object().bucket(BUCKET).key(key).send().await.unwrap();
        let length = usize::try_from(head.content_length().unwrap()).unwrap();
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let last = (bytes.len() + range).min(length) - 1;
            let part = client
                .get_object()
                .bucket(BUCKET)
                .key(key)
                .range(format!("bytes={}-{last}", bytes.len()))
                .send()
                .await
                .unwrap();
            assert_eq!(part.content_range().unwrap(), format!("bytes {}-{last}/{length}", bytes.len()));
            bytes.extend(part.body.collect().await.unwrap().into_bytes());
        }
        bytes
    }

    /// Restores into a new database.
    fn restore(&self, dump: &[u8], into: &str) -> Output {
        let file = self.place.path().join(format!("{into}.dump"));
        std::fs::write(&file, dump).unwrap();
        let fixed = &self.database.server.fixed;
        let run = |program: &str| {
            let mut command = Command::new(self.database.server.programs.join(program));
            command.env("PGPASSWORD", self.database.credentials.superuser.reveal());
            command.args(["-h", &fixed.address.to_string(), "-p", &fixed.port.to_string(), "-U", "postgres"]);
            command
        };
        assert!(run("createdb").arg(into).status().unwrap().success());
        run("pg_restore").args(["--exit-on-error", "-j", "2", "-d", into]).arg(&file).output().unwrap()
    }

    async fn superuser(&self, database: &str) -> PgConnection {
        PgConnection::connect_with(&self.database.server.superuser_login(database)).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_restores_whole_with_its_newest_heartbeat_and_without_the_truths_rows() {
    let scene = scene("restore").await;
    let mut shop = scene.superuser(DATABASE).await;
    sqlx::query("INSERT INTO heartbeat DEFAULT VALUES").execute(&mut shop).await.unwrap();
    let newest: String =
        sqlx::query_scalar("SELECT max(beat_at)::text FROM heartbeat").fetch_one(&mut shop).await.unwrap();
    let key = scene.backups.take().await.unwrap();
    sqlx::query("INSERT INTO heartbeat DEFAULT VALUES").execute(&mut shop).await.unwrap();

    let dump = scene.fetch(&key, 50_000).await;
    let output = scene.restore(&dump, "restored");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut restored = scene.superuser("restored").await;
    let ask = |sql: &'static str| sqlx::query_scalar::<_, String>(sql);
    let found = ask("SELECT max(beat_at)::text FROM heartbeat").fetch_one(&mut restored).await.unwrap();
    assert_eq!(found, newest, "what came after the backup began is not in it");
    for (sql, expected) in [
        ("SELECT count(*)::text FROM products", "3000"),
        (
            "SELECT count(*)::text FROM products p LEFT JOIN categories c ON c.id = p.category_id WHERE c.id IS NULL",
            "0",
        ),
        ("SELECT count(*)::text FROM order_items i LEFT JOIN orders o ON o.id = i.order_id WHERE o.id IS NULL", "0"),
        (
            "SELECT count(*)::text FROM orders o WHERE total_cents <> (SELECT sum(quantity * price_cents) FROM order_items WHERE order_id = o.id)",
            "0",
        ),
        ("SELECT count(*)::text FROM pg_namespace WHERE nspname = 'truth'", "0"),
    ] {
        assert_eq!(ask(sql).fetch_one(&mut restored).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_backup_is_there_lists_its_contents_and_does_not_restore() {
    let scene = scene("cut").await;
    let whole = scene.backups.take().await.unwrap();
    let cut = scene.backups.upload_cut("postgresql-cut/", 60).await.unwrap();
    assert_eq!(cut, whole.replace(PREFIX, "postgresql-cut/"));
    assert_eq!(scene.backups.keys().await.unwrap(), [whole.as_str()], "the good prefix stays as it was");
    let (whole, cut) = (scene.fetch(&whole, 1 << 20).await, scene.fetch(&cut, 1 << 20).await);
    assert_eq!(cut, whole[..whole.len() * 60 / 100]);
    assert!(!scene.restore(&cut, "cut").status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_object_has_its_checksum_and_only_the_newest_are_kept() {
    use aws_sdk_s3::types::ChecksumMode;
    use firedrill_sandbox::estate::backups::Pace;
    use std::time::Duration;

    let scene = scene("keep").await;
    let first = scene.backups.take().await.unwrap();
    let head = scene
        .store
        .client()
        .head_object()
        .bucket(BUCKET)
        .key(&first)
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert!(head.checksum_crc32().is_some_and(|checksum| !checksum.is_empty()), "{head:?}");
    let pace = Pace { every: Duration::from_millis(1), keep: 2 };
    let running = tokio::spawn(scene.backups.clone().run(pace, scene.cancel.clone()));
    let mut seen = std::collections::BTreeSet::from([first.clone()]);
    while seen.len() < 5 {
        let keys = scene.backups.keys().await.unwrap();
        // One more while a new one is there and the oldest not yet removed.
        assert!(keys.len() <= 3, "{keys:?}");
        assert!(keys.is_sorted());
        seen.extend(keys);
    }
    scene.cancel.cancel();
    running.await.unwrap();
    assert!(!scene.backups.keys().await.unwrap_or_default().contains(&first));
}
