//! A place where backups are kept: an S3 bucket, read only. The SDK's own retries are off, so that every repeated
//! request is one that firedrill counted.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use firedrill_core::restore::{BackupObject, Coverage, StoredChecksum};
use firedrill_core::time::Known;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// How to reach the bucket; secrets are already resolved, and never printed.
#[derive(Clone, Debug)]
pub struct BackupsAccess {
    /// The bucket.
    pub bucket: String,
    /// Keys begin with this.
    pub prefix: String,
    /// The region; `us-east-1` when `None`.
    pub region: Option<String>,
    /// The address of a compatible store; AWS when `None`.
    pub endpoint: Option<String>,
    /// Access key id and secret; the usual AWS chain (environment, profile, web identity) when `None`.
    pub keys: Option<(SecretString, SecretString)>,
}

/// Why the store did not give what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store refused the credentials or the permission.
    #[error(
        "the store refused to {doing} ({code}): check the access key, and that its policy allows s3:ListBucket and s3:GetObject here"
    )]
    Denied {
        /// What was attempted.
        doing: String,
        /// The store's own error code.
        code: String,
    },
    /// There is no such bucket, key or version.
    #[error("the store has nothing to {doing} ({code}): check bucket, prefix and key")]
    Missing {
        /// What was attempted.
        doing: String,
        /// The store's own error code.
        code: String,
    },
    /// The object is no longer the one that was pinned.
    #[error("the object changed while firedrill tried to {doing}: it is no longer {pinned}")]
    Replaced {
        /// What was attempted.
        doing: String,
        /// The `ETag` that was pinned.
        pinned: String,
    },
    /// The object lies in an archive tier and cannot be read before it is thawed.
    #[error(
        "cannot {doing}: the object is archived (InvalidObjectState); restore it to a readable storage class first"
    )]
    Archived {
        /// What was attempted.
        doing: String,
    },
    /// Worth another try: a time-out, a broken connection, 429, 5xx.
    #[error("could not {doing}: {detail}")]
    Transient {
        /// What was attempted.
        doing: String,
        /// What was seen.
        detail: String,
    },
    /// An answer that another try would not change.
    #[error("could not {doing}: {detail}")]
    Unexpected {
        /// What was attempted.
        doing: String,
        /// What was seen.
        detail: String,
    },
}

impl StoreError {
    /// Whether the same request may succeed when it is made again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// When its upload was complete, in wall-clock nanoseconds since 1970.
    pub completed_wall_ns: i64,
}

/// An open bucket.
#[derive(Clone, Debug)]
pub struct BackupStore {
    client: Client,
    bucket: String,
    prefix: String,
}

/// How long the store has to begin an answer. Bodies have their own limit, at the reader.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a request that failed for a transient reason is made again, where nobody else counts.
const TRIES: u32 = 4;

impl BackupStore {
    /// Opens a bucket. Nothing is asked of the store yet.
    pub async fn open(access: BackupsAccess) -> Self {
        let http = HttpBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let region = Region::new(access.region.unwrap_or_else(|| "us-east-1".to_owned()));
        let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http).region(region);
        let loader = match &access.keys {
            Some((id, secret)) => loader.credentials_provider(Credentials::new(
                id.expose_secret(),
                secret.expose_secret(),
                None,
                None,
                "estate",
            )),
            None => loader,
        };
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(ANSWER_TIMEOUT).build();
        let mut config = aws_sdk_s3::config::Builder::from(&loader.load().await)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = access.endpoint {
            config = config.endpoint_url(endpoint).force_path_style(true);
        }
        Self { client: Client::from_conf(config.build()), bucket: access.bucket, prefix: access.prefix }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The prefix that is looked at.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Lists the prefix page by page, handing each object to `each`: memory does not grow with the bucket.
    pub async fn list(&self, mut each: impl FnMut(Listed)) -> Result<(), StoreError> {
        let doing = format!("list s3://{}/{}", self.bucket, self.prefix);
        let mut token: Option<String> = None;
        loop {
            let page = again(|| async {
                self.client
                    .list_objects_v2()
                    .bucket(&self.bucket)
                    .prefix(&self.prefix)
                    .set_continuation_token(token.clone())
                    .send()
                    .await
                    .map_err(|e| classify(&e, &doing, ""))
            })
            .await?;
            for object in page.contents() {
                let (Some(key), Some(completed)) = (object.key(), object.last_modified()) else { continue };
                each(Listed {
                    key: key.to_owned(),
                    size_bytes: object.size().and_then(|s| u64::try_from(s).ok()).unwrap_or(0),
                    completed_wall_ns: i64::try_from(completed.as_nanos()).unwrap_or(i64::MAX),
                });
            }
            match page.next_continuation_token() {
                Some(next) if page.is_truncated() == Some(true) => token = Some(next.to_owned()),
                _ => return Ok(()),
            }
        }
    }

    /// Describes one object, with everything that a later read is pinned by.
    pub async fn describe(&self, key: &str) -> Result<BackupObject, StoreError> {
        let doing = format!("describe s3://{}/{key}", self.bucket);
        let head = again(|| async {
            self.client
                .head_object()
                .bucket(&self.bucket)
                .key(key)
                .checksum_mode(ChecksumMode::Enabled)
                .send()
                .await
                .map_err(|e| classify(&e, &doing, ""))
        })
        .await?;
        let missing = |what: &str| StoreError::Unexpected {
            doing: doing.clone(),
            detail: format!("the answer has no {what}, without which the object cannot be pinned"),
        };
        let etag = head.e_tag().ok_or_else(|| missing("ETag"))?.to_owned();
        let size = head.content_length().and_then(|s| u64::try_from(s).ok()).ok_or_else(|| missing("length"))?;
        let completed = head.last_modified().ok_or_else(|| missing("Last-Modified"))?;
        Ok(BackupObject {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            version_id: match head.version_id() {
                Some(version) if version != "null" => Known::Known(version.to_owned()),
                _ => Known::Unknown("the bucket keeps no versions".to_owned()),
            },
            checksum: stored_checksum(&head, &etag),
            etag,
            size_bytes: size,
            completed_wall_ns: i64::try_from(completed.as_nanos()).unwrap_or(i64::MAX),
            storage_class: head.storage_class().map_or("STANDARD", |c| c.as_str()).to_owned(),
        })
    }

    /// Asks for the bytes `first..=last` of a pinned object. One request, no retry: the caller counts.
    ///
    /// The pin is checked on both sides: `If-Match` asks the store, and the `ETag` of the answer is compared here,
    /// because some compatible stores ignore `If-Match` on a read.
    pub async fn range(&self, object: &BackupObject, first: u64, last: u64) -> Result<GetObjectOutput, StoreError> {
        let doing = format!("read bytes {first}-{last} of s3://{}/{}", self.bucket, object.key);
        let answer = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(&object.key)
            .set_version_id(object.version_id.known().cloned())
            .if_match(&object.etag)
            .range(format!("bytes={first}-{last}"))
            .send()
            .await
            .map_err(|e| classify(&e, &doing, &object.etag))?;
        if answer.e_tag() != Some(object.etag.as_str()) {
            return Err(StoreError::Replaced { doing, pinned: object.etag.clone() });
        }
        let expected = format!("bytes {first}-{last}/{}", object.size_bytes);
        if answer.content_range() != Some(expected.as_str()) {
            let detail = format!("asked for `{expected}`, answered `{}`", answer.content_range().unwrap_or("no range"));
            return Err(StoreError::Unexpected { doing, detail });
        }
        Ok(answer)
    }

    /// The first `length` bytes of an object that is not pinned: to read a header. Fewer when it is shorter.
    pub async fn head_bytes(&self, key: &str, length: u64) -> Result<Vec<u8>, StoreError> {
        let doing = format!("read the header of s3://{}/{key}", self.bucket);
        again(|| async {
            let answer = self
                .client
                .get_object()
                .bucket(&self.bucket)
                .key(key)
                .range(format!("bytes=0-{}", length.saturating_sub(1)))
                .send()
                .await
                .map_err(|e| classify(&e, &doing, ""))?;
            let body = answer
                .body
                .collect()
                .await
                .map_err(|e| StoreError::Transient { doing: doing.clone(), detail: chain(&e) })?;
            Ok(body.to_vec())
        })
        .await
    }
}

/// Repeats what failed for a transient reason, a few times, a little later each time.
async fn again<T, F: Future<Output = Result<T, StoreError>>>(mut ask: impl FnMut() -> F) -> Result<T, StoreError> {
    let mut tried = 1;
    loop {
        match ask().await {
            Err(e) if e.is_transient() && tried < TRIES => {
                tokio::time::sleep(Duration::from_millis(50 << tried)).await;
                tried += 1;
            }
            other => return other,
        }
    }
}

fn stored_checksum(head: &HeadObjectOutput, etag: &str) -> Known<StoredChecksum> {
    let covers = match head.checksum_type() {
        Some(ChecksumType::Composite) => Coverage::Composite,
        _ => Coverage::FullObject,
    };
    let given = [
        ("CRC64NVME", head.checksum_crc64_nvme()),
        ("SHA256", head.checksum_sha256()),
        ("SHA1", head.checksum_sha1()),
        ("CRC32C", head.checksum_crc32_c()),
        ("CRC32", head.checksum_crc32()),
    ];
    for (algorithm, value) in given {
        if let Some(value) = value {
            // Older stores do not say the type; a composite value ends in `-parts`.
            let covers = if value.contains('-') { Coverage::Composite } else { covers };
            return Known::Known(StoredChecksum { algorithm: algorithm.to_owned(), value: value.to_owned(), covers });
        }
    }
    let bare = etag.trim_matches('"');
    let is_md5 = |t: &str| t.len() == 32 && t.chars().all(|c| c.is_ascii_hexdigit());
    // An ETag is the MD5 of the content only without SSE-KMS and SSE-C.
    let encrypted = head.sse_customer_algorithm().is_some()
        || head.server_side_encryption().is_some_and(|s| s.as_str().starts_with("aws:kms"));
    match bare.split_once('-') {
        None if is_md5(bare) && !encrypted => Known::Known(StoredChecksum {
            algorithm: "MD5".to_owned(),
            value: bare.to_ascii_lowercase(),
            covers: Coverage::FullObject,
        }),
        Some((md5, _)) if is_md5(md5) && !encrypted => Known::Known(StoredChecksum {
            algorithm: "MD5".to_owned(),
            value: bare.to_owned(),
            covers: Coverage::Composite,
        }),
        _ => Known::Unknown("the store keeps no checksum of it, and its ETag is not one".to_owned()),
    }
}

fn classify<E>(error: &SdkError<E>, doing: &str, pinned: &str) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let doing = doing.to_owned();
    let SdkError::ServiceError(answer) = error else {
        let detail = chain(error);
        return match error {
            SdkError::ConstructionFailure(_) => StoreError::Unexpected { doing, detail },
            _ => StoreError::Transient { doing, detail },
        };
    };
    let status = answer.raw().status().as_u16();
    let code = answer.err().code().map_or_else(|| format!("HTTP {status}"), |c| format!("{c}, HTTP {status}"));
    match status {
        412 => StoreError::Replaced { doing, pinned: pinned.to_owned() },
        404 => StoreError::Missing { doing, code },
        403 if code.starts_with("InvalidObjectState") => StoreError::Archived { doing },
        401 | 403 => StoreError::Denied { doing, code },
        408 | 429 | 500..=599 => StoreError::Transient { doing, detail: code },
        _ => StoreError::Unexpected { doing, detail: code },
    }
}

/// An error with its sources, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
