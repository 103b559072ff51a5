//! `serve`: an estate by hand, until standard input closes or Ctrl-C. First form: databases, shop and store, no API yet.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::{ExitCode, Stdio},
    time::Duration,
};

use tokio::{process::Command, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::estate::{
    account::RunAs,
    address::Network,
    backups::{Backups, Pace, Source},
    catalogue,
    credentials::{Credentials, write_private},
    heartbeat,
    layout::Layout,
    postgres::{
        clone::clone_from,
        config::{Changing, Fixed, Fsync, Upstream},
        find_programs,
        server::{Running, Server, StopMode, login},
    },
    proxy::{self, Endpoints},
    store::Store,
    storefront,
};

type Failure = Box<dyn std::error::Error>;

/// Runs `serve DIR`.
pub(crate) fn serve_main(args: &[OsString]) -> ExitCode {
    let [dir] = args else {
        let _ = writeln!(io::stderr(), "usage: serve DIR");
        return ExitCode::from(2);
    };
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(serve(PathBuf::from(dir))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::too_many_lines, reason = "stands in for the start of a whole sandbox until the API is there")]
async fn serve(dir: PathBuf) -> Result<(), Failure> {
    let run_as = RunAs::detect()?;
    let dir = std::path::absolute(dir)?;
    let layout = Layout::new(&dir);
    layout.create(run_as)?;
    let network = Network::claim()?;
    let credentials = Credentials::random()?;
    credentials.store(&layout.credentials())?;
    let cancel = CancellationToken::new();
    let port = network.usable_port(5432)?;
    let shop_port = network.usable_port(8080)?;
    let server = |name: &str, host: u8| -> Result<Server, Failure> {
        Ok(Server {
            programs: find_programs()?,
            volume: layout.volumes().join(name),
            run_as,
            fixed: Fixed { name: name.to_owned(), address: network.host(host), port, fsync: Fsync::Off },
            superuser: credentials.superuser.clone(),
        })
    };
    let (primary, first) = start_primary(server("postgresql-0", 1)?, &credentials).await?;
    let (replica, second) = start_standby(server("postgresql-1", 2)?, &primary, &credentials).await?;

    let forward = |host: u8, port: u16, backends: Vec<SocketAddr>| {
        let listen = network.socket(host, port);
        let (sender, endpoints) = watch::channel(Endpoints { ready: backends, not_ready: Vec::new() });
        let cancel = cancel.clone();
        tokio::spawn(async move {
            proxy::run(listen, endpoints, cancel).await;
            drop(sender);
        });
        listen
    };
    let database = forward(200, port, vec![network.socket(1, port)]);
    let reading = forward(201, port, vec![network.socket(2, port)]);
    let services = [("storefront", 202, 5), ("cart", 203, 2), ("checkout", 204, 3)];
    let mut shops = Vec::new();
    let mut host = 10;
    for (role, service, replicas) in services {
        let mut backends = Vec::new();
        for _ in 0..replicas {
            host += 1;
            backends.push(network.socket(host, shop_port));
            shops.push(
                Command::new(std::env::current_exe()?)
                    .args(["sandbox-part", "storefront"])
                    .env(storefront::env::ROLE, role)
                    .env(storefront::env::PORT, shop_port.to_string())
                    .env(storefront::env::POD_IP, network.host(host).to_string())
                    .env(
                        storefront::env::DATABASE_URL,
                        format!("postgres://storefront@{database}/{}", catalogue::DATABASE),
                    )
                    .env(storefront::env::PASSWORD_FILE, layout.credentials().join("storefront"))
                    .env(storefront::env::CART, network.socket(203, shop_port).to_string())
                    .env(storefront::env::CHECKOUT, network.socket(204, shop_port).to_string())
                    .stdin(Stdio::null())
                    .kill_on_drop(true)
                    .spawn()?,
            );
        }
        forward(service, shop_port, backends);
    }
    let store =
        Store::serve(network.socket(240, 0), &layout.store(), &layout.credentials(), &credentials, cancel.clone())
            .await?;
    let source = Source {
        programs: find_programs()?,
        host: database.ip().to_string(),
        port,
        password: credentials.backup.clone(),
        dumps: layout.dumps(),
    };
    let backups = Backups::new(source, store.clone())?;
    let first_backup = backups.take().await?;
    tokio::spawn(backups.run(Pace::default(), cancel.clone()));
    let beat = login(&database.ip().to_string(), port, catalogue::DATABASE, "storefront", &credentials.storefront);
    tokio::spawn(heartbeat::run(beat, cancel.clone()));
    let url = |role: &str, password: &str, to: SocketAddr| {
        format!("postgres://{role}:{password}@{to}/{}", catalogue::DATABASE)
    };
    for (name, text) in [
        ("firedrill.url", url("firedrill", credentials.firedrill.reveal(), database)),
        ("firedrill-replica.url", url("firedrill", credentials.firedrill.reveal(), reading)),
        ("storefront.url", url("storefront", credentials.storefront.reveal(), database)),
        ("superuser.url", url("postgres", credentials.superuser.reveal(), network.socket(1, port))),
    ] {
        write_private(&layout.credentials().join(name), &text)?;
    }
    let facts = BTreeMap::from([
        ("dir", dir.display().to_string()),
        ("database", database.to_string()),
        ("replica", reading.to_string()),
        ("primaryPod", network.socket(1, port).to_string()),
        (
            "urlFiles",
            layout.credentials().join("{firedrill,firedrill-replica,storefront,superuser}.url").display().to_string(),
        ),
        ("storefront", format!("http://{}/v2/products?limit=10", network.socket(202, shop_port))),
        ("s3Endpoint", store.endpoint()),
        ("s3CredentialsFile", store.credentials_file.display().to_string()),
        ("s3Newest", format!("s3://{}/{first_backup}", crate::estate::store::BUCKET)),
        ("staging", layout.staging().display().to_string()),
    ]);
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&facts)?)?;
    let (ended, input_ended) = tokio::sync::oneshot::channel();
    // A thread, since nothing can wake a read of standard input; it ends with the process.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = ended.send(());
    });
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = input_ended => {}
    }
    cancel.cancel();
    drop(shops);
    for running in [second, first] {
        running.stop(StopMode::Immediate, Duration::from_secs(3)).await?;
    }
    drop(replica);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

async fn start_primary(server: Server, credentials: &Credentials) -> Result<(Server, Running), Failure> {
    server.make_volume()?;
    server.make_cluster().await?;
    server.configure(&Changing::default())?;
    let mut running = server.start()?;
    let within = Duration::from_secs(10);
    catalogue::create_roles(&mut running.connect(&server.superuser_login("postgres"), within).await?, credentials)
        .await?;
    catalogue::create_schema(&mut running.connect(&server.superuser_login(catalogue::DATABASE), within).await?).await?;
    Ok((server, running))
}

async fn start_standby(
    server: Server,
    primary: &Server,
    credentials: &Credentials,
) -> Result<(Server, Running), Failure> {
    server.make_volume()?;
    server.write_replication_password(&credentials.replicator)?;
    let upstream = Upstream { address: primary.fixed.address, port: primary.fixed.port, passfile: server.passfile() };
    clone_from(&server, &upstream).await?;
    server.configure(&Changing { upstream: Some(upstream), synchronous_standby: None })?;
    let mut running = server.start()?;
    running.connect(&server.superuser_login("postgres"), Duration::from_secs(10)).await?;
    Ok((server, running))
}
