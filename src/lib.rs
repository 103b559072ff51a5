//! firedrill executes disaster-recovery drills and proves what they showed.
//!
//! The map, from the top; each part knows those below it and none above:
//!
//! ```text
//! cli       words in, exit code out; the only place that prints
//! page      the daemon's page, metrics and health, on loopback
//! daemon    begins drills on time, and accounts for every firing
//! doctor    whether what drills need is there: files, rights, secrets, servers, programs
//! agent     what this program does in a pod on a target's node: kills or stops one container's processes
//! runner    one order of events, each durable before it counts; a crew that does what the core's `next` says
//! effects   the only place that changes the world: apply, look, undo, each with a permit
//! works     long work with phases: restores, reading the ledger back
//! faults    what is done to a target: a read-only survey, a plan made of effects, a pure test of landing
//! guards    what must hold before anything is touched
//! targets   finding and looking, read-only by type
//! scratch   a throwaway PostgreSQL that ends with its runner
//! halt      the file that stops every runner beside it
//! store     the journal, and the permits that only it gives
//! filers    where reports go
//! render    a report as HTML, Markdown, JUnit, JSON, terminal
//! spec      YAML to types, with a place for every mistake
//! ```
//!
//! Below them is `firedrill_probes`: open-loop samplers on threads of their own, and the one clock of all measuring. Below
//! all is `firedrill_core`: the drill's state, the rules of measuring, the verdict and the report, without a runtime, a
//! cluster or a clock. What must always hold:
//!
//! - An intent, with the state before it, is durable before its effect; an effect without one does not compile.
//! - Undo writes only what is still ours, and a drill is never closed while anything is owed.
//! - State and report are made of records and samples alone, so a dead runner's drill ends as a live one's.
//! - What nobody saw is unknown, never a default.

pub mod agent;
pub mod cli;
pub mod daemon;
pub mod doctor;
pub mod effects;
pub mod faults;
pub mod filers;
pub mod guards;
pub mod halt;
pub mod page;
pub mod render;
pub mod runner;
pub mod scratch;
pub mod spec;
pub mod store;
pub mod targets;
pub mod works;

pub use firedrill_probes as probes;
pub use firedrill_probes::clock;
