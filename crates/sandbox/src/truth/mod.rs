//! The truth: when each service really stopped and started answering, recorded by a process of its own.
//!
//! It shares nothing with whoever measures: own sockets, own protocol code, own clock readings, own file. A service is
//! *down* at t when a request sent at t is not answered correctly within the declared timeout. Every edge is recorded
//! as the two send times that enclose it, so the file states its own resolution.
//!
//! One thread, one `poll`: calm while all is well, dense from the first sign of trouble. Signs are
//! connections that close, a postmaster that ends (pidfd), endpoints that change (API watch).

mod conversation;
mod http;
mod outage;
mod postgres;
mod process;
mod record;
mod run;
mod settings;
mod topology;
mod view;

pub use outage::{Outage, outages, read_outages};
pub use record::{Interval, Record, ViewKind};
pub use run::truth_main;
pub use settings::{Protocol, ServiceSettings, TruthSettings, ViewSettings};
