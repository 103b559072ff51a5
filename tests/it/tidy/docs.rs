//! Pages for people: links lead somewhere, every page is reached, blocks load, and commands exist.

use super::files::{self, File};
use super::{made_up, none};
use clap::error::ErrorKind;
use firedrill::spec::daemon::parse_daemon;
use firedrill::spec::load::{parse_estate, parse_experiment};
use firedrill::spec::problem::Look;
use std::collections::BTreeSet;

/// A fenced block: the line it begins on, what stands behind the fence, and its text.
struct Block {
    line: usize,
    info: String,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (nth, line) in text.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block { line: nth + 2, info: info.trim().to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// A page without its fenced blocks.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut out = String::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        if !fence && !fenced {
            out.push_str(line);
        }
        out.push('\n');
        fenced ^= fence;
    }
    out
}

fn is_page(file: &File) -> bool {
    std::path::Path::new(&file.path).extension().is_some_and(|e| e == "md")
}

/// Where the relative links of a page lead, from the root, with the heading they ask for.
fn links(file: &File) -> Vec<(String, Option<String>)> {
    let prose = prose(&file.text);
    let linked = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let shown = prose.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let targets = linked.chain(shown).map(str::trim);
    let relative = targets.filter(|t| !t.contains("://") && !t.starts_with("mailto:") && !t.is_empty());
    relative
        .map(|target| {
            let (path, heading) = target.split_once('#').map_or((target, None), |(p, h)| (p, Some(h.to_owned())));
            let base = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
            let path = if path.is_empty() { file.path.clone() } else { resolved(base, path) };
            (path, heading)
        })
        .collect()
}

fn resolved(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').filter(|p| !p.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|l| l.starts_with('#')).map(|l| l.trim_start_matches('#').trim().to_lowercase());
    let anchor = |h: String| {
        h.chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

fn broken_links(files: &[File], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for page in files.iter().filter(|f| is_page(f)) {
        for (target, heading) in links(page) {
            if !exists(&target) {
                found.push(format!("{}: {target} is not there", page.path));
            }
            let Some(heading) = heading else { continue };
            let there = files.iter().find(|f| f.path == target).is_some_and(|f| anchors(&f.text).contains(&heading));
            if !there {
                found.push(format!("{}: {target} has no heading for #{heading}", page.path));
            }
        }
    }
    found
}

#[test]
fn every_link_leads_somewhere() {
    none(&broken_links(&files::all(), |path| files::root().join(path).exists()));
    let page = made_up(
        "docs/a.md",
        "[b](b.md) [c](#c-d) [e](../src) [f](#f) [g](https://g.example) <img src=\"h.png\">\n# C d\n",
    );
    let found = broken_links(&page, |path| path == "src" || path == "docs/a.md");
    assert_eq!(
        found,
        [
            "docs/a.md: docs/b.md is not there",
            "docs/a.md: docs/a.md has no heading for #f",
            "docs/a.md: docs/h.png is not there"
        ]
    );
}

/// Pages that messages of the program send people to, and that are not there.
fn dead_ends(files: &[File], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (nth, line) in file.text.lines().enumerate() {
            for directory in ["docs/", "runbooks/", "deploy/"] {
                for (at, _) in line.match_indices(directory) {
                    let name = |c: &char| c.is_alphanumeric() || "/._-".contains(*c);
                    let path: String = line[at..].chars().take_while(name).collect();
                    let path = path.trim_end_matches(['.', '/']);
                    if !exists(path) {
                        found.push(format!("{}:{}: {path} is not there", file.path, nth + 1));
                    }
                }
            }
        }
    }
    found
}

#[test]
fn messages_send_nobody_to_a_page_that_is_not_there() {
    none(&dead_ends(&files::product(), |path| files::root().join(path).exists()));
    let message = made_up("src/a.rs", "\"see docs/a.md, or runbooks/b.md.\"");
    assert_eq!(dead_ends(&message, |path| path == "docs/a.md"), ["src/a.rs:1: runbooks/b.md is not there"]);
}

/// Pages below `docs` that nobody arrives at who begins with what is at the root.
fn unreached(files: &[File]) -> Vec<String> {
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut next = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    while let Some(path) = next.pop() {
        if let Some(page) = files.iter().find(|f| f.path == path && is_page(f))
            && reached.insert(path)
        {
            next.extend(links(page).into_iter().map(|(target, _)| target));
        }
    }
    let pages = files.iter().filter(|f| is_page(f) && f.path.starts_with("docs/"));
    pages.filter(|f| !reached.contains(&f.path)).map(|f| format!("{}: nothing leads here", f.path)).collect()
}

#[test]
fn every_page_is_reached() {
    none(&unreached(&files::all()));
    let files = [
        File::new("README.md", "[a](docs/a.md)"),
        File::new("docs/a.md", "[b](b.md)"),
        File::new("docs/b.md", ""),
        File::new("docs/c.md", ""),
    ];
    assert_eq!(unreached(&files), ["docs/c.md: nothing leads here"]);
}

/// Blocks of YAML that a newcomer would copy, and that would not load. The reference has a test of its own, which also
/// knows parts of files.
fn wrong_blocks(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for page in files.iter().filter(|f| is_page(f) && f.path != "docs/experiments.md") {
        for block in blocks(&page.text).iter().filter(|b| b.info.starts_with("yaml")) {
            let place = format!("{}, the block on line {}", page.path, block.line);
            let first = block.text.lines().find(|l| !l.starts_with('#')).unwrap_or_default();
            let problems = match first.split(':').next().unwrap_or_default() {
                "environment" => parse_estate(&place, block.text.as_bytes()).err(),
                "experiment" => parse_experiment(&place, block.text.as_bytes()).err(),
                "run" => parse_daemon(&place, block.text.as_bytes()).err(),
                // A manifest of Kubernetes.
                "apiVersion" => {
                    serde_saphyr::from_str::<serde_json::Value>(&block.text).err().map(|e| panic!("{place}: {e}"))
                }
                other => panic!("{place}: begins with `{other}`, and nobody knows what it is"),
            };
            found.extend(problems.map(|p| p.render(Look::Plain)));
        }
    }
    found
}

#[test]
fn every_block_of_yaml_loads() {
    none(&wrong_blocks(&files::all()));
    let wrong = made_up("README.md", "```yaml\nexperiment: a\ntitel: b\n```\n");
    assert_eq!(wrong_blocks(&wrong).len(), 1);
}

#[test]
fn the_readme_shows_an_experiment_of_fifteen_lines() {
    let readme = files::all().into_iter().find(|f| f.path == "README.md").expect("there is a README");
    let experiment = blocks(&readme.text).into_iter().find(|b| b.text.starts_with("experiment:"));
    let lines = experiment.expect("the README shows one").text.lines().count();
    assert!(lines <= 15, "{lines} lines");
}

/// Command lines of firedrill in a page: lines of blocks, and what stands between back-ticks.
fn commands(page: &File) -> Vec<String> {
    let shells = ["", "sh", "shell", "bash", "console"];
    let blocks = blocks(&page.text);
    let in_blocks = blocks.iter().filter(|b| shells.contains(&b.info.as_str())).flat_map(|b| b.text.lines());
    let prose = prose(&page.text);
    let quoted = prose.split('`').skip(1).step_by(2);
    in_blocks
        .chain(quoted)
        .map(|line| line.trim().trim_start_matches("$ ").split(" #").next().unwrap_or_default().trim().to_owned())
        .filter(|line| line.starts_with("firedrill "))
        .collect()
}

/// Command lines that the program would not take.
fn wrong_commands(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for page in files.iter().filter(|f| is_page(f)) {
        for command in commands(page) {
            let words: Vec<&str> =
                command.split_whitespace().take_while(|w| !["|", ">", "&&", ";"].contains(w)).collect();
            if let Err(e) = firedrill::cli::command().try_get_matches_from(&words)
                && e.use_stderr()
                // `firedrill check` in a sentence is a name.
                && !(words.len() <= 2 && e.kind() == ErrorKind::MissingRequiredArgument)
            {
                found.push(format!("{}: `{command}`: {e}", page.path));
            }
        }
    }
    found
}

#[test]
fn every_command_that_is_shown_exists() {
    let files = files::all();
    none(&wrong_commands(&files));
    let shown: usize = files.iter().filter(|f| is_page(f)).map(|f| commands(f).len()).sum();
    assert!(shown >= 15, "only {shown} commands are shown at all");
    let wrong = made_up(
        "docs/a.md",
        "```sh\nfiredrill rum a.yaml\nfiredrill run a.yaml --estate b # fine\n```\nand `firedrill undo --dry`\n",
    );
    assert_eq!(wrong_commands(&wrong).len(), 2);
}

#[test]
fn every_command_is_explained() {
    let pages: String = files::all().into_iter().filter(is_page).map(|f| f.text).collect();
    let command = firedrill::cli::command();
    let missing: Vec<&str> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
        .map(clap::Command::get_name)
        .filter(|name| *name != "help" && !pages.contains(&format!("firedrill {name}")))
        .collect();
    assert!(missing.is_empty(), "no page shows: {missing:?}");
}

/// Parts of the code that the map leaves out.
fn off_the_map(map: &str, parts: &[String]) -> Vec<String> {
    parts.iter().filter(|part| !map.contains(&format!("\n{part}"))).cloned().collect()
}

#[test]
fn the_map_of_the_code_is_whole() {
    let map = std::fs::read_to_string(files::root().join("CONTRIBUTING.md")).unwrap();
    let part = |path: &str| {
        let mut steps = path.splitn(3, '/');
        let (first, second, deeper) = (steps.next()?, steps.next()?, steps.next().is_some());
        let mapped = ["src", "crates", "tests"].contains(&first) && path != "src/lib.rs";
        mapped.then(|| format!("{first}/{second}{}", if deeper { "/" } else { "" }))
    };
    let parts: BTreeSet<String> = files::rust().iter().filter_map(|f| part(&f.path)).collect();
    let parts: Vec<String> = parts.into_iter().collect();
    none(&off_the_map(&map, &parts));
    assert_eq!(off_the_map(&map, &["src/nowhere/".to_owned()]).len(), 1);
}

/// What a page must say: each word between back-ticks.
fn unsaid<'a>(page: &str, words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let text = std::fs::read_to_string(files::root().join(page)).unwrap_or_else(|e| panic!("{page}: {e}"));
    words
        .into_iter()
        .filter(|w| !text.contains(&format!("`{w}`")))
        .map(|w| format!("{page} does not say `{w}`"))
        .collect()
}

/// The variants of an enum, by its schema.
fn variants(schema: &serde_json::Value) -> BTreeSet<String> {
    let alternatives = schema["oneOf"].as_array().into_iter().chain(schema["anyOf"].as_array()).flatten();
    let names = alternatives.flat_map(|one| {
        let listed = one["enum"].as_array().into_iter().flatten().chain(one.get("const"));
        let listed = listed.filter_map(|v| v.as_str().map(str::to_owned));
        let keyed = one["properties"].as_object().into_iter().flat_map(|p| p.keys().cloned());
        listed.chain(keyed).collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn every_event_of_the_journal_is_explained() {
    let events = variants(schemars::schema_for!(firedrill_core::event::Event).as_value());
    assert!(events.len() > 25, "{events:?}");
    none(&unsaid("docs/journal.md", events.iter().map(String::as_str)));
    assert_eq!(unsaid("docs/journal.md", ["opened", "made-up"]).len(), 1);
}

#[test]
fn every_probe_is_explained_and_the_ledger_is_printed_as_it_is_made() {
    none(&unsaid("docs/probes.md", firedrill::probes::PROBES.iter().map(|(word, _)| *word)));
    let page = std::fs::read_to_string(files::root().join("docs/probes.md")).unwrap();
    let sql = blocks(&page).into_iter().find(|b| b.info == "sql").expect("the page prints the SQL");
    assert_eq!(sql.text, firedrill::probes::ledger_table::ddl());
}

#[test]
fn every_exit_code_is_explained() {
    use firedrill_core::verdict::ExitCode;
    let all = [
        ExitCode::Pass,
        ExitCode::Fail,
        ExitCode::Usage,
        ExitCode::Inconclusive,
        ExitCode::Aborted,
        ExitCode::Refused,
        ExitCode::ResidueOutstanding,
        ExitCode::Bug,
    ];
    for page in ["README.md", "docs/measuring.md"] {
        let text = std::fs::read_to_string(files::root().join(page)).unwrap();
        for code in all {
            assert!(text.contains(&format!("| {} |", code.code())), "{page}: {code:?}");
        }
    }
}
