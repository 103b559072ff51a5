//! `firedrill next`: what is due, from a daemon's configuration, as a program reads it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("firedrill-next-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(dir.join("experiments")).unwrap();
        let estate = "environment: lab\nallow: [scale-to-zero]\ntargets:\n  web: { deployments: { namespace: shop, select: all } }\n\
                      probes:\n  front: { http: { url: \"http://127.0.0.1:1/\", status: 200 } }\n";
        std::fs::write(dir.join("estate.yaml"), estate).unwrap();
        std::fs::write(dir.join("firedrill.yaml"), "run: [ { experiments: experiments, estate: estate.yaml } ]\n")
            .unwrap();
        Self(dir)
    }

    fn experiment(&self, name: &str, schedule: &str) {
        let text = format!(
            "experiment: {name}\ntitle: A drill\nowner: tests@ultramarket.example\nobjectives: {{ rto: 2m }}\n\
             probes: [front]\nmethod: [ {{ scale-to-zero: {{ target: web }} }} ]\n{schedule}"
        );
        std::fs::write(self.0.join("experiments").join(format!("{name}.yaml")), text).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn next(dir: &Path, args: &[&str]) -> Output {
    let config = dir.join("firedrill.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.arg("next").arg("--config").arg(config).args(args).output().unwrap()
}

#[test]
fn what_is_due_is_listed_in_its_order_and_what_is_bad_is_told() {
    let place = Place::new();
    place.experiment("weekly", "schedule: { cron: \"0 10 * * Tue\", timezone: Asia/Tashkent }\n");
    place.experiment("daily", "schedule: { cron: \"@daily\", timezone: UTC, jitter: 10m }\n");
    place.experiment("never", "");
    let said = next(&place.0, &["--json", "--days", "28"]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let json: Value = serde_json::from_slice(&said.stdout).unwrap();
    let firings = json["firings"].as_array().unwrap();
    let of = |name: &str| firings.iter().filter(|f| f["experiment"] == name).count();
    assert_eq!((of("weekly"), of("daily"), of("never")), (4, 28, 0));
    let due: Vec<&str> = firings.iter().map(|f| f["due"].as_str().unwrap()).collect();
    assert!(due.is_sorted());
    let late = |f: &&Value| f["experiment"] == "daily" && f["due"] != f["planned"];
    assert!(firings.iter().filter(late).count() > 20, "jittered");
    assert!(firings.iter().all(|f| f["experiment"] != "weekly" || f["due"].as_str().unwrap().ends_with("T05:00:00Z")));

    place.experiment("weekly", "schedule: { cron: \"0 25 * * Tue\", timezone: Asia/Tashkent }\n");
    let said = next(&place.0, &["--json"]);
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    let json: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert!(json["bad"][0].as_str().unwrap().contains("schedule.cron"), "{json:#}");
    assert!(json["firings"].as_array().unwrap().len() > 20, "the others are listed all the same");
    let text = next(&place.0, &["--most", "3"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.lines().filter(|l| l.contains("daily")).count() == 3 && text.contains("--most"), "{text}");
}
