//! Files reports into a directory, so that a reader sees either nothing or all of a report, and never another drill's
//! report overwritten.
//!
//! Names come from files that people write, so nothing here follows a symbolic link below the root: every step is
//! opened relative to the one before with `O_NOFOLLOW`, and a report is renamed into place only when it is complete
//! and synced.

use super::{Filed, Filer, FilerError};
use crate::render::Rendered;
use firedrill_core::report::Report;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Its word in an estate.
pub const WORD: &str = "directory";

/// The longest name of a directory made from an experiment's name, in bytes.
const NAME_MAX: usize = 120;

/// How reports lie below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `ROOT/<experiment>/<UTC time>/report.{json,html,md,xml}`: one directory a drill.
    ByDrill,
    /// `ROOT/<experiment>/report.{json,html,md,xml}`: one report an experiment, for a demo that runs each once.
    Plain,
}

/// A directory.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
    layout: Layout,
}

impl Directory {
    /// Files below `root`, which is made when it is missing. The root itself may be a symbolic link: it is named by
    /// the estate.
    pub fn new(root: impl Into<PathBuf>, layout: Layout) -> Self {
        Self { root: root.into(), layout }
    }

    /// Where a report goes, relative to the root, without a suffix against a second drill in the same second.
    fn steps(&self, report: &Report) -> Vec<String> {
        let experiment = file_name(&report.experiment.name);
        match self.layout {
            Layout::Plain => vec![experiment],
            Layout::ByDrill => {
                vec![experiment, report.clock.opened.wall().strftime("%Y-%m-%dT%H%M%SZ").to_string()]
            }
        }
    }
}

impl Filer for Directory {
    fn name(&self) -> String {
        format!("{WORD} {}", self.root.display())
    }

    fn file(&self, report: &Report, rendered: &Rendered) -> Result<Filed, FilerError> {
        std::fs::create_dir_all(&self.root).map_err(|source| io("make", &self.root, source))?;
        let mut at = Place::root(&self.root)?;
        let steps = self.steps(report);
        let (last, before) = steps.split_last().expect("a layout has a step at least");
        for step in before {
            at = at.enter(step)?;
        }
        let at = match self.layout {
            Layout::Plain => {
                let place = at.enter(last)?;
                match place.claim(&report.identity.drill)? {
                    Claim::Ours => place,
                    Claim::Others(found) => return Err(place.occupied(found)),
                }
            }
            Layout::ByDrill => own(&at, last, &report.identity.drill)?,
        };
        // The JSON goes last: where it is, everything is.
        let forms = [
            ("report.html", &rendered.html),
            ("report.md", &rendered.markdown),
            ("report.xml", &rendered.junit),
            ("report.json", &rendered.json),
        ];
        for (name, text) in forms {
            at.write(name, text, &report.identity.drill)?;
        }
        Ok(Filed { place: shown(&at.path), page: shown(&at.path.join("report.html")) })
    }
}

/// A directory of this drill's own: the name by itself, or with a number when other drills of the same second have
/// taken it. One that this drill began before is entered again.
fn own(parent: &Place, name: &str, drill: &str) -> Result<Place, FilerError> {
    let mut number = 1_u32;
    loop {
        let candidate = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
        let place = parent.enter(&candidate)?;
        match place.claim(drill)? {
            Claim::Ours => return Ok(place),
            Claim::Others(_) if number < 1_000 => number += 1,
            Claim::Others(found) => return Err(place.occupied(found)),
        }
    }
}

/// Whose a directory is.
enum Claim {
    Ours,
    Others(String),
}

/// The file that says whose directory it is before its report is complete.
const OWNER: &str = ".drill";

/// An open directory; its path is only for messages.
struct Place {
    fd: OwnedFd,
    path: PathBuf,
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn io(doing: &'static str, place: &Path, source: std::io::Error) -> FilerError {
    FilerError::Io { doing, place: shown(place), source }
}

impl Place {
    fn root(path: &Path) -> Result<Self, FilerError> {
        let fd = rustix::fs::openat(CWD, path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| io("open", path, errno.into()))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Enters a directory below, made when it is missing. Anything else of that name is in the way.
    fn enter(&self, name: &str) -> Result<Self, FilerError> {
        let path = self.path.join(name);
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(io("make", &path, errno.into())),
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path }),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                Err(FilerError::InTheWay { place: shown(&path), found: self.kind(name) })
            }
            Err(errno) => Err(io("open", &path, errno.into())),
        }
    }

    fn kind(&self, name: &str) -> &'static str {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => "a symbolic link",
                FileType::RegularFile => "a file",
                FileType::Directory => "a directory",
                _ => "neither a file nor a directory",
            },
            Err(_) => "unreadable",
        }
    }

    fn sync(&self) -> Result<(), FilerError> {
        rustix::fs::fsync(&self.fd).map_err(|errno| io("sync", &self.path, errno.into()))
    }

    /// Makes the directory the drill's, or says whose it is. The name is written beside and linked in, so that of two
    /// runners exactly one gets it, and it is never seen half written.
    fn claim(&self, drill: &str) -> Result<Claim, FilerError> {
        if let Some(found) = self.read(OWNER)? {
            return Ok(if found == drill { Claim::Ours } else { Claim::Others(found) });
        }
        if let Some(found) = self.drill()?.filter(|found| found != drill) {
            return Ok(Claim::Others(found));
        }
        match self.place_new(OWNER, drill, drill) {
            Ok(()) => Ok(Claim::Ours),
            Err(FilerError::Occupied { .. }) => self.claim(drill),
            Err(other) => Err(other),
        }
    }

    /// The drill whose report lies here, if one does.
    fn drill(&self) -> Result<Option<String>, FilerError> {
        Ok(self.read("report.json")?.map(|json| match Report::from_json(&json) {
            Ok(report) => report.identity.drill,
            Err(_) => "a report that cannot be read".to_owned(),
        }))
    }

    fn occupied(&self, found: String) -> FilerError {
        FilerError::Occupied { place: shown(&self.path), found }
    }

    /// A file's text; `None` when there is none. A link is in the way.
    fn read(&self, name: &str) -> Result<Option<String>, FilerError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(FilerError::InTheWay { place: shown(&path), found: "a symbolic link" }),
            Err(errno) => return Err(io("open", &path, errno.into())),
        };
        let mut bytes = Vec::new();
        std::fs::File::from(fd).read_to_end(&mut bytes).map_err(|source| io("read", &path, source))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Writes a file whole: beside, synced, renamed into place, the directory synced.
    fn write(&self, name: &str, text: &str, drill: &str) -> Result<(), FilerError> {
        let path = self.path.join(name);
        let temporary = self.temporary(name, text, drill)?;
        rustix::fs::renameat(&self.fd, &temporary, &self.fd, name).map_err(|errno| {
            self.forget(&temporary);
            io("rename into", &path, errno.into())
        })?;
        self.sync()
    }

    /// The same, but only where nothing of that name is.
    fn place_new(&self, name: &str, text: &str, drill: &str) -> Result<(), FilerError> {
        let path = self.path.join(name);
        let temporary = self.temporary(name, text, drill)?;
        let renamed = rustix::fs::renameat_with(&self.fd, &temporary, &self.fd, name, RenameFlags::NOREPLACE);
        match renamed {
            Ok(()) => self.sync(),
            Err(errno) => {
                self.forget(&temporary);
                if errno == Errno::EXIST {
                    return Err(self.occupied("another drill".to_owned()));
                }
                Err(io("rename into", &path, errno.into()))
            }
        }
    }

    /// A synced file beside the final one. What a killed runner left under that name is removed; it is the drill's own.
    fn temporary(&self, name: &str, text: &str, drill: &str) -> Result<String, FilerError> {
        let temporary = format!(".{}.{}.tmp", name.trim_start_matches('.'), file_name(drill));
        let path = self.path.join(&temporary);
        self.forget(&temporary);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, &temporary, flags, Mode::from_raw_mode(0o644))
            .map_err(|errno| io("make", &path, errno.into()))?;
        let mut file = std::fs::File::from(fd);
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|source| {
            self.forget(&temporary);
            io("write", &path, source)
        })?;
        Ok(temporary)
    }

    fn forget(&self, name: &str) {
        // A temporary file that cannot be removed is found by the next attempt, which then says why.
        let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
    }
}

/// A name made safe as one step of a path: letters, digits, `-`, `_` and inner dots stay, everything else becomes `-`.
/// Names that had to be changed, or are long, end in a short hash of the whole, so that no two fall together.
fn file_name(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }).collect();
    let safe = safe.trim_matches('.');
    if safe == name && !safe.is_empty() && safe.len() <= NAME_MAX {
        return safe.to_owned();
    }
    let hash = format!("{:08x}", crc32fast::hash(name.as_bytes()));
    let head: String = safe.chars().take(NAME_MAX - hash.len() - 1).collect();
    format!("{}-{hash}", if head.is_empty() { "experiment" } else { &head })
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
