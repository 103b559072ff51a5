//! A small Kubernetes API server: the kinds and verbs that disaster drills use, answered as the real one answers.
//!
//! ```text
//! kinds      the table of kinds          status     errors as Status, with code and reason
//! store      objects, revisions, logs    meta       metadata as the server keeps it
//! typed      form and defaults           rules      what each kind refuses
//! write      create, update, patch       patch      three patch formats and apply
//! delete     grace, finalizers           evict      evictions and disruption budgets
//! list       selectors, paging           watch      streams, resume, bookmarks, 410
//! scale      the scale subresource       discovery  what there is, for clients that ask
//! route      paths and queries           serve      the socket
//! ```

pub(crate) mod delete;
mod discovery;
mod events;
mod evict;
mod execute;
mod handle;
mod kinds;
mod list;
pub(crate) mod meta;
mod options;
mod patch;
pub(crate) mod pod_log;
mod reply;
mod review;
mod route;
mod rules;
mod scale;
pub(crate) mod selector;
mod serve;
mod status;
mod store;
mod strategic;
mod typed;
mod watch;
pub(crate) mod write;

pub use kinds::Kind;
pub(crate) use serve::ServeOptions;
pub use serve::{ApiServer, ServeError};
pub use status::ApiError;
pub(crate) use store::Inner;
pub use store::{Change, ChangeKind, Expired, Key, Object, Store, Subscription};
