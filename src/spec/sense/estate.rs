//! Whether an estate makes sense by itself.

use super::{DAY, Finder, HOUR};
use crate::faults::FAULTS;
use crate::filers::FilerSpec;
use crate::probes::ProbeSpec;
use crate::probes::ledger::At;
use crate::spec::calendar;
use crate::spec::estate::{BackupsTarget, Estate, PostgresTarget, Reach, S3, Selection, StagingTarget, Target};
use crate::spec::load::Located;
use crate::spec::nearest::{nearest, one_of};
use crate::spec::path::NodePath;
use crate::spec::primary_rule::PrimaryRule;
use crate::spec::problem::{Code, Problem};
use crate::spec::scalar::{Bytes, Name, SecretRef, Span};
use crate::spec::selector;
use firedrill_core::blackout::{Blackout, NotABlackout};
use firedrill_core::window::NotAWindow;

/// All that makes no sense in an estate.
pub(crate) fn estate(loaded: &Located<Estate>) -> Vec<Problem> {
    let mut finder = Finder::new(&loaded.source);
    let it = &loaded.value;
    allow(&mut finder, it);
    window(&mut finder, it);
    blackouts(&mut finder, it);
    if let Some(kubernetes) = &it.kubernetes {
        for (key, value) in [("kubeconfig", &kubernetes.kubeconfig), ("context", &kubernetes.context)] {
            if let Some(text) = value {
                finder.text(&format!("kubernetes.{key}"), text);
            }
        }
    }
    for (name, target) in &it.targets {
        self::target(&mut finder, it, name, target);
    }
    for (name, probe) in &it.probes {
        self::probe(&mut finder, it, name, probe);
    }
    dead_man(&mut finder, it);
    if it.guards.lag > Bytes(1 << 40) {
        finder.tell("guards.lag", Code::Value, "`guards.lag` is out of range", |p| {
            p.found(it.guards.lag.to_string()).expected("at most 1TiB")
        });
    }
    finder.within("guards.cool-down", Some(it.guards.cool_down), Span::secs(0), Span::secs(30 * 86_400));
    for (nth, FilerSpec::Directory(directory)) in it.file.iter().enumerate() {
        finder.text(&format!("file[{nth}].directory"), directory);
    }
    finder.done()
}

/// The lock is renewed four times in `after`, and a request to the API server may take a while.
const AFTER_MIN: Span = Span::secs(5);

fn dead_man(finder: &mut Finder<'_>, it: &Estate) {
    let Some(dead_man) = &it.dead_man else { return };
    finder.text("dead-man.image", &dead_man.image);
    finder.within("dead-man.after", Some(dead_man.after), AFTER_MIN, HOUR);
    let taken = |t: &Target| matches!(t, Target::Deployments(d) if d.namespace == dead_man.namespace);
    let Some((name, _)) = it.targets.iter().find(|(_, t)| taken(t)) else { return };
    let source = finder.source();
    finder.tell(
        "dead-man.namespace",
        Code::Contradiction,
        "the dead man would go with what it is to bring back",
        |p| {
            p.found(format!("the namespace of `{name}`"))
                .expected("a namespace of its own, such as that of deploy/roles/dead-man.yaml")
                .see(source, &format!("targets.{name}.deployments.namespace"), "the target")
        },
    );
}

fn window(finder: &mut Finder<'_>, it: &Estate) {
    let (Some(text), Err(why)) = (&it.window, it.windows()) else { return };
    let near = match &why {
        NotAWindow::Zone(_) => text.split_whitespace().last().and_then(calendar::nearest_zone),
        _ => None,
    };
    finder.tell("window", Code::Schedule, "`window` cannot be read", |p| {
        p.found(format!("{text:?}")).nearest(near).help(why.to_string())
    });
}

fn blackouts(finder: &mut Finder<'_>, it: &Estate) {
    for (nth, text) in it.blackouts.iter().enumerate() {
        let Err(why) = text.parse::<Blackout>() else { continue };
        let near = match &why {
            NotABlackout::Zone(_) => text.split_whitespace().last().and_then(calendar::nearest_zone),
            _ => None,
        };
        let path = format!("blackouts[{nth}]");
        finder.tell(&path, Code::Schedule, format!("`{path}` cannot be read"), |p| {
            p.found(format!("{text:?}")).nearest(near).help(why.to_string())
        });
    }
}

fn allow(finder: &mut Finder<'_>, it: &Estate) {
    finder.once("allow", it.allow.iter().map(Name::as_str));
    let words = || FAULTS.iter().map(|(word, _)| *word);
    for (nth, word) in it.allow.iter().enumerate() {
        if !words().any(|w| w == word.as_str()) {
            finder.tell(
                &format!("allow[{nth}]"),
                Code::UnknownWord,
                format!("there is no fault or operation `{word}`"),
                |p| p.found(format!("`{word}`")).expected(one_of(words())).nearest(nearest(word.as_str(), words())),
            );
        }
    }
}

fn target(finder: &mut Finder<'_>, it: &Estate, name: &Name, target: &Target) {
    let path = |rest: &str| format!("targets.{name}.{rest}");
    match target {
        Target::Postgres(db) => {
            selector_at(finder, &path("postgres.members"), &db.members);
            primary_rule(finder, &path("postgres.primary"), db);
            secret(finder, &path("postgres.url"), &db.url);
            port(finder, &path("postgres.port"), db.port);
            port(finder, &path("postgres.patroni-port"), db.patroni_port);
            if let Some(agent) = &db.agent {
                finder.text(&path("postgres.agent.image"), &agent.image);
            }
        }
        Target::Deployments(deployments) => match &deployments.select {
            Selection::All => {}
            Selection::Names(names) if names.is_empty() => {
                finder.tell(&path("deployments.select.names"), Code::EmptyValue, "no deployment is named", |p| {
                    p.found("an empty list").expected("names, or `select: all`")
                });
            }
            Selection::Names(names) => finder.once(&path("deployments.select.names"), names.iter().map(Name::as_str)),
            Selection::Selector(text) => selector_at(finder, &path("deployments.select.selector"), text),
        },
        Target::Backups(BackupsTarget { s3, of }) => {
            store(finder, &path("backups.s3"), s3);
            if let Some(of) = of {
                database(finder, it, &path("backups.of"), of);
            }
        }
        Target::Staging(StagingTarget::Scratch(scratch)) => {
            for (key, value) in [("directory", &scratch.directory), ("binaries", &scratch.binaries)] {
                if let Some(text) = value {
                    finder.text(&path(&format!("staging.scratch.{key}")), text);
                }
            }
        }
        Target::Staging(StagingTarget::Server(server)) => {
            secret(finder, &path("staging.server.url"), &server.url);
            not_a_source(finder, it, &path("staging.server.url"), &server.url);
            finder.text(&path("staging.server.marker"), &server.marker);
        }
    }
}

fn primary_rule(finder: &mut Finder<'_>, path: &str, db: &PostgresTarget) {
    match &db.primary {
        PrimaryRule::Label(text) => {
            selector_at(finder, path, text);
            if db.members.trim() == text.trim() {
                finder.tell(path, Code::Contradiction, "`primary` selects every member", |p| {
                    p.found("the same selector as `members`")
                        .expected("the label that only the primary has, for example `role=primary`")
                });
            }
        }
        PrimaryRule::Sql(query) => finder.text(&format!("{path}.sql"), query),
        PrimaryRule::Repmgr(database) => finder.text(&format!("{path}.repmgr"), database),
    }
}

/// A staging server must not be a database that the estate describes: a restore would overwrite it.
fn not_a_source(finder: &mut Finder<'_>, it: &Estate, path: &str, url: &SecretRef) {
    let same = it.targets.iter().find(|(_, t)| matches!(t, Target::Postgres(db) if db.url == *url));
    let Some((name, _)) = same else { return };
    let source = finder.source();
    finder.tell(path, Code::Contradiction, format!("this is `{name}` itself, not a staging server"), |p| {
        p.found(format!("the same secret as the `url` of `{name}`"))
            .expected("a server of its own, with credentials of its own")
            .help("a restore into a database that is in use would destroy it")
            .see(source, &format!("targets.{name}.postgres.url"), "the database")
    });
}

fn selector_at(finder: &mut Finder<'_>, path: &str, text: &str) {
    if let Err(why) = selector::check(text) {
        finder.tell(path, Code::Value, format!("`{path}` is not a label selector"), |p| {
            p.found(why).expected("a selector such as `app=orders,role=primary` or `tier in (web,api)`")
        });
    }
}

fn port(finder: &mut Finder<'_>, path: &str, port: u16) {
    if port == 0 {
        finder.tell(path, Code::Value, format!("`{path}` is out of range"), |p| {
            p.found("0").expected("a port from 1 to 65535")
        });
    }
}

fn secret(finder: &mut Finder<'_>, path: &str, reference: &SecretRef) {
    let identifier = |text: &str| {
        !text.is_empty()
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let wrong = match reference {
        SecretRef::Env(name) if !identifier(name) => {
            Some(("env", "the name of an environment variable, such as `ORDERS_URL`"))
        }
        SecretRef::File(file) if file.trim().is_empty() || file.contains("://") => Some(("file", "the path of a file")),
        SecretRef::Secret(text) if !is_secret_name(text) => {
            Some(("secret", "`namespace/name` or `namespace/name#key`"))
        }
        _ => None,
    };
    if let Some((key, expected)) = wrong {
        finder.tell(
            &format!("{path}.{key}"),
            Code::InlineSecret,
            format!("`{path}.{key}` is not a reference to a secret"),
            |p| p.found("something else (not shown, in case it is the secret itself)").expected(expected),
        );
    }
}

fn is_secret_name(text: &str) -> bool {
    let (path, key) = text.split_once('#').unwrap_or((text, "url"));
    let dns = |s: &str| {
        !s.is_empty() && s.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.')
    };
    let key_ok = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    path.split_once('/').is_some_and(|(namespace, name)| dns(namespace) && dns(name)) && key_ok
}

fn store(finder: &mut Finder<'_>, path: &str, s3: &S3) {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if !(3..=63).contains(&s3.bucket.len()) || !s3.bucket.chars().all(legal) {
        finder.tell(&format!("{path}.bucket"), Code::Value, "this cannot be the name of a bucket", |p| {
            p.found(format!("{:?}", s3.bucket))
                .expected("3 to 63 lower-case letters, digits, dashes and dots")
                .help("without `s3://` and without a path: that is `prefix`")
        });
    }
    if s3.prefix.starts_with('/') || s3.prefix.contains("://") {
        finder.tell(&format!("{path}.prefix"), Code::Value, "no key begins like this", |p| {
            p.found(format!("{:?}", s3.prefix))
                .expected("the beginning of the keys, such as `postgresql/`")
                .help("leave out the leading `/` and the bucket")
        });
    }
    if let Some(endpoint) = &s3.endpoint {
        web(finder, &format!("{path}.endpoint"), endpoint);
    }
    let given = [("access-key", &s3.access_key), ("secret-key", &s3.secret_key)];
    for (key, reference) in given {
        if let Some(reference) = reference {
            secret(finder, &format!("{path}.{key}"), reference);
        }
    }
    if s3.access_key.is_some() != s3.secret_key.is_some() {
        let missing = if s3.access_key.is_some() { "secret-key" } else { "access-key" };
        finder.tell(path, Code::MissingKey, format!("`{missing}` is missing"), |p| {
            p.found("one half of a pair")
                .expected("both `access-key` and `secret-key`, or neither")
                .help("without both, the usual AWS environment, profile or web identity is used")
        });
    }
}

fn web(finder: &mut Finder<'_>, path: &str, url: &str) {
    let uri = url.parse::<hyper::Uri>().ok();
    let sound = uri
        .as_ref()
        .is_some_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some_and(|h| !h.is_empty()));
    if !sound {
        finder.tell(path, Code::Value, format!("`{path}` is not a web address"), |p| {
            p.found(format!("{url:?}")).expected("an address that begins with `http://` or `https://` and names a host")
        });
    }
}

/// Requires that a name is that of a `postgres` target.
fn database(finder: &mut Finder<'_>, it: &Estate, path: &str, name: &Name) {
    let databases = || it.targets.iter().filter(|(_, t)| matches!(t, Target::Postgres(_))).map(|(n, _)| n.as_str());
    let source = finder.source();
    match it.targets.get(name) {
        Some(Target::Postgres(_)) => {}
        Some(other) => finder.tell(path, Code::WrongKind, format!("`{name}` is no database"), |p| {
            p.found(format!("a `{}` target", other.word()))
                .expected(format!("a `postgres` target: {}", one_of(databases())))
                .see(source, &format!("targets.{name}"), "it is described here")
        }),
        None => finder.tell(path, Code::UnknownName, format!("there is no target `{name}`"), |p| {
            p.found(format!("`{name}`"))
                .expected(format!("a `postgres` target: {}", one_of(databases())))
                .nearest(nearest(name.as_str(), databases()))
        }),
    }
}

/// Requires that a database is reached without a detour.
fn direct(finder: &mut Finder<'_>, it: &Estate, path: &str, name: &Name) {
    let Some(Target::Postgres(PostgresTarget { reach: Reach::PortForward, .. })) = it.targets.get(name) else { return };
    let source = finder.source();
    finder.tell(path, Code::Contradiction, "a single member is not written to through a port-forward", |p| {
        p.found("`at: member`")
            .expected(format!("`reach: direct` at `{name}`"))
            .help("run where the members' own addresses are reached: inside the cluster, for example")
            .see(source, &format!("targets.{name}.postgres.reach"), "how it is reached")
    });
}

fn probe(finder: &mut Finder<'_>, it: &Estate, name: &Name, probe: &ProbeSpec) {
    let path = |key: &str| format!("probes.{name}.{}.{key}", probe.word());
    let pace = probe.pace();
    finder.within(&path("every"), Some(pace.every), Span::ms(1), Span::secs(60));
    finder.within(&path("fresh-every"), pace.fresh_every, Span::ms(1), Span::secs(60));
    finder.within(&path("timeout"), Some(pace.timeout), Span::ms(1), Span::secs(3_600));
    match probe {
        ProbeSpec::Ledger(ledger) => {
            database(finder, it, &path("target"), &ledger.target);
            if ledger.at == At::Member {
                direct(finder, it, &path("at"), &ledger.target);
            }
        }
        ProbeSpec::Sql(sql) => {
            database(finder, it, &path("target"), &sql.target);
            finder.text(&path("query"), &sql.query);
        }
        ProbeSpec::Http(http) => {
            web(finder, &path("url"), &http.url);
            if http.status.is_some_and(|status| !(100..=599).contains(&status)) {
                finder.tell(&path("status"), Code::Value, "this is no HTTP status", |p| {
                    p.found(http.status.unwrap_or_default().to_string()).expected("from 100 to 599, for example 200")
                });
            }
            finder.within(&path("latency"), http.latency, Span::ms(1), DAY);
            if http.latency.is_some_and(|latency| latency > pace.timeout) {
                let source = finder.source();
                finder.tell(&path("latency"), Code::Contradiction, "no answer is waited for that long", |p| {
                    p.found(http.latency.unwrap_or(pace.timeout).to_string())
                        .expected(format!("at most the timeout, {}", pace.timeout))
                        .see(source, &path("timeout"), "the timeout")
                });
            }
            for pointer in http.json.keys().filter(|p| !p.is_empty() && !p.starts_with('/')) {
                let here = NodePath::parse(&path("json")).key(pointer);
                finder.tell_key(&here, Code::Value, "this is no JSON pointer", |p| {
                    p.found(format!("{pointer:?}"))
                        .expected(format!("`/` before each step, for example \"/{}\"", pointer.replace('.', "/")))
                });
            }
        }
        ProbeSpec::Tcp(tcp) => {
            let sound = tcp
                .address
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0));
            if !sound || tcp.address.contains("//") {
                finder.tell(&path("address"), Code::Value, "this is no address", |p| {
                    p.found(format!("{:?}", tcp.address))
                        .expected("`host:port`, for example `orders.shop.example:5432`")
                });
            }
        }
    }
}
