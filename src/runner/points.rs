//! The points at which a crash is tried: every boundary of the journal and of every effect. A test lists them, and then
//! kills a re-executed runner at each. Release builds have none.

/// Marks a point. In a development build, and only when asked by the environment, it is written down or is the end.
#[cfg(debug_assertions)]
pub fn reached(point: &str) {
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    struct Asked {
        trace: Option<std::fs::File>,
        kill_at: Option<String>,
    }
    static ASKED: OnceLock<Asked> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let asked = ASKED.get_or_init(|| Asked {
        trace: std::env::var_os("FIREDRILL_POINTS_TRACE")
            .and_then(|path| std::fs::OpenOptions::new().create(true).append(true).open(path).ok()),
        kill_at: std::env::var("FIREDRILL_POINTS_KILL").ok(),
    });
    if asked.trace.is_none() && asked.kill_at.is_none() {
        return;
    }
    let number = COUNT.fetch_add(1, Ordering::SeqCst);
    if let Some(mut trace) = asked.trace.as_ref() {
        // A point that could not be written down is missed by the comparison with the points killed at.
        let _ = trace.write_all(format!("{number} {point}\n").as_bytes());
    }
    // By its number, or by its name: then the first time that it is reached.
    if asked.kill_at.as_ref().is_some_and(|at| *at == number.to_string() || at == point) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

/// What a batch of events is called in the name of a point: their words, with a plus between; how many of one kind there
/// are depends on the moment, and is not said.
#[cfg(debug_assertions)]
pub fn words(events: &[firedrill_core::event::Event]) -> String {
    let word = |event| match serde_json::to_value(event) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Object(object)) => object.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let mut words: Vec<String> = events.iter().map(word).collect();
    words.dedup();
    words.join("+")
}

/// Nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn words(_events: &[firedrill_core::event::Event]) -> String {
    String::new()
}

/// Marks a point; nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn reached(_point: &str) {}
