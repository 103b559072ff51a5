//! What `lab/test.sh` says where no cluster can be had: one line with the reason, and a failure where one is required.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the script needs to find out that it cannot go on. Go, make and cargo are not among it.
const PROGRAMS: [&str; 4] = ["dirname", "realpath", "uname", "id"];

fn found(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.exists()).unwrap()
}

/// Runs the script with no program but those, and these variables.
fn ran(variables: &[(&str, &str)]) -> Output {
    let dir = std::env::temp_dir().join(format!("firedrill-no-lab-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&dir).unwrap();
    for program in PROGRAMS {
        symlink(found(program), dir.join(program)).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/test.sh");
    let mut command = Command::new(found("bash"));
    let ended = command.arg(script).env_clear().env("PATH", &dir).envs(variables.iter().copied()).output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    ended
}

#[test]
fn cluster_tests_that_cannot_run_say_why_in_one_line() {
    let reason = if rustix::process::geteuid().is_root() { "Go 1.25 or later" } else { "root" };
    let expected =
        format!("cluster tests: skipped: the lab needs {reason}; FIREDRILL_TEST_KUBECONFIG names another cluster\n");
    for (variables, code) in
        [(&[][..], 0), (&[("FIREDRILL_REQUIRE_LAB", "")][..], 0), (&[("FIREDRILL_REQUIRE_LAB", "1")][..], 1)]
    {
        let ended = ran(variables);
        assert_eq!(ended.status.code(), Some(code), "{variables:?}: {ended:?}");
        assert_eq!(String::from_utf8(ended.stderr).unwrap(), expected, "{variables:?}");
        assert!(ended.stdout.is_empty(), "{variables:?}");
    }
}

#[test]
fn another_cluster_without_an_image_is_no_skip() {
    let ended = ran(&[("FIREDRILL_TEST_KUBECONFIG", "/nowhere/kubeconfig")]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(said, "lab: FIREDRILL_TEST_IMAGE must name an image that stays up without a command\n");
}
