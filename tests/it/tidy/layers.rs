//! Layers and arrows: who may know whom, and who may touch the world.

use super::files::{self, File};
use super::{code, made_up, none};

/// What a part of the product must not name, and why.
struct Wall {
    /// Path prefixes it holds for.
    inside: &'static [&'static str],
    /// Path prefixes that are let through.
    except: &'static [&'static str],
    /// Words of code.
    words: &'static [&'static str],
    why: &'static str,
}

const WALLS: &[Wall] = &[
    Wall {
        inside: &["crates/core/"],
        // The budget of a search in a test is measured; the drill it searches is not.
        except: &["crates/core/src/simulation/"],
        words: &[
            "tokio",
            "kube",
            "k8s_openapi",
            "sqlx",
            "Instant",
            "SystemTime",
            "Timestamp::now",
            "Zoned::now",
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "std::thread",
            "firedrill::",
            "firedrill_sandbox",
        ],
        why: "the core is pure: no runtime, no cluster, no clock, no file",
    },
    Wall {
        inside: &["crates/probes/"],
        except: &[],
        words: &["kube", "k8s_openapi", "firedrill::", "firedrill_sandbox", "std::env", "std::process"],
        why: "a probe knows its server, and neither clusters nor drills",
    },
    Wall {
        inside: &["crates/sandbox/"],
        except: &[],
        words: &["firedrill::", "firedrill_core"],
        why: "the sandbox must not share the code that measures it",
    },
    Wall {
        inside: &["src/"],
        except: &["src/cli/demo.rs", "src/cli/demo/", "src/cli/mod.rs"],
        words: &["firedrill_sandbox"],
        why: "nothing but the demo knows that there is a sandbox",
    },
    Wall {
        inside: &["src/"],
        except: &["src/effects/", "src/targets/cluster.rs"],
        words: &[
            "PostParams",
            "PatchParams",
            "DeleteParams",
            "EvictParams",
            "Patch",
            "client_ext",
            "disallowed_methods",
        ],
        why: "only effects change the cluster",
    },
    Wall {
        inside: &["src/"],
        except: &["src/targets/cluster.rs"],
        words: &["Client::try_from", "Client::new", "Client::try_default", "ClientBuilder"],
        why: "clients are made in one place, with retries off",
    },
    Wall {
        inside: &["src/render/", "src/filers/mod.rs"],
        except: &[],
        words: &["std::fs", "std::env", "std::net", "tokio", "kube", "sqlx", "SystemTime", "Instant", "Timestamp::now"],
        why: "a report is drawn from itself alone",
    },
    Wall {
        inside: &["src/spec/"],
        except: &[],
        words: &["std::env", "std::net", "tokio", "kube", "sqlx", "SystemTime", "Instant"],
        why: "loading a file asks nobody",
    },
    Wall {
        inside: &["src/spec/"],
        except: &["src/spec/load.rs", "src/spec/check.rs"],
        words: &["std::fs", "File::open", "OpenOptions"],
        why: "files are read in one place",
    },
];

fn breaches(files: &[File], walls: &[Wall]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let starts = |with: &&str| file.path.starts_with(*with);
        let held = walls.iter().filter(|w| w.inside.iter().any(starts) && !w.except.iter().any(starts));
        let code = file.code();
        for wall in held {
            for word in wall.words {
                let lines = code::lines_with(&code, word);
                found.extend(lines.iter().map(|n| format!("{}:{n}: `{word}`: {}", file.path, wall.why)));
            }
        }
    }
    found
}

#[test]
fn every_wall_holds() {
    none(&breaches(&files::product(), WALLS));
}

#[test]
fn every_wall_can_be_breached() {
    for wall in WALLS {
        for (inside, word) in wall.inside.iter().flat_map(|i| wall.words.iter().map(move |w| (i, w))) {
            let path = if inside.ends_with('/') { format!("{inside}new.rs") } else { (*inside).to_owned() };
            let found = breaches(&made_up(&path, &format!("use {word};\n")), WALLS);
            assert!(found.iter().any(|f| f.contains(wall.why)), "{path} may say `{word}`: {found:?}");
        }
    }
    let quoted = made_up("crates/core/src/new.rs", "// tokio\nconst A: &str = \"kubectl and kube\";\n");
    none(&breaches(&quoted, WALLS));
}

/// Which modules of `src` may use a module. What is not listed may be used by all.
const USED_BY: &[(&str, &[&str])] = &[
    ("cli", &[]),
    ("page", &["cli"]),
    ("daemon", &["cli", "page"]),
    ("doctor", &["cli"]),
    ("runner", &["cli", "daemon", "doctor"]),
    ("halt", &["cli", "daemon", "doctor", "runner", "guards"]),
    ("agent", &["cli"]),
    ("effects", &["cli", "runner", "works", "agent"]),
    ("store", &["cli", "daemon", "page", "runner", "effects"]),
    ("works", &["cli", "doctor", "runner", "faults"]),
    ("scratch", &["cli", "doctor", "runner", "effects", "works", "faults"]),
    ("guards", &["cli", "doctor", "runner", "works", "faults"]),
    ("targets", &["cli", "doctor", "runner", "agent", "effects", "works", "faults", "guards"]),
    ("render", &["cli", "filers", "page", "runner"]),
    ("filers", &["cli", "daemon", "doctor", "runner", "spec"]),
    ("faults", &["cli", "doctor", "runner", "effects", "works", "spec"]),
];

fn wrong_arrows(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let Some(module) = file.path.strip_prefix("src/").and_then(|p| p.split(['/', '.']).next()) else { continue };
        let code = file.code();
        for (used, by) in USED_BY.iter().filter(|(used, by)| *used != module && !by.contains(&module)) {
            let lines = code::lines_with(&code, &format!("crate::{used}"));
            found.extend(
                lines.iter().map(|n| format!("{}:{n}: `{module}` must not know `{used}` (only {by:?} may)", file.path)),
            );
        }
    }
    found
}

#[test]
fn arrows_only_point_downwards() {
    none(&wrong_arrows(&files::product()));
}

#[test]
fn an_arrow_upwards_is_seen() {
    for (module, line) in [("faults", "use crate::effects::Hands;"), ("render", "use crate::targets::scene::Scene;")] {
        assert_eq!(wrong_arrows(&made_up(&format!("src/{module}/new.rs"), line)).len(), 1, "{module}: {line}");
    }
    none(&wrong_arrows(&made_up("src/runner/new.rs", "use crate::effects::Hands;")));
}

/// How often the one client of the cluster is made, and how often reading may say a word of writing.
fn in_cluster_rs(files: &[File], word: &str) -> usize {
    let file = files.iter().find(|f| f.path == "src/targets/cluster.rs").expect("the cluster's client lives there");
    code::lines_with(&file.code(), word).len()
}

#[test]
fn there_is_one_client_and_one_question_that_looks_like_a_write() {
    let files = files::product();
    assert_eq!(in_cluster_rs(&files, "Client::try_from"), 1);
    // The access review: the API has it asked by a `create`.
    for word in ["PostParams", "disallowed_methods"] {
        assert_eq!(in_cluster_rs(&files, word), 1, "{word}");
    }
    for word in ["PatchParams", "DeleteParams", "EvictParams", "Patch"] {
        assert_eq!(in_cluster_rs(&files, word), 0, "{word}");
    }
}

/// Crates in a manifest that its part of the house must do without.
fn unwanted_crates(manifest: &str, unwanted: &[&str]) -> Vec<String> {
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let names =
        dependencies.lines().take_while(|l| !l.starts_with('[')).filter_map(|l| l.split(['.', ' ', '=']).next());
    names.filter(|n| unwanted.contains(n)).map(str::to_owned).collect()
}

#[test]
fn the_manifests_keep_the_walls() {
    let read = |path: &str| std::fs::read_to_string(files::root().join(path)).unwrap();
    let core = ["tokio", "tokio-util", "kube", "k8s-openapi", "sqlx", "hyper", "rustix", "firedrill-sandbox", "uuid"];
    none(&unwanted_crates(&read("crates/core/Cargo.toml"), &core));
    none(&unwanted_crates(&read("crates/probes/Cargo.toml"), &["kube", "k8s-openapi", "firedrill-sandbox"]));
    none(&unwanted_crates(&read("crates/sandbox/Cargo.toml"), &["firedrill", "firedrill-core"]));
    assert_eq!(unwanted_crates("[dependencies]\ntokio.workspace = true\nserde = 1\n[x]\nkube = 1\n", &core), ["tokio"]);
}
