//! What a row leaves in `target/faults/`: its line of the table, and the logs of a failure.

use std::fs;
use std::path::PathBuf;

use crate::history::History;
use crate::matrix::Measured;
use crate::scene::Scene;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("faults")
}

fn file_name(row: &str) -> String {
    row.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Writes a row's line of the table, which `make faults` puts together.
pub(crate) fn note(row: &str, rounds: u64, seed: u64, result: &str, worst: Option<&Measured>) {
    let worst = worst.map_or_else(
        || "– | –".to_owned(),
        |worst| format!("{} | {} ms", worst.held_up, worst.recovery.as_millis()),
    );
    let line = format!("| {row} | {rounds} | {seed} | {result} | {worst} |\n");
    let folder = folder().join("rows");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(file_name(row)), line).expect("it is written");
}

/// Keeps what people were told and what the processes logged.
pub(crate) fn keep(row: &str, seed: u64, scene: &Scene, history: &History) {
    let folder = folder().join("failed").join(format!("{}-{seed}", file_name(row)));
    fs::create_dir_all(&folder).expect("a folder");
    let texts = [
        ("history.log", history.lines().to_owned()),
        ("service.log", scene.service.log()),
        ("drain.log", scene.drain_log()),
        ("redis.log", scene.redis_log()),
    ];
    for (name, text) in texts {
        fs::write(folder.join(name), text).expect("it is written");
    }
    eprintln!("{row}: the logs are kept in {}", folder.display());
}
