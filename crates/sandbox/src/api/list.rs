//! Lists: selectors, pages that all show one moment, and the revision that a watch goes on from.

use serde_json::{Value, json};

use super::options::Query;
use super::route::Target;
use super::selector::{FieldSelector, LabelSelector};
use super::status::ApiError;
use super::store::{Inner, Object};

/// Which objects of a kind are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Filter {
    /// From the path and the query of a list or a watch.
    pub(crate) fn read(target: &Target, query: &Query) -> Result<Self, ApiError> {
        Ok(Self {
            namespace: target.namespace.clone(),
            labels: query.get("labelSelector").map(LabelSelector::parse).transpose()?.unwrap_or_default(),
            fields: query
                .get("fieldSelector")
                .map(|text| FieldSelector::parse(target.kind, text))
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// Whether an object is meant.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| super::meta::namespace(object) == namespace)
            && self.labels.matches(object)
            && self.fields.matches(object)
    }
}

/// One page.
#[derive(Debug)]
pub(crate) struct Page {
    /// `resourceVersion`, and where to go on.
    pub(crate) metadata: Value,
    /// The objects.
    pub(crate) items: Vec<Object>,
}

/// Reads a list, whole or by pages.
pub(crate) fn list(inner: &mut Inner, target: &Target, query: &Query) -> Result<Page, ApiError> {
    let filter = Filter::read(target, query)?;
    let limit = usize::try_from(query.number("limit")?.unwrap_or(0)).unwrap_or(0);
    if let Some(token) = query.get("continue") {
        return next_page(inner, token, limit);
    }
    check_version(inner, query)?;
    let revision = inner.revision();
    let all: Vec<Object> = inner
        .range(target.kind, filter.namespace.as_deref())
        .filter(|object| filter.matches(object))
        .cloned()
        .collect();
    if limit == 0 || all.len() <= limit {
        return Ok(Page { metadata: json!({"resourceVersion": revision.to_string()}), items: all });
    }
    let (items, rest) = all.split_at(limit);
    let remaining = rest.len();
    let id = inner.remember(revision, rest.to_vec());
    Ok(Page { metadata: page_metadata(revision, Some((id, 0)), remaining), items: items.to_vec() })
}

/// A resource version asks for a state not older, or exactly that one; only the present one is kept.
fn check_version(inner: &Inner, query: &Query) -> Result<(), ApiError> {
    let Some(version) = query.number("resourceVersion")? else { return Ok(()) };
    let current = inner.revision();
    if version > current {
        return Err(ApiError::expired(format!("too old resource version: {version} ({current})")));
    }
    if query.get("resourceVersionMatch") == Some("Exact") && version != current {
        return Err(ApiError::expired(format!("The resourceVersion for the provided list is too old: {version}")));
    }
    Ok(())
}

/// Every page reports the first page's revision: what changed while paging is seen by the watch that follows.
fn next_page(inner: &Inner, token: &str, limit: usize) -> Result<Page, ApiError> {
    let parse = |token: &str| {
        let (id, offset) = token.split_once('-')?;
        Some((id.parse::<u64>().ok()?, offset.parse::<usize>().ok()?))
    };
    let (id, offset) = parse(token).ok_or_else(|| ApiError::bad_request("continue key is not valid"))?;
    let (revision, rest) = inner.recall(id, offset).ok_or_else(|| {
        ApiError::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter.",
        )
    })?;
    let count = if limit == 0 { rest.len() } else { limit.min(rest.len()) };
    let (items, rest) = rest.split_at(count);
    let next = (!rest.is_empty()).then_some((id, offset + count));
    Ok(Page { metadata: page_metadata(revision, next, rest.len()), items: items.to_vec() })
}

fn page_metadata(revision: u64, next: Option<(u64, usize)>, remaining: usize) -> Value {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let Some((id, offset)) = next {
        metadata["continue"] = json!(format!("{id}-{offset}"));
        metadata["remainingItemCount"] = json!(remaining);
    }
    metadata
}
