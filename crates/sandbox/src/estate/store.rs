//! The S3 server: s3s over a directory, on loopback, with a key of its own.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials as AwsCredentials, Region},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::credentials::{Credentials, write_private};

/// The bucket that holds the backups.
pub const BUCKET: &str = "dr-backups";
/// Where in the bucket the database's dumps lie.
pub const PREFIX: &str = "postgresql/";
/// The region the store says it is in.
pub const REGION: &str = "us-east-1";

/// A store that is being served.
#[derive(Debug, Clone)]
pub struct Store {
    /// Where it listens.
    pub address: SocketAddr,
    /// A credentials file in the form the AWS tools read.
    pub credentials_file: PathBuf,
    client: Client,
}

impl Store {
    /// Serves `root` at `address` until cancelled; makes the bucket. The credentials file is written into `secrets`.
    ///
    /// # Errors
    /// When the address cannot be listened on or the directory not be written.
    pub async fn serve(
        address: SocketAddr,
        root: &Path,
        secrets: &Path,
        credentials: &Credentials,
        cancel: CancellationToken,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(root.join(BUCKET))?;
        let files = s3s_fs::FileSystem::new(root).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let (access, secret) = (credentials.s3_access_key.reveal(), credentials.s3_secret_key.reveal());
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(access, secret));
        let service = builder.build();
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = cancel.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let (service, cancel) = (service.clone(), cancel.clone());
                tokio::spawn(async move {
                    let http = Builder::new(TokioExecutor::new());
                    tokio::select! {
                        () = cancel.cancelled() => {}
                        _ = http.serve_connection(TokioIo::new(stream), service) => {}
                    }
                });
            }
        });
        let credentials_file = secrets.join("s3-credentials.ini");
        write_private(
            &credentials_file,
            &format!("[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"),
        )?;
        let client = client(address, access, secret);
        Ok(Self { address, credentials_file, client })
    }

    /// The endpoint as a URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client that may read and write everything in it.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// A client of a store at `address`. Path style: there are no host names here.
fn client(address: SocketAddr, access: &str, secret: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(format!("http://{address}"))
        .force_path_style(true)
        .credentials_provider(AwsCredentials::new(access, secret, None, None, "sandbox"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}
