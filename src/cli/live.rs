//! What a person sees while a drill runs: one screen redrawn in place on a terminal, plain lines elsewhere.

use crate::cli::{Form, out};
use crate::render::terminal::Paint;
use crate::runner::Prepared;
use crate::runner::progress::{Phase, Picture, StreamPicture};
use firedrill_core::sample::View;
use firedrill_core::time::Nanos;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The time between two drawings.
const FRAME: Duration = Duration::from_millis(150);

/// What a screen says of its drill besides the picture.
#[derive(Clone, Debug)]
struct Head {
    experiment: String,
    environment: String,
    drill: String,
    rto: Option<Nanos>,
    rpo: Option<Nanos>,
    paint: Paint,
    width: usize,
}

/// A screen that is being drawn.
#[derive(Debug)]
pub(crate) struct Screen {
    task: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

/// Begins to draw, when there are people to draw for.
pub(crate) fn begin(pictures: watch::Receiver<Picture>, prepared: &Prepared, form: Form) -> Screen {
    let stop = CancellationToken::new();
    if form == Form::Json {
        return Screen { task: None, stop };
    }
    let opening = &prepared.opening;
    let head = Head {
        experiment: opening.experiment.clone(),
        environment: opening.environment.clone(),
        drill: opening.drill.chars().take(13).collect(),
        rto: opening.brief.objectives.rto_ns,
        rpo: opening.brief.objectives.rpo_ns,
        paint: out::paint(),
        width: out::width().unwrap_or(100),
    };
    let stopped = stop.clone();
    let terminal = std::io::stdout().is_terminal();
    let task = tokio::spawn(async move {
        if terminal { redraw(pictures, &head, &stopped).await } else { lines(pictures, &head, &stopped).await }
    });
    Screen { task: Some(task), stop }
}

impl Screen {
    /// Draws what is left to draw, and stops.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        if let Some(task) = self.task {
            // A screen that failed has no say in the drill.
            let _ = task.await;
        }
    }
}

/// Plain lines: each note once, as it comes.
async fn lines(mut pictures: watch::Receiver<Picture>, head: &Head, stop: &CancellationToken) {
    out::line(&format!("firedrill  {}  {}  drill {}", head.experiment, head.environment, head.drill));
    let mut told = 0;
    let mut phase = None;
    loop {
        let over = stop.run_until_cancelled(pictures.changed()).await.is_none_or(|r| r.is_err());
        let picture = pictures.borrow_and_update().clone();
        if phase != Some(picture.phase) {
            phase = Some(picture.phase);
            out::line(&format!("{:>8}  {}", clock(picture.elapsed), phase_word(picture.phase)));
            if picture.phase == Phase::Arm {
                picture.will.iter().for_each(|w| out::line(&format!("          will {w}")));
                picture.will_not.iter().for_each(|w| out::line(&format!("          will not touch {w}")));
            }
        }
        for (at, note) in picture.notes.iter().skip(told) {
            out::line(&format!("{:>8}  {note}", clock(*at)));
        }
        told = picture.notes.len();
        if over {
            break;
        }
    }
}

/// One screen, redrawn in place.
async fn redraw(mut pictures: watch::Receiver<Picture>, head: &Head, stop: &CancellationToken) {
    let mut height = 0;
    loop {
        let over = stop.run_until_cancelled(tokio::time::sleep(FRAME)).await.is_none();
        let picture = pictures.borrow_and_update().clone();
        let screen = draw(&picture, head);
        let mut text = String::new();
        if height > 0 {
            let _ = write!(text, "\x1b[{height}A\x1b[J");
        }
        text.push_str(&screen);
        out::text(&text);
        height = screen.lines().count();
        if over {
            break;
        }
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Preflight => "preflight",
        Phase::Arm => "arming",
        Phase::Baseline => "baseline",
        Phase::Inject => "injecting",
        Phase::Measure => "measuring",
        Phase::Verify => "verifying",
        Phase::Undo => "giving back",
        Phase::Report => "report",
    }
}

fn clock(length: Nanos) -> String {
    let tenths = length.0 / 100_000_000;
    format!("{:02}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

/// Draws one screen. No line is wider than the terminal.
fn draw(picture: &Picture, head: &Head) -> String {
    let mut lines = vec![format!(
        " {}  {}  drill {}   {}",
        bold(&head.experiment, head.paint),
        head.environment,
        head.drill,
        clock(picture.elapsed)
    )];
    for (label, items) in [("will", &picture.will), ("will not touch", &picture.will_not)] {
        lines.extend(items.iter().take(4).map(|item| format!(" {label:<14} {item}")));
        if items.len() > 4 {
            lines.push(format!(" {:<14} and {} more", "", items.len() - 4));
        }
    }
    let objective =
        |name: &str, of: Option<Nanos>| of.map(|n| format!("{name} {}", crate::render::figure::duration(n)));
    let objectives: Vec<String> =
        [objective("RTO", head.rto), objective("RPO", head.rpo)].into_iter().flatten().collect();
    if !objectives.is_empty() {
        lines.push(format!(" {:<14} {}", "objectives", objectives.join("  ")));
    }
    lines.push(String::new());
    lines.push(phases(picture, head.paint));
    if !picture.streams.is_empty() {
        lines.push(String::new());
        let name = picture.streams.iter().map(|s| s.stream.probe.len()).max().unwrap_or(0);
        lines.extend(picture.streams.iter().map(|s| stream(s, name, head.paint)));
    }
    if let (Some(so_far), Some(rto)) = (picture.recovering, head.rto) {
        lines.push(recovery(so_far, rto, picture.stable_for));
    }
    lines.push(String::new());
    let newest = picture.notes.len().saturating_sub(5);
    lines.extend(picture.notes.iter().skip(newest).map(|(at, note)| format!(" {}  {note}", clock(*at))));
    lines.push(" ^C undoes and reports".to_owned());
    lines.iter().map(|line| fit(line, head.width) + "\n").collect()
}

/// Cuts a line to the terminal's width, passing over colour codes.
fn fit(line: &str, width: usize) -> String {
    let mut out = String::new();
    let mut shown = 0;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            out.push(c);
            for c in chars.by_ref() {
                out.push(c);
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
            continue;
        }
        if shown + 1 >= width.max(20) {
            out.push('…');
            break;
        }
        out.push(c);
        shown += 1;
    }
    if out.contains('\x1b') {
        out.push_str("\x1b[0m");
    }
    out
}

fn bold(text: &str, paint: Paint) -> String {
    match paint {
        Paint::Colour => format!("\x1b[1m{text}\x1b[0m"),
        Paint::Plain => text.to_owned(),
    }
}

fn phases(picture: &Picture, paint: Paint) -> String {
    let all = [Phase::Preflight, Phase::Baseline, Phase::Inject, Phase::Measure, Phase::Verify, Phase::Undo];
    let shown = all.iter().map(|phase| {
        let word = match phase {
            Phase::Preflight if picture.checks > 0 => format!("preflight {} checks", picture.checks),
            phase => phase_word(*phase).to_owned(),
        };
        match phase.cmp(&picture.phase) {
            std::cmp::Ordering::Less => format!("✓ {word}"),
            std::cmp::Ordering::Equal => bold(&format!("▶ {word}"), paint),
            std::cmp::Ordering::Greater => format!("· {word}"),
        }
    });
    format!(" {}", shown.collect::<Vec<_>>().join("   "))
}

fn stream(s: &StreamPicture, name: usize, paint: Paint) -> String {
    let spark: String = s
        .spark
        .iter()
        .map(|cell| match (cell, paint) {
            (Some(true), Paint::Colour) => "\x1b[32m█\x1b[0m".to_owned(),
            (Some(false), Paint::Colour) => "\x1b[31m▁\x1b[0m".to_owned(),
            (Some(true), Paint::Plain) => "█".to_owned(),
            (Some(false), Paint::Plain) => "▁".to_owned(),
            (None, _) => " ".to_owned(),
        })
        .collect();
    let view = match s.stream.view {
        View::Kept => "kept ",
        View::Fresh => "fresh",
    };
    let ms = |n: Option<Nanos>| n.map_or("   –   ".to_owned(), |n| format!("{:5.1}ms", n.as_ms_f64()));
    let down = s
        .down
        .map_or(String::new(), |d| format!("{} {:.2}s", if s.is_down { "DOWN" } else { "down" }, d.as_secs_f64()));
    format!(" {:<name$} {view}  {spark}  p99 {}  late {}  {down}", s.stream.probe, ms(s.p99), ms(s.late_p99))
}

fn recovery(so_far: Nanos, rto: Nanos, stable: Option<Nanos>) -> String {
    const CELLS: u64 = 30;
    let filled = (so_far.0.saturating_mul(CELLS) / rto.0.max(1)).min(CELLS);
    let bar: String = (0..CELLS).map(|i| if i < filled { '█' } else { '░' }).collect();
    let stable = stable.map_or(String::new(), |s| format!("  all right for {:.1}s", s.as_secs_f64()));
    format!(
        " {:<14} {:.1}s of {}  {bar}{stable}",
        "recovery",
        so_far.as_secs_f64(),
        crate::render::figure::duration(rto)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_the_terminal_and_colours_do_not_count() {
        let line = format!("\x1b[32m{}\x1b[0m", "█".repeat(100));
        let cut = fit(&line, 30);
        assert_eq!(cut.chars().filter(|c| *c == '█').count(), 29);
        assert!(cut.ends_with("\x1b[0m"));
        assert_eq!(fit("short", 30), "short");
    }
}
