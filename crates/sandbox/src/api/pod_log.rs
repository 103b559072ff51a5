//! The `log` subresource of pods: what their processes wrote.

use std::fs;
use std::path::{Path, PathBuf};

use super::meta;
use super::options::Query;
use super::status::ApiError;
use super::store::Object;

/// The file into which a container's process writes.
pub(crate) fn file(logs: &Path, namespace: &str, pod: &str, container: &str) -> PathBuf {
    logs.join(format!("{namespace}_{pod}_{container}.log"))
}

/// The log of one container, or its last lines.
pub(crate) fn read(logs: &Path, pod: &Object, query: &Query) -> Result<String, ApiError> {
    let containers = meta::items(pod, "/spec/containers");
    let named = |container: &&serde_json::Value| {
        query.get("container").is_none_or(|wanted| meta::text(container, "/name") == wanted)
    };
    let container = containers.iter().find(named).ok_or_else(|| {
        let wanted = query.get("container").unwrap_or_default();
        ApiError::bad_request(format!("container {wanted} is not valid for pod {}", meta::name(pod)))
    })?;
    let path = file(logs, meta::namespace(pod), meta::name(pod), meta::text(container, "/name"));
    // A process that has written nothing yet has no file.
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let Some(count) = query.number("tailLines")?.and_then(|count| usize::try_from(count).ok()) else { return Ok(text) };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    Ok(lines[lines.len().saturating_sub(count)..].concat())
}
