//! Paths and methods: which verb on which object is meant.

use super::kinds::{Kind, Manner, Scope};
use super::options::{Query, decode};
use super::status::ApiError;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Read one.
    Get,
    /// Read many.
    List,
    /// Follow.
    Watch,
    /// Make one.
    Create,
    /// Replace one.
    Update,
    /// Change one.
    Patch,
    /// Delete one.
    Delete,
    /// Delete many.
    DeleteCollection,
}

impl Verb {
    /// The verb as roles and audit logs call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Whether it changes anything.
    pub(crate) fn mutates(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// Which object or objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Their kind.
    pub(crate) kind: Kind,
    /// The API version that the path names: Events have two.
    pub(crate) api_version: String,
    /// The namespace, or all of them.
    pub(crate) namespace: Option<String>,
    /// The name, empty for a collection.
    pub(crate) name: String,
    /// `status`, `scale`, `eviction`, `log`; empty for the object itself.
    pub(crate) subresource: String,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// To objects.
    Resource(Verb, Target),
    /// To the question whether one may do something.
    AccessReview,
    /// To the question who one is.
    IdentityReview,
    /// To what describes the API or the server; the path without its slashes at the ends.
    Information(String),
}

/// Finds the route of a request. `installed` says whether a custom kind is served.
pub(crate) fn route(
    method: &str,
    path: &str,
    query: &Query,
    installed: impl Fn(Kind) -> bool,
) -> Result<Route, ApiError> {
    let parts: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return information(method, path),
    };
    if rest.is_empty() {
        return information(method, path);
    }
    if (group, version, rest) == ("authorization.k8s.io", "v1", &["selfsubjectaccessreviews"][..]) {
        return if method == "POST" { Ok(Route::AccessReview) } else { Err(ApiError::method_not_allowed()) };
    }
    if (group, version, rest) == ("authentication.k8s.io", "v1", &["selfsubjectreviews"][..]) {
        return if method == "POST" { Ok(Route::IdentityReview) } else { Err(ApiError::method_not_allowed()) };
    }
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..] if !["status", "finalize"].contains(plural) => {
            (Some((*namespace).to_owned()), [&[*plural], rest].concat())
        }
        _ => (None, rest.to_vec()),
    };
    let (plural, name, subresource) = match rest.as_slice() {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, subresource] => (*plural, *name, *subresource),
        _ => return Err(ApiError::no_such_path()),
    };
    let kind = served(group, version, plural)
        .filter(|kind| !kind.has(Manner::Custom) || installed(*kind))
        .ok_or_else(|| nowhere(group, &installed))?;
    let cluster_wide = kind.info().scope == Scope::Cluster;
    if (cluster_wide && namespace.is_some()) || (!cluster_wide && namespace.is_none() && !name.is_empty()) {
        return Err(ApiError::no_such_path());
    }
    if !subresource.is_empty() && !has_subresource(kind, subresource) {
        return Err(ApiError::no_such_path());
    }
    let verb = verb(method, name, subresource, query)?;
    if verb == Verb::Create && !cluster_wide && namespace.is_none() {
        return Err(ApiError::method_not_allowed());
    }
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let target = Target { kind, api_version, namespace, name: name.to_owned(), subresource: subresource.to_owned() };
    Ok(Route::Resource(verb, target))
}

fn information(method: &str, path: &str) -> Result<Route, ApiError> {
    if method == "GET" {
        Ok(Route::Information(path.trim_matches('/').to_owned()))
    } else {
        Err(ApiError::method_not_allowed())
    }
}

fn served(group: &str, version: &str, plural: &str) -> Option<Kind> {
    if (group, version, plural) == ("events.k8s.io", "v1", "events") {
        return Some(Kind::Event);
    }
    Kind::ALL.iter().copied().find(|kind| {
        let info = kind.info();
        info.group == group && info.version == version && info.plural == plural
    })
}

/// What is said of a kind that is not served: it depends on whether anything of its group is.
fn nowhere(group: &str, installed: impl Fn(Kind) -> bool) -> ApiError {
    let known = |kind: &Kind| kind.info().group == group && (!kind.has(Manner::Custom) || installed(*kind));
    if Kind::ALL.iter().any(known) { ApiError::no_such_path() } else { ApiError::no_such_group() }
}

/// Whether a kind has a subresource.
pub(crate) fn has_subresource(kind: Kind, name: &str) -> bool {
    match name {
        "status" => kind.has(Manner::Status),
        "scale" => kind.has(Manner::Scale),
        "eviction" | "log" => kind == Kind::Pod,
        _ => false,
    }
}

fn verb(method: &str, name: &str, subresource: &str, query: &Query) -> Result<Verb, ApiError> {
    let verb = match (method, name.is_empty(), subresource) {
        ("GET", true, _) if query.is_on("watch") => Verb::Watch,
        ("GET", true, _) => Verb::List,
        ("POST", true, _) | ("POST", false, "eviction") => Verb::Create,
        ("DELETE", true, _) => Verb::DeleteCollection,
        ("DELETE", false, "") => Verb::Delete,
        ("GET", false, "" | "status" | "scale" | "log") => Verb::Get,
        ("PUT", false, "" | "status" | "scale") => Verb::Update,
        ("PATCH", false, "" | "status" | "scale") => Verb::Patch,
        _ => return Err(ApiError::method_not_allowed()),
    };
    Ok(verb)
}

#[cfg(test)]
mod tests {
    use super::{Query, Route, Verb, route};
    use crate::api::Kind;

    fn found(method: &str, path: &str, query: &str) -> Option<(Verb, Kind, Option<String>, String, String)> {
        match route(method, path, &Query::parse(query), |_| false).ok()? {
            Route::Resource(verb, to) => Some((verb, to.kind, to.namespace, to.name, to.subresource)),
            _ => None,
        }
    }

    #[test]
    fn paths_lead_to_objects() {
        let some = |text: &str| Some(text.to_owned());
        let own = str::to_owned;
        assert_eq!(found("GET", "/api/v1/pods", "watch=1"), Some((Verb::Watch, Kind::Pod, None, own(""), own(""))));
        assert_eq!(
            found("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web/scale", ""),
            Some((Verb::Patch, Kind::Deployment, some("shop"), own("web"), own("scale")))
        );
        assert_eq!(
            found("DELETE", "/api/v1/namespaces/shop", ""),
            Some((Verb::Delete, Kind::Namespace, None, own("shop"), own("")))
        );
        assert_eq!(
            found("PUT", "/api/v1/namespaces/shop/status", ""),
            Some((Verb::Update, Kind::Namespace, None, own("shop"), own("status")))
        );
        assert_eq!(
            found("GET", "/apis/events.k8s.io/v1/namespaces/shop/events", ""),
            Some((Verb::List, Kind::Event, some("shop"), own(""), own("")))
        );
    }

    #[test]
    fn what_is_not_served_is_not_found() {
        let text = "/apis/keda.sh/v1alpha1/scaledobjects";
        for (path, reason) in
            [("/apis/apps/v1beta1/deployments", "NotFound"), ("/api/v1/gadgets", "NotFound"), (text, "")]
        {
            let error = route("GET", path, &Query::default(), |_| false).expect_err(path);
            assert_eq!((error.code, error.reason), (404, reason), "{path}");
        }
        assert!(route("GET", "/apis/keda.sh/v1alpha1/scaledobjects", &Query::default(), |_| true).is_ok());
        assert_eq!(route("POST", "/api/v1/pods", &Query::default(), |_| false).expect_err("no namespace").code, 405);
    }
}
