//! A connection to a web service: TCP, and TLS over it where the URL says so.

use crate::ask::Miss;
use firedrill_core::sample::Failure;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// A stream of bytes in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// Where to connect, and how.
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<Tls>,
}

/// TLS to a server of a given name.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts what this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured).
    ///
    /// # Errors
    /// A sentence, when the machine trusts nobody or the host is no name that a certificate could have.
    pub(crate) fn new(host: &str) -> Result<Self, String> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(loaded.certs);
        if added == 0 {
            return Err(
                "https needs trusted certificates and this machine has none: install `ca-certificates` or set \
                        SSL_CERT_FILE"
                    .to_owned(),
            );
        }
        Self::trusting(host, roots)
    }

    /// Trusts these roots.
    pub(crate) fn trusting(host: &str, roots: RootCertStore) -> Result<Self, String> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS cannot be set up: {e}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("`{host}` is neither a host name nor an address, which https needs"))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

/// Connects by TCP; `host` may be a name or an address.
pub(crate) async fn tcp(host: &str, port: u16) -> Result<TcpStream, Miss> {
    let stream = TcpStream::connect((host, port)).await.map_err(|e| Miss::from_io(&e, Failure::Refused))?;
    // A request is one small write, and must not wait for an acknowledgement.
    stream.set_nodelay(true).map_err(|e| Miss::from_io(&e, Failure::Broken))?;
    Ok(stream)
}

/// Connects, with TLS where the endpoint has it.
pub(crate) async fn connect(endpoint: &Endpoint) -> Result<Box<dyn Duplex>, Miss> {
    let stream = tcp(&endpoint.host, endpoint.port).await?;
    let Some(tls) = &endpoint.tls else { return Ok(Box::new(stream)) };
    let stream =
        tls.connector.connect(tls.name.clone(), stream).await.map_err(|e| Miss::from_io(&e, Failure::Login))?;
    Ok(Box::new(stream))
}
