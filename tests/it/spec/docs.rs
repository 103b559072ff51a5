//! The reference for users: every block in it loads, and no key is missing.

use firedrill::spec::load::{parse_estate, parse_experiment};
use firedrill::spec::problem::Look;
use firedrill::spec::schema::schemas;
use serde_json::Value;
use std::collections::BTreeSet;

const PAGE: &str = "docs/experiments.md";

/// The blocks of YAML with what stands behind the word, and the line they begin on.
fn blocks(text: &str) -> Vec<(usize, String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (nth, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((nth + 2, info.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, _, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks.into_iter().filter(|(_, info, _)| info.starts_with("yaml")).collect()
}

/// The base with the part's top-level keys in place of its own.
fn merged(base: &str, part: &str) -> String {
    let sections = |text: &str| {
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            let line = format!("{line}\n");
            match line.split_once(':') {
                Some((key, _)) if !line.starts_with([' ', '#', '-']) => sections.push((key.to_owned(), line)),
                _ => sections.last_mut().unwrap().1.push_str(&line),
            }
        }
        sections
    };
    let part = sections(part);
    let mut all: Vec<(String, String)> = sections(base);
    all.retain(|(key, _)| part.iter().all(|(k, _)| k != key));
    all.extend(part);
    all.into_iter().map(|(_, text)| text).collect()
}

const ESTATE: &str = "environment: shop\nallow: []\n";
const EXPERIMENT: &str = "experiment: shop\ntitle: It comes back\nowner: sre@shop.example\n\
    objectives: { rto: 30s, rpo: 0s }\nprobes: [orders-write, storefront]\n\
    method: [{ kill-primary: { target: orders-db } }]\n";

#[test]
fn every_block_loads() {
    let text = std::fs::read_to_string(PAGE).unwrap();
    let blocks = blocks(&text);
    assert!(blocks.len() >= 10, "{} blocks", blocks.len());
    for (line, info, block) in blocks {
        let file = format!("{PAGE}, the block on line {line}");
        let problems = match info.as_str() {
            "yaml part-of-estate" => parse_estate(&file, merged(ESTATE, &block).as_bytes()).err(),
            "yaml part-of-experiment" => parse_experiment(&file, merged(EXPERIMENT, &block).as_bytes()).err(),
            "yaml" if block.starts_with("environment:") => parse_estate(&file, block.as_bytes()).err(),
            "yaml" => parse_experiment(&file, block.as_bytes()).err(),
            other => panic!("{file}: what is `{other}`?"),
        };
        assert!(problems.is_none(), "{}", problems.unwrap().render(Look::Plain));
    }
}

fn words(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                if key == "properties" {
                    found.extend(value.as_object().into_iter().flatten().map(|(name, _)| name.clone()));
                }
                if key == "const" {
                    found.extend(value.as_str().map(str::to_owned));
                }
                words(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| words(item, found)),
        _ => {}
    }
}

#[test]
fn every_key_and_every_word_is_explained() {
    for (file, schema) in schemas() {
        let page = if file == "daemon.schema.json" { "docs/daemon.md" } else { PAGE };
        let text = std::fs::read_to_string(page).unwrap();
        let mut known = BTreeSet::new();
        words(&schema, &mut known);
        let missing: Vec<&String> = known
            .iter()
            .filter(|word| !text.contains(&format!("`{word}`")) && !text.contains(&format!("{word}: ")))
            .collect();
        assert!(missing.is_empty(), "not in {page}: {missing:?}");
    }
}

#[test]
fn the_runbooks_of_the_examples_are_linked_and_lead_on() {
    for entry in std::fs::read_dir("runbooks").unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# ") && text.lines().count() > 20, "{}", path.display());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(path.parent().unwrap().join(link).is_file(), "{}: {link}", path.display());
        }
    }
}
