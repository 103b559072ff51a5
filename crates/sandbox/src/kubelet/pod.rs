//! One pod: its directory and address, its containers, its status, and its end.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::addresses::Address;
use super::container::{Container, RestartPolicy, State, View};
use super::environment::{environment, expand};
use super::manager::Shared;
use super::probe::Probe;
use super::report;
use super::volumes::{self, Places};
use crate::api::delete::{DeleteOptions, delete};
use crate::api::{Key, Kind, Object, meta, pod_log};
use crate::process::{Identity, ProcessSpec, release_segments};

/// The least that any container gets between SIGTERM and SIGKILL, also when a pod is deleted by force, as upstream.
const GRACE_LEAST: Duration = Duration::from_secs(2);
/// How long a pod that cannot be set up waits before it is tried again.
const SET_UP_AGAIN: Duration = Duration::from_secs(1);

/// What a pod's worker hears.
#[derive(Debug, Clone)]
pub(super) enum Word {
    /// The object as it is now.
    Is(Object),
    /// The object is gone from the API: it was deleted by force.
    Gone,
}

/// Runs a pod from its binding to its removal.
pub(super) async fn run(shared: Arc<Shared>, pod: Object, mut words: watch::Receiver<Word>, kill: CancellationToken) {
    let key = Key::of(Kind::Pod, &pod);
    let Some(address) = address_for(&shared, &pod) else {
        refuse(&shared, &key, &pod, "", "every pod address of the sandbox is taken");
        return;
    };
    let ip = address.ip.to_string();
    let dir = shared.pods.join(meta::uid(&pod));
    let made = loop {
        match set_up(&shared, &pod, &address, &dir) {
            Ok(made) => break Some(made),
            Err(error) => refuse(&shared, &key, &pod, &ip, &error.to_string()),
        }
        tokio::select! {
            () = tokio::time::sleep(SET_UP_AGAIN) => {}
            _ = words.wait_for(is_ending) => break None,
            () = kill.cancelled() => break None,
        }
    };
    if let Some(made) = made {
        live(&shared, &key, meta::uid(&pod), &ip, made, &mut words, &kill).await;
    }
    if kill.is_cancelled() {
        return;
    }
    // Nothing of the pod runs any more: what it left goes, then the object, whose name may then be taken again.
    let removed = tokio::task::spawn_blocking(move || clean(&dir)).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(%error, pod = key.name, "something of a pod is left");
    }
    drop(address);
    let _ = shared.store.with(|inner| delete(inner, &key, &DeleteOptions::at_once(meta::uid(&pod))));
}

fn is_ending(word: &Word) -> bool {
    match word {
        Word::Gone => true,
        Word::Is(pod) => meta::is_deleting(pod),
    }
}

fn on_paper(pod: &Value) -> bool {
    meta::items(pod, "/spec/containers").iter().all(|container| meta::items(container, "/command").is_empty())
}

fn address_for(shared: &Shared, pod: &Value) -> Option<Address> {
    if on_paper(pod) { Some(shared.addresses.paper()) } else { shared.addresses.take() }
}

fn refuse(shared: &Shared, key: &Key, pod: &Value, ip: &str, message: &str) {
    update(shared, key, meta::uid(pod), |pod| report::write_refused(pod, ip, Timestamp::now(), message));
}

/// Changes the pod's object, if it is still this pod's.
fn update(shared: &Shared, key: &Key, uid: &str, change: impl FnOnce(&mut Value)) {
    shared.store.modify(key, |pod| {
        if meta::uid(pod) == uid {
            change(pod);
        }
    });
}

/// A pod that is ready to start.
struct Made {
    containers: Vec<(Container, watch::Receiver<View>)>,
    stop_at: watch::Sender<Option<Instant>>,
}

/// Makes directory, volumes and the containers' surroundings.
fn set_up(
    shared: &Shared,
    pod: &Object,
    address: &Address,
    dir: &PathBuf,
) -> Result<Made, Box<dyn std::error::Error + Send + Sync>> {
    let identity = identity(pod, &Value::Null);
    let volumes = if on_paper(pod) {
        BTreeMap::new()
    } else {
        volumes::make_dir(dir, identity)?;
        volumes::make(&shared.store, pod, &Places { pod: dir, claims: &shared.volumes }, identity)?
    };
    let mut owns = vec![dir.clone()];
    owns.extend(volumes.values().map(PathBuf::from));
    let mut base = shared.pod_env.clone();
    base.extend(volumes);
    for (name, value) in [
        ("POD_NAME", meta::name(pod)),
        ("POD_NAMESPACE", meta::namespace(pod)),
        ("POD_UID", meta::uid(pod)),
        ("NODE_NAME", meta::text(pod, "/spec/nodeName")),
        ("HOSTNAME", meta::name(pod)),
        ("POD_IP", &address.ip.to_string()),
    ] {
        base.insert(name.to_owned(), value.to_owned());
    }
    let stop_at = watch::Sender::new(None);
    let mut containers = Vec::new();
    for container in meta::items(pod, "/spec/containers") {
        let environment = environment(&shared.store, pod, container, &base)?;
        let words = |pointer: &str| -> Vec<String> {
            let words = meta::items(container, pointer).iter().filter_map(Value::as_str);
            words.map(|word| expand(word, &environment)).collect()
        };
        let mut command = words("/command");
        command.extend(words("/args"));
        let log = pod_log::file(&shared.logs, meta::namespace(pod), meta::name(pod), meta::text(container, "/name"));
        let spec = (!meta::items(container, "/command").is_empty()).then(|| ProcessSpec {
            program: command[0].clone(),
            args: command[1..].to_vec(),
            env: environment.clone(),
            dir: dir.clone(),
            owns: owns.clone(),
            log,
            identity: self::identity(pod, container),
        });
        let probe = |name: &str| spec.as_ref().and_then(|_| Probe::read(pod, container, name, address.ip));
        let grace = meta::number(pod, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
        let view = Arc::new(watch::Sender::new(View::new()));
        let heard = view.subscribe();
        let made = Container {
            keeper: shared.keeper.clone(),
            readiness: probe("readinessProbe"),
            liveness: probe("livenessProbe"),
            startup: probe("startupProbe"),
            pre_stop: words("/lifecycle/preStop/exec/command"),
            spec,
            restart: RestartPolicy::read(pod),
            back_off: shared.back_off,
            grace: Duration::from_secs(u64::try_from(grace).unwrap_or(0)).max(GRACE_LEAST),
            view,
            stop_at: stop_at.subscribe(),
        };
        containers.push((made, heard));
    }
    Ok(Made { containers, stop_at })
}

/// The user that a container runs as, by its own or the pod's security context.
fn identity(pod: &Value, container: &Value) -> Option<Identity> {
    let told = |name: &str| {
        let own = container.pointer(&format!("/securityContext/{name}"));
        let id = own.or_else(|| pod.pointer(&format!("/spec/securityContext/{name}")))?;
        u32::try_from(id.as_u64()?).ok()
    };
    let uid = told("runAsUser")?;
    Some(Identity { uid, gid: told("runAsGroup").unwrap_or(uid) })
}

/// Runs the containers, reporting what they do, until all have ended and the pod is to go.
async fn live(
    shared: &Shared,
    key: &Key,
    uid: &str,
    ip: &str,
    made: Made,
    words: &mut watch::Receiver<Word>,
    kill: &CancellationToken,
) {
    let since = Timestamp::now();
    let Made { containers, stop_at } = made;
    let (mut running, mut views) = (JoinSet::new(), Vec::new());
    for (container, view) in containers {
        running.spawn(container.run());
        views.push(view);
    }
    loop {
        let seen: Vec<View> = views.iter_mut().map(|view| view.borrow_and_update().clone()).collect();
        let all_ended = seen.iter().all(|view| matches!(view.state, State::Ended(_)));
        if !kill.is_cancelled() {
            update(shared, key, uid, |pod| report::write(pod, ip, since, &seen));
        }
        if heed(&words.borrow_and_update(), kill, &stop_at) && all_ended {
            break;
        }
        // Of a container that has ended nothing more is to be heard.
        let unended = views.iter_mut().zip(&seen).filter(|(_, seen)| !matches!(seen.state, State::Ended(_)));
        let mut waits: Vec<_> = unended.map(|(view, _)| Box::pin(view.changed())).collect();
        let changed = async {
            if waits.is_empty() {
                std::future::pending::<()>().await;
            }
            let _ = futures_util::future::select_all(waits.iter_mut()).await;
        };
        tokio::select! {
            () = changed => {}
            // The sender goes only when everything is being killed.
            _ = words.changed(), if !kill.is_cancelled() => {}
            () = kill.cancelled(), if !kill.is_cancelled() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Tells the containers when they are to be killed, if the pod is ending. The time only moves forward.
fn heed(word: &Word, kill: &CancellationToken, stop_at: &watch::Sender<Option<Instant>>) -> bool {
    let grace = match word {
        _ if kill.is_cancelled() => Duration::ZERO,
        Word::Gone => GRACE_LEAST,
        Word::Is(pod) if meta::is_deleting(pod) => {
            let told = meta::number(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
            Duration::from_secs(u64::try_from(told).unwrap_or(0)).max(GRACE_LEAST)
        }
        Word::Is(_) => return false,
    };
    let at = Instant::now() + grace;
    stop_at.send_if_modified(|told| {
        let sooner = told.is_none_or(|told| at < told);
        if sooner {
            *told = Some(at);
        }
        sooner
    });
    true
}

/// Removes what a pod leaves on disk, and the shared memory that a killed PostgreSQL named there.
fn clean(dir: &PathBuf) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if !dir.exists() {
        return Ok(());
    }
    release_segments(dir)?;
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
