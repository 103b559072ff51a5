//! The open-loop sampler: one thread, one runtime and one schedule for each stream, so that nothing else in the
//! process, not even another stream, delays a request.

use crate::ask::{Answer, Ask, Cause, Condition, Miss, Opening};
use crate::book::Book;
use crate::clock;
use crate::detour::Detour;
use crate::schedule::Schedule;
use crate::slots::{self, Slots};
use crate::stalls::Stalls;
use crate::timer::Timer;
use firedrill_core::sample::{Failure, Outcome, Sample, View};
use firedrill_core::time::{Mono, Nanos};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinSet, LocalSet};
use tokio_util::sync::CancellationToken;

/// The thread looks around at least this often, also when nothing is due: to see its own stalls, and to show itself.
const HEARTBEAT: Nanos = Nanos::from_ms(20);
/// How long a goodbye may take; nobody waits for it.
const PARTING: Duration = Duration::from_secs(1);

/// How a stream is to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) view: View,
    pub(crate) period: Nanos,
    pub(crate) timeout: Nanos,
    /// A correct answer that took longer is too slow.
    pub(crate) latency: Option<Nanos>,
    /// The most connections at a time.
    pub(crate) slots_cap: usize,
    /// When the first request is due.
    pub(crate) first: Mono,
    /// What is known of the way, when it is not the users' own.
    pub(crate) detour: Option<Detour>,
}

/// An attempt to connect.
type Attempt<C> = Pin<Box<dyn Future<Output = Result<C, Miss>>>>;
/// What a slot of this stream holds.
type Held<C> = slots::Held<C, Attempt<C>>;

/// What the tasks of one stream share. They run on one thread and never hold it across an await.
struct Desk<C> {
    manner: Manner,
    slots: Slots<C, Attempt<C>>,
    stalls: Stalls,
    book: Book,
}

/// Asks until `stop`, then waits for what is under way: at most the timeout.
pub(crate) async fn sample<A: Ask>(ask: A, manner: Manner, timer: Timer, book: Book, stop: CancellationToken) {
    let ask = Rc::new(ask);
    let mut schedule = Schedule::new(manner.first, manner.period);
    let desk = Rc::new(RefCell::new(Desk {
        slots: Slots::new(manner.period, manner.timeout, manner.slots_cap),
        stalls: Stalls::new(Nanos(manner.timeout.0 * 4 + 10_000_000_000)),
        book,
        manner,
    }));
    let mut requests = JoinSet::new();
    loop {
        let wake = schedule.next_due().min(clock::now().plus(HEARTBEAT));
        desk.borrow_mut().stalls.sleeps_until(wake);
        tokio::select! { biased;
            () = stop.cancelled() => {
                desk.borrow_mut().stalls.woke(clock::now());
                break;
            }
            woken = timer.until(wake) => woken.expect("the kernel's timer failed while it was in use"),
        }
        let now = clock::now();
        desk.borrow_mut().stalls.woke(now);
        let due = schedule.take(now);
        for seq in due.missed {
            desk.borrow_mut().book.unknown(seq, schedule.due(seq));
        }
        for seq in due.send {
            begin(&ask, &desk, &mut requests, seq, schedule.due(seq));
        }
        while let Some(ended) = requests.try_join_next() {
            surface(ended);
        }
        let desk = &mut *desk.borrow_mut();
        desk.book.look(now, desk.slots.busy());
        if let Some(surplus) = desk.slots.retire(now) {
            part(&ask, surplus);
        }
    }
    drain(&desk, &timer, &mut requests).await;
    let spare = desk.borrow_mut().slots.drain();
    let goodbyes: Vec<_> = spare.into_iter().map(|connection| part(&ask, connection)).collect();
    for goodbye in goodbyes {
        surface(goodbye.await);
    }
    desk.borrow_mut().book.close(clock::now());
}

/// Waits for what is under way, and goes on looking at its own stalls meanwhile.
async fn drain<C>(desk: &RefCell<Desk<C>>, timer: &Timer, requests: &mut JoinSet<()>) {
    loop {
        let wake = clock::now().plus(HEARTBEAT);
        desk.borrow_mut().stalls.sleeps_until(wake);
        tokio::select! { biased;
            ended = requests.join_next() => match ended {
                Some(ended) => surface(ended),
                None => return,
            },
            woken = timer.until(wake) => woken.expect("the kernel's timer failed while it was in use"),
        }
        desk.borrow_mut().stalls.woke(clock::now());
    }
}

/// Runs a future of one stream on this thread, on a runtime of its own.
pub(crate) fn run<F: Future<Output = ()>>(runtime: &tokio::runtime::Runtime, stream: F) {
    LocalSet::new().block_on(runtime, stream);
}

/// The runtime of one stream.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Names are resolved on threads beside this one; a resolver that hangs must not take many of them.
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::from_secs(2))
        // Look at the sockets and the timer often, also while there is other work.
        .event_interval(7)
        .build()
}

/// A panic in a request is a bug of ours and must not look like an outage.
fn surface(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// Says goodbye beside everything else.
fn part<A: Ask>(ask: &Rc<A>, connection: A::Connection) -> tokio::task::JoinHandle<()> {
    let ask = Rc::clone(ask);
    tokio::task::spawn_local(async move {
        let _ = tokio::time::timeout(PARTING, ask.part(connection)).await;
    })
}

/// Sends the request `seq`, when there is a slot for it.
fn begin<A: Ask>(
    ask: &Rc<A>,
    desk: &Rc<RefCell<Desk<A::Connection>>>,
    requests: &mut JoinSet<()>,
    seq: u64,
    due: Mono,
) {
    let taken = {
        let desk = &mut *desk.borrow_mut();
        let taken = desk.slots.take(clock::now());
        if taken.is_none() {
            desk.book.unknown(seq, due);
        }
        taken
    };
    if let Some(taken) = taken {
        requests.spawn_local(request(Rc::clone(ask), Rc::clone(desk), taken, seq, due));
    }
}

/// One request, from the slot it took to the sample it leaves.
async fn request<A: Ask>(
    ask: Rc<A>,
    desk: Rc<RefCell<Desk<A::Connection>>>,
    taken: Held<A::Connection>,
    seq: u64,
    due: Mono,
) {
    let sent = clock::now();
    let (reply, held) = attempt(&ask, &desk, taken, seq, sent).await;
    let done = clock::now();
    let leftover = {
        let desk = &mut *desk.borrow_mut();
        let outcome = desk.judge(reply, sent, done);
        match desk.believe(outcome, sent, done) {
            Outcome::Unknown => desk.book.unknown(seq, due),
            outcome => desk.book.enter(Sample { seq, due_ns: due, sent_ns: sent, done_ns: done, outcome }),
        }
        match desk.manner.view {
            View::Kept => {
                desk.slots.free(held, done);
                None
            }
            View::Fresh => {
                desk.slots.free(Held::Nothing, done);
                if let Held::Open(connection) = held { Some(connection) } else { None }
            }
        }
    };
    if let Some(connection) = leftover {
        part(&ask, connection);
    }
}

/// What came of asking: an answer, a miss, or nothing by the deadline.
type Reply = Option<Result<Answer, Miss>>;

/// Connects where needed and asks, until the deadline. What can be used again comes back; a request without an answer
/// takes its connection with it.
async fn attempt<A: Ask>(
    ask: &Rc<A>,
    desk: &RefCell<Desk<A::Connection>>,
    taken: Held<A::Connection>,
    seq: u64,
    sent: Mono,
) -> (Reply, Held<A::Connection>) {
    let open = || -> Attempt<A::Connection> {
        let ask = Rc::clone(ask);
        Box::pin(async move { ask.connect().await })
    };
    let (mut opening, begun) = match taken {
        Held::Open(connection) if ask.condition(&connection) == Condition::Usable => {
            return over(&**ask, desk, connection, seq, sent).await;
        }
        Held::Opening(opening, begun) => (opening, begun),
        Held::Open(_) | Held::Nothing => (open(), sent),
    };
    match by_deadline(desk, sent, &mut opening).await {
        Some(Ok(connection)) => over(&**ask, desk, connection, seq, sent).await,
        Some(Err(miss)) => (Some(Err(miss)), Held::Nothing),
        None if A::OPENING == Opening::Patient => (None, Held::Opening(opening, begun)),
        None => (None, Held::Nothing),
    }
}

/// Asks over an open connection.
async fn over<A: Ask>(
    ask: &A,
    desk: &RefCell<Desk<A::Connection>>,
    mut connection: A::Connection,
    seq: u64,
    sent: Mono,
) -> (Reply, Held<A::Connection>) {
    let reply = by_deadline(desk, sent, std::pin::pin!(ask.ask(&mut connection, seq))).await;
    let condition = match &reply {
        Some(Ok(answer)) => answer.connection,
        Some(Err(miss)) => miss.connection,
        None => Condition::Spent,
    };
    match condition {
        Condition::Usable => (reply, Held::Open(connection)),
        Condition::Spent => (reply, Held::Nothing),
    }
}

/// Waits until a request's deadline. Time in which this thread was stalled does not count against the service.
async fn by_deadline<C, F: Future + Unpin>(desk: &RefCell<Desk<C>>, sent: Mono, mut work: F) -> Option<F::Output> {
    loop {
        let now = clock::now();
        let left = {
            let desk = desk.borrow();
            let allowed = Nanos(desk.manner.timeout.0 + desk.stalls.within(sent, now).0);
            Nanos(allowed.0.saturating_sub(now.since(sent).0))
        };
        if left == Nanos::ZERO {
            return None;
        }
        if let Ok(output) = tokio::time::timeout(left.into(), &mut work).await {
            return Some(output);
        }
    }
}

impl<C> Desk<C> {
    /// What a reply that came at `done` proves.
    fn judge(&mut self, reply: Reply, sent: Mono, done: Mono) -> Outcome {
        let took_ns = done.since(sent);
        match reply {
            None => {
                self.book.detail(format!("no answer within {} ms", self.manner.timeout.as_ms_f64()));
                Outcome::Failed(Failure::TimedOut)
            }
            Some(Err(miss)) => {
                self.book.detail(miss.detail);
                match miss.cause {
                    Cause::Service(failure) => Outcome::Failed(failure),
                    Cause::Probe => Outcome::Unknown,
                }
            }
            Some(Ok(answer)) => {
                let bound_ns = self.manner.latency.unwrap_or(self.manner.timeout).min(self.manner.timeout);
                // An answer that this thread was not there to take may have come in time. It was given, and for a
                // ledger write that is an acknowledgement; that nobody watched meanwhile, the missed requests say.
                if took_ns.0.saturating_sub(self.stalls.within(sent, done).0) > bound_ns.0 {
                    return self.late(took_ns, bound_ns);
                }
                Outcome::Ok { node: self.book.node(answer.node), timeline: answer.timeline }
            }
        }
    }

    /// A failure that may be the way's own says nothing about the service.
    fn believe(&mut self, outcome: Outcome, sent: Mono, done: Mono) -> Outcome {
        let (Outcome::Failed(failure), Some(detour)) = (outcome, &self.manner.detour) else { return outcome };
        match detour.doubt(sent, done, failure) {
            None => outcome,
            Some(why) => {
                self.book.detail(why.to_owned());
                Outcome::Unknown
            }
        }
    }

    /// A correct answer that came late.
    fn late(&mut self, took_ns: Nanos, bound_ns: Nanos) -> Outcome {
        self.book.detail(format!(
            "a correct answer after {:.1} ms, {:.1} ms were allowed",
            took_ns.as_ms_f64(),
            bound_ns.as_ms_f64()
        ));
        match self.manner.latency {
            Some(_) => Outcome::Failed(Failure::TooSlow),
            None => Outcome::Failed(Failure::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{Batch, Shown};
    use std::cell::Cell;
    use std::sync::{Arc, Mutex};
    use tokio::sync::Notify;
    use tokio::sync::mpsc::unbounded_channel;

    /// A service in the probe's own thread: it can stop that thread while an answer is on its way.
    struct Stopping {
        stop_at: u64,
        answered: Rc<Notify>,
        asked: Rc<Cell<u64>>,
    }

    impl Ask for Stopping {
        type Connection = ();
        const OPENING: Opening = Opening::Hasty;
        async fn connect(&self) -> Result<(), Miss> {
            Ok(())
        }
        fn condition(&self, (): &()) -> Condition {
            Condition::Usable
        }
        async fn ask(&self, (): &mut (), seq: u64) -> Result<Answer, Miss> {
            self.asked.set(seq);
            if seq == self.stop_at {
                // What SIGSTOP does to a thread.
                std::thread::sleep(Duration::from_millis(300));
                self.answered.notify_one();
            } else if seq + 1 == self.stop_at {
                // Answered while the thread stood still, or right behind.
                self.answered.notified().await;
            }
            Ok(Answer { node: None, timeline: 0, connection: Condition::Usable })
        }
        async fn part(&self, (): ()) {}
    }

    #[test]
    fn a_thread_that_stood_still_blames_nobody_and_leaves_nothing_out() {
        let (out, mut batches) = unbounded_channel::<Batch>();
        let shown = Arc::new(Mutex::new(Shown::default()));
        let stop = CancellationToken::new();
        let manner = Manner {
            view: View::Kept,
            period: Nanos::from_ms(10),
            timeout: Nanos::from_ms(100),
            latency: None,
            slots_cap: 12,
            first: clock::now().plus(Nanos::from_ms(5)),
            detour: None,
        };
        let ask = Stopping { stop_at: 5, answered: Rc::default(), asked: Rc::default() };
        let asked = Rc::clone(&ask.asked);
        let runtime = runtime().unwrap();
        let book = Book::new(0, out, shown);
        run(&runtime, async {
            let timer = Timer::new().unwrap();
            let sampling = sample(ask, manner, timer, book, stop.clone());
            let enough = async {
                while asked.get() < 40 {
                    tokio::task::yield_now().await;
                }
                stop.cancel();
            };
            tokio::join!(sampling, enough);
        });
        let mut samples = Vec::new();
        while let Ok(batch) = batches.try_recv() {
            samples.extend(batch.samples);
        }
        assert!(samples.iter().enumerate().all(|(i, s)| s.seq == i as u64));
        let unknown = samples.iter().filter(|s| s.outcome == Outcome::Unknown).count();
        assert!(unknown >= 20, "300 ms are 30 periods, of which few are sent late; {unknown} were told as not asked");
        let failed: Vec<_> = samples.iter().filter(|s| matches!(s.outcome, Outcome::Failed(_))).collect();
        assert!(failed.is_empty(), "{failed:?}");
        let late = samples[4].done_ns.since(samples[4].sent_ns);
        assert!(late > Nanos::from_ms(100), "the answer was taken late ({late:?}) and counts all the same");
    }
}
