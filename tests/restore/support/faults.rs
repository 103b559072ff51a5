//! What goes wrong between the client and the S3 server, by script: one fault for each of the next ranged reads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub enum Fault {
    /// Served as it is.
    None,
    /// An error answer with this status.
    Status(u16),
    /// The body breaks off after so many bytes.
    Cut(usize),
    /// Something happens before the request is served.
    Before(Box<dyn FnOnce() + Send>),
}

#[derive(Clone, Default)]
pub struct Faults(Arc<Inner>);

#[derive(Default)]
struct Inner {
    script: Mutex<VecDeque<Fault>>,
    always: Mutex<Option<u16>>,
    ignores_if_match: AtomicBool,
    ranged_reads: AtomicUsize,
    lists: AtomicUsize,
}

impl Faults {
    /// The fates of the next ranged reads in the order in which they come.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.script.lock().unwrap().extend(faults);
    }

    /// Every ranged read from now on is answered with this status.
    pub fn always(&self, status: u16) {
        *self.0.always.lock().unwrap() = Some(status);
    }

    /// As some compatible stores do.
    pub fn ignore_if_match(&self) {
        self.0.ignores_if_match.store(true, Ordering::SeqCst);
    }

    pub fn honours_if_match(&self) -> bool {
        !self.0.ignores_if_match.load(Ordering::SeqCst)
    }

    pub fn of_ranged_read(&self) -> Fault {
        self.0.ranged_reads.fetch_add(1, Ordering::SeqCst);
        if let Some(status) = *self.0.always.lock().unwrap() {
            return Fault::Status(status);
        }
        self.0.script.lock().unwrap().pop_front().unwrap_or(Fault::None)
    }

    pub fn ranged_reads(&self) -> usize {
        self.0.ranged_reads.load(Ordering::SeqCst)
    }

    pub fn saw_list(&self) {
        self.0.lists.fetch_add(1, Ordering::SeqCst);
    }

    pub fn lists(&self) -> usize {
        self.0.lists.load(Ordering::SeqCst)
    }
}
