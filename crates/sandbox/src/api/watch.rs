//! Watches: a stream of events from a revision on, with bookmarks, and 410 as an event inside a stream that began well.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::kinds::Kind;
use super::list::Filter;
use super::options::Query;
use super::reply::{Body, Broken, Form, present, typed_response};
use super::route::Target;
use super::status::ApiError;
use super::store::{Change, ChangeKind, Object, Store, Subscription};

/// How long a watch lives when the client does not say.
const LIFE_DEFAULT: Duration = Duration::from_mins(30);
/// How often a quiet watch that asked for bookmarks hears of the revision.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(10);
/// The annotation that ends the initial events of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// What ends watches from outside.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// The server closes: streams end well.
    pub(crate) closing: CancellationToken,
    /// This watch is cut by a fault: the connection breaks.
    pub(crate) cut: Arc<CancellationToken>,
}

/// A watch as its request asked for it.
struct Watch {
    subscription: Subscription,
    target: Target,
    filter: Filter,
    form: Form,
    bookmarks: bool,
    deadline: Instant,
    /// Text that waits to be sent.
    pending: Vec<u8>,
    ends: Ends,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Live,
    /// The last line is in `pending`.
    Last,
}

/// Begins a watch. Errors of the request itself are answered as such; a version that is gone is an event.
pub(crate) fn begin(
    store: &Arc<Store>,
    target: &Target,
    query: &Query,
    form: Form,
    ends: Ends,
) -> Result<Response<Body>, ApiError> {
    let filter = Filter::read(target, query)?;
    let life = query.number("timeoutSeconds")?.map_or(LIFE_DEFAULT, Duration::from_secs);
    let version = query.number("resourceVersion")?.unwrap_or(0);
    let initial = query.is_on("sendInitialEvents");
    let (objects, subscription) = if version == 0 || initial {
        store.list_and_subscribe(target.kind)
    } else {
        (Vec::new(), store.subscribe(target.kind, version))
    };
    let mut watch = Watch {
        subscription,
        target: target.clone(),
        filter,
        form,
        bookmarks: query.is_on("allowWatchBookmarks"),
        deadline: Instant::now() + life,
        pending: Vec::new(),
        ends,
        state: State::Live,
    };
    watch.initial(&objects);
    if initial {
        watch.bookmark(json!({INITIAL_EVENTS_END: "true"}));
    }
    let lines = stream::unfold(watch, |mut watch| async move {
        let piece = watch.next().await?;
        Some((piece.map(Frame::data), watch))
    });
    Ok(typed_response(200, "application/json", BodyExt::boxed_unsync(StreamBody::new(lines))))
}

impl Watch {
    /// The next piece of the stream; `None` ends it.
    async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            if !self.pending.is_empty() {
                return Some(Ok(Bytes::from(std::mem::take(&mut self.pending))));
            }
            if self.state == State::Last {
                return None;
            }
            tokio::select! {
                biased;
                () = self.ends.cut.cancelled() => return Some(Err("the watch was cut".into())),
                () = self.ends.closing.cancelled() => return None,
                changes = self.subscription.next() => match changes {
                    Ok(changes) => changes.iter().for_each(|change| self.tell(change)),
                    Err(expired) => {
                        self.line("ERROR", &ApiError::expired(expired.to_string()).to_value());
                        self.state = State::Last;
                    }
                },
                () = tokio::time::sleep_until(self.deadline) => return None,
                () = tokio::time::sleep(BOOKMARK_PERIOD), if self.bookmarks => self.bookmark(Value::Null),
            }
        }
    }

    fn initial(&mut self, objects: &[Object]) {
        for object in objects {
            if self.filter.matches(object) {
                self.line("ADDED", &present(object, &self.target, self.form));
            }
        }
    }

    /// One change as this watch sees it: entering the selection is an addition, leaving it a deletion.
    fn tell(&mut self, change: &Change) {
        let was = change.before.as_ref().is_some_and(|before| self.filter.matches(before));
        let is = change.kind != ChangeKind::Deleted && self.filter.matches(&change.object);
        let told = match (was, is) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return,
        };
        self.line(told, &present(&change.object, &self.target, self.form));
    }

    fn bookmark(&mut self, annotations: Value) {
        let kind: Kind = self.target.kind;
        let mut object = json!({
            "kind": kind.name(), "apiVersion": self.target.api_version,
            "metadata": {"resourceVersion": self.subscription.cursor().to_string(), "creationTimestamp": null},
        });
        if self.form == Form::Metadata {
            object["kind"] = json!("PartialObjectMetadata");
            object["apiVersion"] = json!("meta.k8s.io/v1");
        }
        if !annotations.is_null() {
            object["metadata"]["annotations"] = annotations;
        }
        self.line("BOOKMARK", &object);
    }

    fn line(&mut self, kind: &str, object: &Value) {
        // Writing a JSON value into memory cannot fail.
        let _ = serde_json::to_writer(&mut self.pending, &json!({"type": kind, "object": object}));
        self.pending.push(b'\n');
    }
}
