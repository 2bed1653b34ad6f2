//! Where the targets of the Makefile and the scripts under `deploy/` write, and what they remove before.

use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_folder_with_a_space_in_its_name_stays_one_word() {
    for (target, variable, wanted) in [
        ("demo", "DEMO_OUT", "DEMO_OUT='my out' deploy/demo.sh"),
        ("bench", "BENCH_OUT", "--out 'my out' --page"),
        ("bench-ack", "BENCH_OUT", "--out 'my out/ack' --page"),
        ("fairness", "FAIRNESS_OUT", "--out 'my out' --page"),
    ] {
        let mut make = Command::new("make");
        // The flags of a make that runs the tests are not ours.
        make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").env(variable, "my out");
        // Prints what it would do; its cargo is asked for nothing either.
        let output = make.args(["-n", target, "CARGO=true"]).current_dir(root()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(wanted), "{target}: {output:?}");
    }
}

#[test]
fn the_bench_of_the_page_removes_nothing_but_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let bench = |out: &Path| {
        // Any program will do for the binaries: the folder is looked at before they are started.
        let mut script = Command::new(root().join("deploy/bench-page.sh"));
        script.env("SERVICE_BIN", "/bin/false").env("LOADTEST_BIN", "/bin/false").env("BENCH_PAGE_OUT", out);
        // What other tools take OUT for is none of its business.
        let output = script.env("OUT", folder.path().join("others")).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (others, own) = (folder.path().join("others"), folder.path().join("its own"));
    fs::create_dir(&others).unwrap();
    fs::write(others.join("thesis.tex"), "years of work").unwrap();
    let said = bench(&others);
    assert!(said.contains("others is not empty") && said.contains("BENCH_PAGE_OUT"), "{said}");
    assert!(bench(&own).contains("the service ended while starting"));
    fs::write(own.join("old.txt"), "of an earlier bench").unwrap();
    assert!(bench(&own).contains("the service ended while starting"));
    assert!(!own.join("old.txt").exists());
    assert_eq!(fs::read_to_string(others.join("thesis.tex")).unwrap(), "years of work");
}

#[test]
fn the_bench_of_the_page_asks_for_nothing_that_an_old_node_lacks() {
    let script = fs::read_to_string(root().join("deploy/bench-page.sh")).unwrap();
    for newer in ["toSorted(", "toReversed(", "toSpliced(", "Object.groupBy("] {
        assert!(!script.contains(newer), "{newer}");
    }
}
