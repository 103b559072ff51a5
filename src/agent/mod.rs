//! The agent on a target's node: what this program does in a pod that a drill has made there. It waits until it is told to
//! act, kills or stops the processes of one container, and lets go when it is told to, when its time is over, or when it is
//! ended itself, whichever comes first.

mod grip;
mod manager;
mod processes;

use crate::clock;
use crate::effects::agent_words::{ACT, AgentPhase, AgentState, END, EndedBy};
use crate::effects::own_pod::{OwnMarks, OwnPod, Unsaid};
use crate::targets::cluster::{Access, Cluster};
use firedrill_core::effect::Blow;
use firedrill_core::time::Nanos;
use grip::{Grip, LetGo};
use processes::{Prey, Sort};
use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

/// From one look for an order to the next.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long it goes on trying to say its last word once it was told to end.
const LAST_WORD: Duration = Duration::from_secs(5);

/// The hidden subcommand `node-agent`.
#[derive(Debug, clap::Args)]
pub struct NodeAgent {
    /// The namespace of its own pod
    #[arg(long)]
    namespace: String,
    /// Its own pod
    #[arg(long)]
    pod: String,
    /// The UID of the victim's pod
    #[arg(long)]
    victim_uid: String,
    /// The id of the victim's container
    #[arg(long)]
    container_id: String,
    /// Which of its processes
    #[arg(long, default_value = "all")]
    part: Sort,
    /// What it does
    #[arg(long)]
    blow: BlowWord,
    /// For how long at most, nanoseconds
    #[arg(long)]
    at_most_ns: u64,
}

/// A blow, as a word.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum BlowWord {
    Crash,
    HoldDown,
    Freeze,
}

impl NodeAgent {
    fn blow(&self) -> Blow {
        match self.blow {
            BlowWord::Crash => Blow::Crash,
            BlowWord::HoldDown => Blow::HoldDown { at_most_ns: Nanos(self.at_most_ns) },
            BlowWord::Freeze => Blow::Freeze { for_ns: Nanos(self.at_most_ns) },
        }
    }

    /// Serves until it has acted and let go, or was told that it will not be needed; `stop` ends when it must end itself.
    ///
    /// # Errors
    /// When there is no way to its own pod.
    pub async fn serve(&self, stop: impl Future<Output = ()>) -> Result<(), String> {
        let cluster = Cluster::connect(&Access::default()).await.map_err(|e| e.to_string())?;
        let own = OwnPod::new(&cluster, &self.namespace, &self.pod);
        tokio::pin!(stop);
        let Some(marks) = until(&mut stop, marks(&own)).await else { return Ok(()) };
        let prey = self.prey(Path::new("/proc"));
        match (marks.state.map(|s| s.phase), prey) {
            (Some(AgentPhase::Over | AgentPhase::Blind), _) => Ok(()),
            (Some(AgentPhase::Acting), prey) => {
                // It died while it held somebody, and cannot know whom it had found stopped.
                let trouble = prey.ok().and_then(|prey| grip::thaw(&prey, &BTreeSet::new()));
                let over = AgentState { acted: true, trouble, ..over(EndedBy::Restart) };
                last_word(&own, &over, None).await
            }
            (_, Err(why)) => {
                last_word(&own, &AgentState { trouble: Some(why), ..AgentState::new(AgentPhase::Blind) }, None).await
            }
            (_, Ok(prey)) => self.wait(&own, prey, &mut stop).await,
        }
    }

    /// Whom it acts on; or why it must not.
    fn prey(&self, proc: &Path) -> Result<Prey, String> {
        let prey = Prey::find(proc, &self.victim_uid, &self.container_id, self.part)?;
        match prey.bound().map_err(|e| format!("{} cannot be read: {e}", proc.display()))? {
            Some(why) if !matches!(self.blow, BlowWord::Freeze) => Err(why),
            _ => Ok(prey),
        }
    }

    /// Says that it is there, and waits for an order.
    async fn wait(
        &self,
        own: &OwnPod,
        prey: Prey,
        stop: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<(), String> {
        let processes = prey.now().map_or(0, |p| p.len());
        let idle = AgentState { processes, ..AgentState::new(AgentPhase::Idle) };
        let mut said = false;
        loop {
            if !said {
                said = own.say(&idle, None).await.is_ok();
            }
            let Some(marks) = until(stop, marks(own)).await else {
                return last_word(own, &over(EndedBy::Signal), Some(LAST_WORD)).await;
            };
            match marks.order.as_deref() {
                Some(ACT) => {
                    // The order is taken on condition of the version it was read at, so one that was withdrawn is not.
                    let acting = AgentState { processes, ..AgentState::new(AgentPhase::Acting) };
                    match own.say(&acting, Some(&marks.version)).await {
                        Ok(()) => return self.act(own, prey, stop).await,
                        Err(Unsaid::Moved | Unsaid::Trouble(_)) => {}
                    }
                }
                Some(END) => return last_word(own, &over(EndedBy::Order), None).await,
                _ => {}
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Strikes, holds, and lets go.
    async fn act(&self, own: &OwnPod, prey: Prey, stop: &mut (impl Future<Output = ()> + Unpin)) -> Result<(), String> {
        let mut state = AgentState::new(AgentPhase::Acting);
        let grip = match Grip::take(prey, self.blow()) {
            Ok(grip) => grip,
            Err(e) => {
                let trouble = Some(format!("the system gives no thread: {e}"));
                return last_word(own, &AgentState { trouble, ..over(EndedBy::Order) }, None).await;
            }
        };
        let struck = loop {
            match grip.struck() {
                Some(struck) => break Some(struck),
                None if grip.is_over() => break grip.struck(),
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        if let Some(struck) = struck {
            state.acted = struck.processes > 0;
            state.processes = struck.processes;
            (state.began_ns, state.struck_ns) = (Some(struck.began_ns), Some(struck.done_ns));
            state.trouble = struck.trouble;
        }
        let mut said = grip.is_over();
        let by = loop {
            if grip.is_over() {
                break EndedBy::Order;
            }
            if !said {
                said = own.say(&state, None).await.is_ok();
            }
            let looked = until(stop, async { tokio::time::timeout(Duration::from_secs(1), own.read()).await }).await;
            match looked {
                None => break EndedBy::Signal,
                Some(Ok(Ok(OwnMarks { order: Some(order), .. }))) if order == END => break EndedBy::Order,
                Some(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        let LetGo { at_ns, by_timer, kills, trouble } = match tokio::task::spawn_blocking(|| grip.let_go()).await {
            Ok(let_go) => let_go,
            Err(e) => LetGo { at_ns: clock::now(), by_timer: false, kills: 0, trouble: Some(e.to_string()) },
        };
        state.phase = AgentPhase::Over;
        state.by = Some(if by_timer { EndedBy::Timer } else { by });
        state.kills = kills;
        state.ended_ns = Some(at_ns);
        state.trouble = state.trouble.or(trouble);
        last_word(own, &state, (by == EndedBy::Signal).then_some(LAST_WORD)).await
    }
}

fn over(by: EndedBy) -> AgentState {
    AgentState { by: Some(by), ended_ns: Some(clock::now()), ..AgentState::new(AgentPhase::Over) }
}

/// What comes of something, unless it must stop before.
async fn until<T>(stop: &mut (impl Future<Output = ()> + Unpin), work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        () = stop => None,
        done = work => Some(done),
    }
}

/// What stands on its own pod, as soon as the API says.
async fn marks(own: &OwnPod) -> OwnMarks {
    loop {
        match own.read().await {
            Ok(marks) => return marks,
            Err(why) => tracing::warn!(why, "my own pod cannot be read"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Says its last word, until it is heard or the time for it is over.
async fn last_word(own: &OwnPod, state: &AgentState, limit: Option<Duration>) -> Result<(), String> {
    let saying = async {
        while let Err(why) = own.say(state, None).await {
            tracing::warn!(%why, "my last word was not taken");
            tokio::time::sleep(10 * LOOK_EVERY).await;
        }
    };
    match limit {
        None => saying.await,
        Some(limit) => {
            let heard = tokio::time::timeout(limit, saying).await;
            heard.map_err(|_| "it let go, and could not say so: the API does not answer".to_owned())?;
        }
    }
    Ok(())
}
