//! The guards of a cluster whose failover manager is asked, or taken away: Patroni itself must say who leads, that somebody
//! else could, and that it is at work.

use crate::guards::preflight::Preflight;
use crate::spec::estate::PostgresTarget;
use crate::targets::patroni;
use firedrill_core::sight::Member;
use firedrill_core::time::Known;

/// Who leads, as Patroni at the leader itself says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Led {
    /// The leader's name as Patroni has it.
    pub leader: String,
    /// The address of Patroni's API at the leader.
    pub api: String,
}

/// Patroni at the primary must answer, name it as the leader, know another member that runs, and not be paused.
pub async fn leads(preflight: &mut Preflight, target: &PostgresTarget, primary: &Member) -> Option<Led> {
    let api = patroni::api_of(&primary.address, target.patroni_port);
    let view = match patroni::cluster(&api).await {
        Ok(view) => view,
        Err(why) => {
            let help = "It is asked at the primary's own address: see `patroni-port`, and that this runner reaches it.";
            preflight.require("Patroni's REST API", "it answers", why.clone(), Known::Unknown(why), help);
            return None;
        }
    };
    let leader = view.leader().map(|l| l.name.clone());
    let shown = leader.clone().unwrap_or_else(|| "not exactly one".to_owned());
    let help = "Patroni and the labels disagree, or its members have names of their own. See `patronictl list`.";
    let same = leader.as_ref() == Some(&primary.pod);
    preflight.require("Patroni's leader", &primary.pod, shown, Known::Known(same), help);
    let fit = view.members.iter().filter(|m| Some(&m.name) != leader.as_ref());
    let fit = fit.filter(|m| matches!(m.state.as_str(), "running" | "streaming")).count();
    let help = "Patroni gives the role to nobody else. See `patronictl list`.";
    preflight.require("members to take over", "at least one", fit.to_string(), Known::Known(fit > 0), help);
    let paused = if view.pause { "paused" } else { "at work" };
    let help = "While it is paused nobody takes over by itself; `patronictl resume` first.";
    preflight.require("Patroni", "at work", paused, Known::Known(!view.pause), help);
    Some(Led { leader: leader?, api })
}
