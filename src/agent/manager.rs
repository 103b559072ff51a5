//! Patroni among the processes of a container: which of them it is, and whether the container would outlive it.

use crate::agent::processes::Process;

/// Programs that start again what they look after, and go on meanwhile. Any other that started Patroni may end with it, and
/// the container, PostgreSQL in it, with that one.
const KEEPERS: [&str; 4] = ["runsv", "s6-supervise", "supervisord", "systemd"];

/// What a process runs, by its command line: the last part of its first word; of an interpreter, the script or the module.
///
/// A server that writes what it does into its command line (`postgres: orders: patroni …`) runs nothing by that name: a
/// program's path is one word.
fn program(command: &[u8]) -> Option<String> {
    let mut words = command.split(|b| *b == 0).map(String::from_utf8_lossy).filter(|w| !w.is_empty());
    let path = words.next()?;
    if path.contains(char::is_whitespace) {
        return None;
    }
    let name = last(&path);
    if !name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').eq_ignore_ascii_case("python") {
        return Some(name.to_owned());
    }
    while let Some(word) = words.next() {
        match &*word {
            // A command in the arguments is no program by a name.
            "-c" => return None,
            "-m" => return words.next().map(|module| module.split('.').next().unwrap_or_default().to_owned()),
            "-W" | "-X" => drop(words.next()),
            option if option.starts_with('-') => {}
            script => return Some(last(script.trim_end_matches("/__main__.py")).trim_end_matches(".py").to_owned()),
        }
    }
    None
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a process is Patroni. As the first process of a container it is two: one that waits, and one that works.
pub(crate) fn is_manager(process: &Process) -> bool {
    program(&process.command).as_deref() == Some("patroni")
}

/// Why Patroni must not be killed: the container might end with it. `all` are the living processes of the container.
pub(crate) fn bound(all: &[Process]) -> Option<String> {
    let first = all.iter().min_by_key(|p| (p.started, p.pid)).map(|p| p.pid);
    let of = |pid: i32| all.iter().find(|p| p.pid == pid);
    let roots = all.iter().filter(|p| is_manager(p) && of(p.parent).is_none_or(|parent| !is_manager(parent)));
    roots.into_iter().find_map(|root| {
        if first == Some(root.pid) {
            return Some(
                "Patroni is the first process of its container: killing it ends the container, PostgreSQL with it; `by: stop` does not".to_owned(),
            );
        }
        let parent = of(root.parent).and_then(|p| program(&p.command));
        match parent {
            Some(parent) if KEEPERS.contains(&parent.as_str()) => None,
            parent => Some(format!(
                "Patroni was started by {}, which is not known to start it again: the container might end with it, PostgreSQL too; `by: stop` is no such risk",
                parent.unwrap_or_else(|| "a process that is not to be seen".to_owned())
            )),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, command: &str) -> Process {
        Process {
            pid,
            parent,
            container: "db".to_owned(),
            started: u64::try_from(pid).unwrap(),
            state: 'S',
            command: command.replace(' ', "\0").into_bytes(),
        }
    }

    fn told(command: &[u8]) -> bool {
        is_manager(&Process { command: command.to_owned(), ..process(1, 0, "") })
    }

    #[test]
    fn patroni_is_known_by_the_program_that_runs() {
        for command in [
            "/usr/bin/python3\0/usr/bin/patroni\0/tmp/patroni.yml\0",
            "/usr/bin/python3.11\0-u\0-X\0dev\0/usr/local/bin/patroni\0/etc/patroni\0",
            "python\0-m\0patroni\0/config.yml",
            "python3\0-m\0patroni.__main__\0/config.yml",
            "/opt/venv/bin/python3\0/usr/lib/python3/dist-packages/patroni/__main__.py\0/config.yml",
            "python3\0/patroni/patroni.py\0postgres.yml",
            "/usr/local/bin/patroni\0/config.yml",
        ] {
            assert!(told(command.as_bytes()), "{command:?}");
        }
    }

    #[test]
    fn what_only_speaks_of_patroni_is_not_it() {
        for command in [
            "",
            "/usr/lib/postgresql/15/bin/postgres\0-D\0/data\0--cluster_name=patroni\0",
            // What PostgreSQL writes over its own command line.
            "postgres: patroni: walwriter \0\0\0",
            "postgres: orders: shop x/patroni 10.0.0.9(4242) idle\0",
            "postgres: a /patroni\0",
            "/usr/bin/python3\0/usr/bin/patronictl\0list\0",
            "/usr/bin/python3\0/usr/bin/patroni_aws\0on_start\0",
            "/usr/bin/python3\0-c\0import patroni; patroni.main()\0patroni",
            "python3\0-m\0http.server\0patroni",
            "python3",
            "/bin/sh\0/usr/local/bin/patroni-member\0",
            "/bin/sh\0-c\0exec patroni /tmp/patroni.yml\0",
            "tail\0-f\0/var/log/patroni\0",
            "runsv\0patroni\0",
        ] {
            assert!(!told(command.as_bytes()), "{command:?}");
        }
    }

    #[test]
    fn a_container_that_would_end_with_it_is_named() {
        let postgres = process(30, 1, "postgres -D /data");
        let first =
            [process(10, 1, "python3 /usr/bin/patroni"), process(11, 10, "python3 /usr/bin/patroni"), postgres.clone()];
        assert!(bound(&first).unwrap().contains("first process"));
        let by_init = [process(10, 1, "/usr/bin/tini -- patroni"), process(11, 10, "python3 /usr/bin/patroni")];
        assert!(bound(&by_init).unwrap().contains("started by tini"));
        let orphan = [process(10, 1, "/usr/bin/tini -- patroni"), process(11, 7, "python3 /usr/bin/patroni")];
        assert!(bound(&orphan).unwrap().contains("not to be seen"));
        let kept = [
            process(10, 1, "/usr/bin/dumb-init -- runsvdir -P /etc/service"),
            process(12, 10, "runsvdir -P /etc/service"),
            process(13, 12, "runsv patroni"),
            process(14, 13, "python3 /usr/local/bin/patroni /run/postgres.yml"),
            postgres,
        ];
        assert_eq!(bound(&kept), None);
        let by_script = [
            process(10, 1, "/usr/bin/python3 /usr/bin/supervisord -n"),
            process(11, 10, "/usr/bin/python3 /usr/bin/patroni"),
        ];
        assert_eq!(bound(&by_script), None);
    }
}
