//! A real S3 server on loopback, with faults between it and its clients.

use super::directory::Directory;
use super::faults::{Fault, Faults};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;
use firedrill::targets::backups::{BackupStore, BackupsAccess};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use secrecy::SecretString;
use std::convert::Infallible;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type StdError = Box<dyn std::error::Error + Send + Sync>;
type Body = BoxBody<Bytes, StdError>;

const ACCESS: &str = "drill-access";
const SECRET: &str = "drill-secret";
pub const BUCKET: &str = "backups";

pub struct S3Server {
    pub faults: Faults,
    endpoint: String,
    directory: Directory,
    client: Client,
    serving: JoinHandle<()>,
}

impl S3Server {
    pub async fn start() -> Self {
        let directory = Directory::new("s3");
        std::fs::create_dir(directory.join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS, SECRET));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let faults = Faults::default();
        let between = faults.clone();
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, faults) = (service.clone(), between.clone());
                tokio::spawn(async move {
                    let answer = service_fn(move |request| answer(service.clone(), faults.clone(), request));
                    // A cut body ends the connection with an error: that is the fault.
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await;
                });
            }
        });
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(ACCESS, SECRET, None, None, "test"))
            .endpoint_url(&endpoint)
            .force_path_style(true)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Self { faults, endpoint, directory, client: Client::from_conf(config), serving }
    }

    /// As the estate would describe it.
    pub fn access(&self, prefix: &str) -> BackupsAccess {
        BackupsAccess {
            bucket: BUCKET.to_owned(),
            prefix: prefix.to_owned(),
            region: None,
            endpoint: Some(self.endpoint.clone()),
            keys: Some((SecretString::from(ACCESS), SecretString::from(SECRET))),
        }
    }

    pub async fn store(&self, prefix: &str) -> BackupStore {
        BackupStore::open(self.access(prefix)).await
    }

    /// With the wrong secret.
    pub async fn store_with_wrong_secret(&self, prefix: &str) -> BackupStore {
        let keys = Some((SecretString::from(ACCESS), SecretString::from("not it")));
        BackupStore::open(BackupsAccess { keys, ..self.access(prefix) }).await
    }

    pub async fn put(&self, key: &str, bytes: &[u8], algorithm: ChecksumAlgorithm) {
        let put = self.client.put_object().bucket(BUCKET).key(key).checksum_algorithm(algorithm);
        put.body(bytes.to_vec().into()).send().await.unwrap();
    }

    /// Where the server keeps an object's bytes: to damage them behind its back.
    pub fn file_of(&self, key: &str) -> PathBuf {
        self.directory.join(BUCKET).join(key)
    }

    /// Sets when an object's upload was complete.
    pub fn completed(&self, key: &str, at: jiff::Timestamp) {
        let file = std::fs::File::options().write(true).open(self.file_of(key)).unwrap();
        file.set_modified(at.into()).unwrap();
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn plain(status: u16) -> Response<Body> {
    let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
    Response::builder().status(status).body(body).unwrap()
}

async fn answer(service: S3Service, faults: Faults, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let if_match = request.headers().get(header::IF_MATCH).cloned();
    if request.uri().query().is_some_and(|q| q.contains("list-type=2")) {
        faults.saw_list();
    }
    let pinned_range = request.headers().contains_key(header::RANGE) && if_match.is_some();
    let fault = if pinned_range { faults.of_ranged_read() } else { Fault::None };
    let cut = match fault {
        Fault::None => None,
        Fault::Status(status) => return Ok(plain(status)),
        Fault::Cut(after) => Some(after),
        Fault::Before(happens) => {
            happens();
            None
        }
    };
    let Ok(response) = service.call(request.map(s3s::Body::from)).await else { return Ok(plain(500)) };
    let etag = response.headers().get(header::ETAG);
    if faults.honours_if_match() && if_match.is_some() && response.status().is_success() && etag != if_match.as_ref() {
        return Ok(plain(412));
    }
    let (parts, body) = response.into_parts();
    // The dumps of these tests are small: an answer is gathered whole.
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body = match cut {
        None => Full::new(bytes).map_err(|never| match never {}).boxed(),
        Some(after) => {
            let kept = bytes.slice(..after.min(bytes.len()));
            let frames = [Ok(Frame::data(kept)), Err(StdError::from("cut by the test"))];
            StreamBody::new(futures_util::stream::iter(frames)).boxed()
        }
    };
    Ok(Response::from_parts(parts, body))
}
