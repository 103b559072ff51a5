//! What the sandbox holds besides the API: databases, proxies, a storefront, a store of backups.
//!
//! ```text
//! address      the sandbox's own loopback /24, and who listens where
//! layout       the directories under the sandbox's directory
//! credentials  passwords made at start, kept in files and Secrets
//! account      the unprivileged account that PostgreSQL runs as
//! plan         who lives where; manifests: the same as Kubernetes objects
//! postgres/    the agent in each database pod: bootstrap, clone, lead, promote, fence
//! client       Kubernetes clients of the estate's own programs
//! catalogue    schema and seed data of the shop
//! endpoints    the watch that feeds the proxies
//! proxy        one TCP proxy a Service, following ready endpoints
//! storefront/  the shop's HTTP services
//! store        the S3 server
//! backups      the loop that dumps the database into the store
//! heartbeat    the row whose newest time tells how old a restored copy is
//! ```

pub mod account;
pub mod address;
pub mod apply;
pub mod backups;
pub mod catalogue;
pub mod client;
pub mod credentials;
pub mod endpoints;
pub mod heartbeat;
pub mod layout;
pub mod manifests;
pub mod plan;
pub mod postgres;
pub mod proxy;
pub mod store;
pub mod storefront;
