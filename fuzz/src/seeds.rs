//! What fuzzing begins with: a few small inputs for each target, kept in the tree.
//!
//! They stand where bolero looks for them, `__fuzz__/readers__<target>/corpus`; `make test` reads each of them too. What
//! `make fuzz` finds goes into the same folders and is not tracked: whatever of it should stay is added with `git add -f`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Inputs of a target that are kept, and their bytes, at the most; what a fuzzer leaves there is not counted.
const BYTES_MAX: u64 = 4_096;

#[test]
fn every_target_has_seeds_and_every_seed_a_target() {
    let source = include_str!("readers.rs");
    let targets: BTreeSet<_> = source
        .lines()
        .filter_map(|line| line.strip_prefix("fn ")?.strip_suffix("() {"))
        .map(|target| format!("readers__{target}"))
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/__fuzz__");
    let seeded: BTreeSet<_> = fs::read_dir(&folder)
        .expect("there are seeds")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(seeded, targets);
    for target in &targets {
        let seeds = fs::read_dir(folder.join(target).join("corpus")).expect("a corpus");
        let small = seeds.filter(|seed| {
            seed.as_ref().is_ok_and(|seed| seed.metadata().is_ok_and(|meta| meta.len() <= BYTES_MAX))
        });
        assert!(small.count() > 0, "{target} has no seed");
    }
}
