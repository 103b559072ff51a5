//! The one primitive: everything that changes the world is one of this closed list of effects.
//!
//! An effect's identity (names, UIDs, the values before and after) is chosen before the call and recorded with the plan,
//! so that undo, recovery after a crash and the scaling back of a drill are the same code on the same data.

use crate::rule::{Rule, weakened};
use crate::time::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A step of a plan, by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StepId(pub u16);

/// The term of one runner's ownership of a drill. It rises with every take-over, and a record of a lower one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The version of an object that an effect is conditional on (a Kubernetes `resourceVersion`); empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Version(pub String);

/// The kinds of objects that effects change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `v1/Pod`
    Pod,
    /// `apps/v1/Deployment`
    Deployment,
    /// `coordination.k8s.io/v1/Lease`
    Lease,
    /// `batch/v1/Job`
    Job,
}

/// One object of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ObjectRef {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID when it was found; `None` for what the effect itself makes.
    pub uid: Option<String>,
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Pod => "pod",
            Kind::Deployment => "deployment",
            Kind::Lease => "lease",
            Kind::Job => "job",
        };
        write!(f, "{kind} {}/{}", self.namespace, self.name)
    }
}

/// Whose processes an agent on a node acts on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Victim {
    /// The pod, with its UID.
    pub pod: ObjectRef,
    /// The container, by its name in the pod.
    pub container: String,
    /// The container's id as the kubelet tells it (`containerd://…`): another id is another start of it.
    pub container_id: String,
    /// Which of the container's processes.
    #[serde(default)]
    pub part: Part,
}

/// Which processes of a container are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Every one.
    #[default]
    All,
    /// Those of the failover manager; the database's own go on.
    Manager {
        /// The address of its API at the pod: `http://10.0.0.1:8008`.
        api: String,
    },
}

/// What an agent on a node does to the processes of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Blow {
    /// All are killed, once. The kubelet starts the container again.
    Crash,
    /// All are killed, and so is whatever is started in their place, until they are let go.
    HoldDown {
        /// When they are let go at the latest, counted from the first kill.
        at_most_ns: Nanos,
    },
    /// All are stopped, and go on when they are let go.
    Freeze {
        /// When they are let go at the latest, counted from the stop.
        for_ns: Nanos,
    },
}

/// A pod on a node that can send signals there, and does nothing until it is told to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Agent {
    /// The pod; its name belongs to the drill alone.
    pub pod: ObjectRef,
    /// The node of its victim.
    pub node: String,
    /// The image that holds this program.
    pub image: String,
    /// The service account it runs as.
    pub service_account: String,
    /// Whom it acts on.
    pub victim: Victim,
    /// What it does.
    pub blow: Blow,
    /// After how many seconds the kubelet ends it, whatever happened to the runner.
    pub lifetime_s: u32,
}

/// What a dead man watches, and as whom he acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Post {
    /// The namespace of the drill's target.
    pub namespace: String,
    /// The Lease there that is the drill's lock, and that the runner renews.
    pub lease: String,
    /// How long the Lease may go without being renewed, seconds.
    pub after_s: u32,
    /// The image that holds this program.
    pub image: String,
    /// The service account that may do what he has to do there, and nothing else.
    pub service_account: String,
}

/// A change of the world. Closed and versioned with the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// A Lease beside the target that keeps other drills away, whoever runs them.
    Lock {
        /// The Lease.
        lease: ObjectRef,
        /// What it stands for: a database's system identifier or a namespace's UID.
        key: String,
    },
    /// A Job outside the blast radius that puts back what the drill scaled when its Lease is not renewed any more.
    DeadMan {
        /// The Job.
        job: ObjectRef,
        /// What it watches.
        post: Post,
    },
    /// A Deployment's replica count and the drill's annotation, in one write, so that "ours" can be decided later.
    Scale {
        /// The Deployment.
        object: ObjectRef,
        /// The count that was captured. Never 0.
        was: i32,
        /// The count that is written.
        put: i32,
    },
    /// A pod is deleted, on condition of its UID (never its successor) and of its version (never late: a take-over
    /// moves the version on).
    Delete {
        /// The pod.
        pod: ObjectRef,
        /// How long it may take to stop, seconds; its own grace period when `None`.
        grace_s: Option<u32>,
    },
    /// A pod is evicted: deleted if the disruption budgets let it go, on the same conditions.
    Evict {
        /// The pod.
        pod: ObjectRef,
        /// How long it may take to stop, seconds; its own grace period when `None`.
        grace_s: Option<u32>,
    },
    /// The failover manager is asked to hand the leader's role to another member.
    Switchover {
        /// The leader's pod.
        pod: ObjectRef,
        /// The leader's name as the failover manager has it; it refuses when that is not the leader any more.
        member: String,
        /// The address of the failover manager's API at that pod: `http://10.0.0.1:8008`.
        api: String,
    },
    /// An agent on a node, idle.
    Agent(Box<Agent>),
    /// That agent is told to act, on condition of its pod's version.
    Strike {
        /// The agent's pod.
        agent: ObjectRef,
        /// Whom it acts on.
        victim: Victim,
        /// What it does.
        blow: Blow,
    },
    /// The ledger's table on a database, and the rows of this drill in it.
    Ledger {
        /// The target, by its name in the estate.
        target: String,
    },
    /// A throwaway server: a directory, its keeper process, and all that lives in them.
    Scratch {
        /// The staging target, by its name in the estate.
        target: String,
        /// The directory, absolute.
        dir: String,
    },
    /// What a restore puts into a database that is there already.
    Database {
        /// The staging target, by its name in the estate.
        target: String,
    },
}

impl Effect {
    /// A name for what the effect changes; no two steps of a plan may share it.
    pub fn object(&self) -> String {
        match self {
            Self::Lock { lease: object, .. }
            | Self::DeadMan { job: object, .. }
            | Self::Scale { object, .. }
            | Self::Delete { pod: object, .. }
            | Self::Evict { pod: object, .. } => object.to_string(),
            Self::Agent(agent) => agent.pod.to_string(),
            Self::Switchover { pod, .. } => format!("leader's role of {pod}"),
            Self::Strike { victim, .. } => match victim.part {
                Part::All => format!("processes of {} in {}", victim.container, victim.pod),
                Part::Manager { .. } => format!("failover manager of {} in {}", victim.container, victim.pod),
            },
            Self::Ledger { target } => format!("ledger table of {target}"),
            Self::Scratch { dir, .. } => format!("scratch {dir}"),
            Self::Database { target } => format!("database of {target}"),
        }
    }

    /// What the effect does, in words: for the plan, the timeline and the question what is left.
    pub fn describe(&self) -> String {
        match self {
            Self::Lock { lease, .. } => format!("hold {lease} as the lock of this target"),
            Self::DeadMan { job, post } => {
                format!(
                    "set up {job}, which scales back when lease {}/{} is not renewed for {} s",
                    post.namespace, post.lease, post.after_s
                )
            }
            Self::Scale { object, was, put } => format!("scale {object} from {was} to {put}"),
            Self::Delete { pod, grace_s } => match grace_s {
                Some(s) => format!("delete {pod} (uid {}) with {s} s of grace", pod.uid.as_deref().unwrap_or("?")),
                None => format!("delete {pod} (uid {})", pod.uid.as_deref().unwrap_or("?")),
            },
            Self::Evict { pod, grace_s } => match grace_s {
                Some(s) => format!("evict {pod} (uid {}) with {s} s of grace", pod.uid.as_deref().unwrap_or("?")),
                None => format!("evict {pod} (uid {})", pod.uid.as_deref().unwrap_or("?")),
            },
            Self::Switchover { pod, member, api } => {
                format!("ask the failover manager at {api} to hand the role of {member} ({pod}) to another member")
            }
            Self::Agent(agent) => format!(
                "make {} from {} as {} on node {}: idle, sees that node's processes, may signal them, ends after {} s",
                agent.pod, agent.image, agent.service_account, agent.node, agent.lifetime_s
            ),
            Self::Strike { victim, blow, .. } => format!("{} (uid {})", blow.describe(victim), victim.uid()),
            Self::Ledger { target } => format!("write this drill's rows into the ledger table of {target}"),
            Self::Scratch { dir, .. } => format!("make a throwaway PostgreSQL in {dir}"),
            Self::Database { target } => format!("restore into the empty database of {target}"),
        }
    }

    /// Whether it makes something that has no version before it is there, and that may therefore land late: found beside a
    /// closed drill, it is taken away. Until then it harms nothing.
    pub fn may_land_late(&self) -> bool {
        matches!(self, Self::Lock { .. } | Self::DeadMan { .. } | Self::Agent(_))
    }

    /// How a runner that was paused and overtaken is kept from still performing it.
    pub fn fence(&self) -> Fence {
        match self {
            Self::Scale { .. }
            | Self::Delete { .. }
            | Self::Evict { .. }
            | Self::Lock { .. }
            | Self::Agent(_)
            | Self::DeadMan { .. }
            | Self::Strike { .. } => Fence::OnVersion,
            Self::Scratch { .. } => Fence::Local,
            Self::Ledger { .. } | Self::Database { .. } | Self::Switchover { .. } => Fence::LockOnly,
        }
    }

    /// The pod that the effect takes the primary's role from, if that is what it does.
    pub fn takes(&self) -> Option<&ObjectRef> {
        match self {
            Self::Delete { pod, .. } | Self::Evict { pod, .. } | Self::Switchover { pod, .. } => Some(pod),
            Self::Strike { victim, .. } => Some(&victim.pod),
            Self::Lock { .. }
            | Self::DeadMan { .. }
            | Self::Scale { .. }
            | Self::Agent(_)
            | Self::Ledger { .. }
            | Self::Scratch { .. }
            | Self::Database { .. } => None,
        }
    }
}

impl Effect {
    /// The failover manager that the effect acts on, and not the database: its pod, and the address of its API.
    pub fn manager(&self) -> Option<(&ObjectRef, &str)> {
        match self {
            Self::Strike { victim: Victim { pod, part: Part::Manager { api }, .. }, .. } => Some((pod, api)),
            _ => None,
        }
    }
}

impl Victim {
    /// The pod's UID.
    pub fn uid(&self) -> &str {
        self.pod.uid.as_deref().unwrap_or("?")
    }
}

impl Blow {
    /// What is done, in words.
    fn describe(self, victim: &Victim) -> String {
        let whose = match victim.part {
            Part::All => format!("all processes of {} in {}", victim.container, victim.pod),
            Part::Manager { .. } => {
                format!("the failover manager's processes of {} in {}, and no other,", victim.container, victim.pod)
            }
        };
        match self {
            Self::Crash => format!("kill {whose}, once"),
            Self::HoldDown { at_most_ns } if victim.part != Part::All => {
                format!("kill {whose} again and again for {} s", at_most_ns.as_secs_f64())
            }
            Self::HoldDown { at_most_ns } => {
                format!(
                    "kill {whose}, again and again until another is primary, for at most {} s",
                    at_most_ns.as_secs_f64()
                )
            }
            Self::Freeze { for_ns } => format!("stop {whose} for {} s", for_ns.as_secs_f64()),
        }
    }

    /// How long it lasts at most.
    pub fn lasts_ns(self) -> Nanos {
        match self {
            Self::Crash => Nanos::ZERO,
            Self::HoldDown { at_most_ns } => at_most_ns,
            Self::Freeze { for_ns } => for_ns,
        }
    }
}

/// How a late effect of a runner that lost its drill is kept from landing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fence {
    /// The write is conditional on a version or UID, and a take-over moves the version on.
    OnVersion,
    /// It lives and dies with a process on the runner's own machine.
    Local,
    /// Only the lock at the target keeps others out. Plan and report name it so.
    LockOnly,
}

/// What came back from performing an effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It was done.
    Applied,
    /// Its object had moved on from the version it was conditional on: certainly not done, and worth another look.
    Conflict(String),
    /// It was refused, and certainly not done.
    Rejected(String),
    /// Nobody knows whether it was done.
    Unknown(String),
}

/// What a look at an effect's object found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Holding {
    /// As it was before the effect.
    Prior,
    /// As the effect left it, with our mark.
    Ours,
    /// A dead-man agent put it back.
    ByDeadMan,
    /// Somebody else's value; what it is.
    Other(String),
    /// It is not there.
    Gone,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Undone {
    /// It was put back, and seen to be back.
    Reverted,
    /// It never happened.
    NeverApplied,
    /// A dead-man agent put it back before us.
    ByDeadMan,
    /// Somebody changed it meanwhile; it was left as they made it.
    Superseded(String),
    /// It cannot be put back: a kill.
    Irreversible,
}

/// What a look means: write the prior state, or settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing more is owed.
    Settle(Undone),
    /// The object still carries our value: put the prior one back.
    Write,
}

/// The one place that decides what a look at the target means for a step that is owed.
///
/// `reply` is what is known of the step's own request: its answer, `Applied` also when an earlier look saw its value,
/// `None` when nothing was heard. A look is to be trusted only once no request of the step can land any more.
pub fn judge(effect: &Effect, reply: Option<&Reply>, seen: &Holding) -> Move {
    if matches!(reply, Some(Reply::Rejected(_) | Reply::Conflict(_))) {
        return Move::Settle(Undone::NeverApplied);
    }
    let applied = matches!(reply, Some(Reply::Applied));
    match (effect, seen) {
        // A delete that was confirmed is one, even while the pod is still to be seen.
        (Effect::Delete { .. } | Effect::Evict { .. } | Effect::Switchover { .. }, seen) => {
            let never = *seen == Holding::Prior && !applied;
            Move::Settle(if never { Undone::NeverApplied } else { Undone::Irreversible })
        }
        (_, Holding::Ours) => Move::Write,
        // What was killed stays so: only what kept it down is let go.
        (Effect::Strike { blow: Blow::Crash | Blow::HoldDown { .. }, .. }, seen) => {
            let never = *seen == Holding::Prior && !applied;
            Move::Settle(if never { Undone::NeverApplied } else { Undone::Irreversible })
        }
        (Effect::Scale { .. }, Holding::Other(_)) if weakened(Rule::LeaveOthersValues) => Move::Write,
        (_, Holding::ByDeadMan) => Move::Settle(Undone::ByDeadMan),
        (Effect::Scale { .. }, Holding::Gone) => Move::Settle(Undone::Superseded("it was deleted".to_owned())),
        (_, Holding::Prior | Holding::Gone) => {
            Move::Settle(if applied { Undone::Reverted } else { Undone::NeverApplied })
        }
        (_, Holding::Other(what)) => Move::Settle(Undone::Superseded(what.clone())),
    }
}
