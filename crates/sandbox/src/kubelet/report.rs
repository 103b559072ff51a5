//! A pod's status, from what its containers are doing.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::container::{Ended, State, View};
use crate::api::meta;
use crate::controllers::set_condition;
use crate::process::Exit;

/// Writes the status of a pod whose containers, in the order of its specification, look like this.
pub(super) fn write(pod: &mut Value, ip: &str, since: Timestamp, views: &[View]) {
    let names: Vec<(String, String)> = meta::items(pod, "/spec/containers")
        .iter()
        .map(|container| (meta::text(container, "/name").to_owned(), meta::text(container, "/image").to_owned()))
        .collect();
    let statuses: Vec<Value> = names.iter().zip(views).map(|((name, image), view)| status(name, image, view)).collect();
    let phase = phase(views);
    let status = meta::map_at(pod, "status");
    status.insert("phase".to_owned(), json!(phase));
    status.insert("hostIP".to_owned(), json!("127.0.0.1"));
    status.insert("podIP".to_owned(), json!(ip));
    status.insert("podIPs".to_owned(), json!([{"ip": ip}]));
    status.insert("startTime".to_owned(), json!(meta::stamp(since)));
    status.insert("containerStatuses".to_owned(), Value::Array(statuses));
    let ready = !views.is_empty() && views.iter().all(|view| view.ready);
    let not_ready: Vec<&str> =
        names.iter().zip(views).filter(|(_, view)| !view.ready).map(|((name, _), _)| name.as_str()).collect();
    let message = format!("containers with unready status: [{}]", not_ready.join(" "));
    let ended = ["Succeeded", "Failed"].contains(&phase);
    set_condition(pod, "Initialized", "True", if phase == "Succeeded" { "PodCompleted" } else { "" }, "");
    for kind in ["Ready", "ContainersReady"] {
        if ready {
            set_condition(pod, kind, "True", "", "");
        } else {
            let reason = match phase {
                "Succeeded" => "PodCompleted",
                "Failed" => "PodFailed",
                _ => "ContainersNotReady",
            };
            set_condition(pod, kind, "False", reason, if ended { "" } else { &message });
        }
    }
}

/// A pod that cannot be started at all, with the reason its containers wait for.
pub(super) fn write_refused(pod: &mut Value, ip: &str, since: Timestamp, message: &str) {
    let count = meta::items(pod, "/spec/containers").len();
    let mut view = View::new();
    view.state = State::Waiting { reason: "CreateContainerConfigError", message: message.to_owned() };
    write(pod, ip, since, &vec![view; count]);
}

fn phase(views: &[View]) -> &'static str {
    let ended = |view: &View| match &view.state {
        State::Ended(ended) => Some(ended.exit),
        _ => None,
    };
    let exits: Vec<Exit> = views.iter().filter_map(ended).collect();
    if exits.len() == views.len() {
        return if exits.iter().all(|exit| *exit == Exit::Code(0)) { "Succeeded" } else { "Failed" };
    }
    let never_ran = |view: &View| matches!(view.state, State::Waiting { .. }) && view.last.is_none();
    if views.iter().any(never_ran) { "Pending" } else { "Running" }
}

fn status(name: &str, image: &str, view: &View) -> Value {
    let state = match &view.state {
        State::Waiting { reason, message } if message.is_empty() => json!({"waiting": {"reason": reason}}),
        State::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running { since, .. } => json!({"running": {"startedAt": meta::stamp(*since)}}),
        State::Ended(ended) => json!({"terminated": terminated(ended)}),
    };
    let mut status = json!({
        "name": name, "image": image, "imageID": image, "ready": view.ready, "started": view.started,
        "restartCount": view.restarts, "state": state,
    });
    if let State::Running { id, .. } = &view.state {
        status["containerID"] = json!(id);
    }
    if let Some(last) = &view.last {
        status["lastState"] = json!({"terminated": terminated(last)});
    }
    status
}

fn terminated(ended: &Ended) -> Value {
    let mut told = json!({
        "exitCode": ended.exit.code(),
        "reason": if ended.exit == Exit::Code(0) { "Completed" } else { "Error" },
        "finishedAt": meta::stamp(ended.finished),
    });
    if let Exit::Signal(signal) = ended.exit {
        told["signal"] = json!(signal);
    }
    if let Some(started) = ended.started {
        told["startedAt"] = json!(meta::stamp(started));
    }
    if !ended.id.is_empty() {
        told["containerID"] = json!(ended.id);
    }
    told
}
