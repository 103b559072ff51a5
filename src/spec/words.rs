//! What the schema cannot say about single values: that a duration reads as one, that a secret is a reference, which
//! words are planned and not built.

use crate::spec::manager;
use crate::spec::nearest::all_of;
use crate::spec::problem::{Code, Problem};
use crate::spec::scalar::{Bytes, Name, Span};
use crate::spec::shape::{Spot, describe};
use crate::spec::tree::{Kind, Node};

/// Filers that are planned. A report that goes nowhere must not look like a slip of the pen.
const FILERS_NOT_BUILT: &[&str] = &["s3", "webhook", "slack", "email", "github", "pagerduty"];

const SECRET_HELP: &str = "keep it in the environment (`{ env: NAME }`), in a file (`{ file: path }`) or in a Kubernetes Secret (`{ secret: namespace/name }`)";

/// Checks a value of one of our own scalar types; `None` when it is right, or no such type.
pub(crate) fn scalar(name: &str, node: &Node, spot: &Spot<'_>) -> Option<Problem> {
    match name {
        "Duration" => duration(node, spot),
        "Size" => size(node, spot),
        "Name" => self::name(node, spot),
        _ => None,
    }
}

fn duration(node: &Node, spot: &Spot<'_>) -> Option<Problem> {
    let problem = |node: &Node| {
        spot.problem(Code::WrongType, format!("{} is not a duration", spot.name()))
            .found(describe(node))
            .expected("a duration such as `250ms`, `30s`, `5m` or `1h 30m`")
    };
    match &node.kind {
        Kind::Text(text) => match humantime::parse_duration(text) {
            Ok(_) if Span::parse(text).is_ok() => None,
            Ok(_) => Some(problem(node).help("at most 100 years")),
            Err(why) => Some(problem(node).help(format!("it cannot be read: {why}"))),
        },
        Kind::Int(value) => Some(problem(node).help(format!("a number needs its unit: `{value}s` or `{value}ms`"))),
        _ => Some(problem(node)),
    }
}

fn size(node: &Node, spot: &Spot<'_>) -> Option<Problem> {
    let problem = spot
        .problem(Code::WrongType, format!("{} is not a size", spot.name()))
        .found(describe(node))
        .expected("a size such as `16MiB`, `2GB` or `0B`");
    match &node.kind {
        Kind::Text(text) if Bytes::parse(text).is_ok() => None,
        Kind::Int(value) => Some(problem.help(format!("a number needs its unit: `{value}MiB` or `{value}B`"))),
        _ => Some(problem),
    }
}

/// What is wrong with a key that should be a name.
pub(crate) fn key_name(key: &str, spot: &Spot<'_>) -> Option<Problem> {
    name(&Node { at: spot.at.clone(), kind: Kind::Text(key.to_owned()) }, spot)
}

fn name(node: &Node, spot: &Spot<'_>) -> Option<Problem> {
    let problem = spot
        .problem(Code::WrongType, format!("{} is not a name", spot.name()))
        .found(describe(node))
        .expected("lower-case letters, digits and dashes, at most 63, beginning and ending with a letter or digit");
    match &node.kind {
        Kind::Text(text) if Name::parse(text).is_ok() => None,
        Kind::Text(text) => {
            let plain: String =
                text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            Some(problem.nearest(Name::parse(plain.trim_matches('-')).ok().map(|n| n.to_string())))
        }
        _ => Some(problem),
    }
}

/// A secret that stands where its reference belongs. The value is not shown.
pub(crate) fn inline_secret(spot: &Spot<'_>, node: &Node) -> Problem {
    if matches!(node.kind, Kind::Null) {
        return spot
            .problem(Code::EmptyValue, format!("{} has no value", spot.name()))
            .found("nothing")
            .expected("a reference to a secret")
            .help(SECRET_HELP);
    }
    spot.problem(Code::InlineSecret, format!("{} stands in the file itself; only a reference to it may", spot.name()))
        .found("a value (not shown)")
        .expected("a reference to a secret")
        .help(SECRET_HELP)
}

/// A URL with a password in it where no secret is expected at all.
pub(crate) fn url_with_password(spot: &Spot<'_>) -> Problem {
    spot.problem(Code::InlineSecret, format!("{} has a password in its URL", spot.name()))
        .found("a URL with a password (not shown)")
        .expected("a URL without one")
        .help("take the password out of the file, and change it if the file was ever shared")
}

/// An example of a fault or a probe, for somebody who wrote only its word.
pub(crate) fn sample(word: &str) -> Option<&'static str> {
    let known = crate::faults::FAULTS.iter().chain(crate::probes::PROBES);
    known.into_iter().find(|(known, _)| *known == word).map(|(_, sample)| *sample)
}

/// A word that is planned and not built.
pub(crate) fn not_built(name: &str, word: &str, spot: &Spot<'_>) -> Option<Problem> {
    (name == "FilerSpec" && FILERS_NOT_BUILT.contains(&word)).then(|| {
        spot.problem(Code::NotBuilt, format!("the filer `{word}` is not built yet"))
            .found(format!("`{word}`"))
            .expected("`directory: …`, the only filer that is built")
            .help("write reports to a directory and have another tool carry them on, or remove the line")
    })
}

/// Checks a mapping of one of our own types beyond its keys.
pub(crate) fn mapping(name: &str, node: &Node, spot: &Spot<'_>) -> Option<Problem> {
    (name == "PostgresTarget").then(|| postgres(node, spot)).flatten()
}

/// What says which pods are a database's members, for a sentence.
const WAYS_TO_MEMBERS: &str =
    "a failover manager such as `patroni: { namespace, cluster }`, or `namespace`, `members` and `primary`";

/// A `postgres` target names its members either by one failover manager or by selectors.
fn postgres(node: &Node, spot: &Spot<'_>) -> Option<Problem> {
    const SELECTORS: [&str; 3] = ["namespace", "members", "primary"];
    let managers: Vec<&str> = manager::words().filter(|key| node.get(key).is_some()).collect();
    let given: Vec<&str> = SELECTORS.into_iter().filter(|key| node.get(key).is_some()).collect();
    match (managers.as_slice(), given.as_slice()) {
        ([first, second, ..], _) => beside(node, spot, first, second),
        ([manager], [first, ..]) => beside(node, spot, manager, first),
        ([], given) if given.len() < SELECTORS.len() => Some(
            spot.problem(Code::MissingKey, format!("{} does not say which pods are its members", spot.name()))
                .found(if given.is_empty() {
                    "none of them".to_owned()
                } else {
                    format!("only {}", all_of(given.iter().copied()))
                })
                .expected(WAYS_TO_MEMBERS)
                .help(format!("failover managers that are known: {}", all_of(manager::words()))),
        ),
        _ => None,
    }
}

/// A second thing that says which pods are members.
fn beside(node: &Node, spot: &Spot<'_>, manager: &str, second: &str) -> Option<Problem> {
    let (already, other) = (node.get(manager)?, node.get(second)?);
    Some(
        Problem::at(
            Code::Contradiction,
            &other.key_at,
            &spot.path.key(second),
            format!("`{second}` stands beside `{manager}`"),
        )
        .found(format!("`{manager}` and `{second}`"))
        .expected(WAYS_TO_MEMBERS)
        .also(&already.key_at, "this already says where the members are"),
    )
}
