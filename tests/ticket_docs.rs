//! The programs of docs/TICKETS.md: what each prints is a ticket that the service takes.

use std::process::{Command, Stdio};

use claimrush::guard::ticket::KEY_FILE_NAME;

use crate::support::campaign::{DropFile, campaign};
use crate::support::service::Service;

const PAGE: &str = include_str!("../docs/TICKETS.md");
/// The word of a block, the program that runs it, and what it needs beside that.
const LANGUAGES: [(&str, &[&str], &str); 3] = [
    ("sh", &["sh", "-c"], "openssl"),
    ("python", &["python3", "-c"], "python3"),
    ("js", &["node", "-e"], "node"),
];

/// A block of code of the page.
fn block(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).expect("the page has it");
    rest.split_once("```").expect("it ends").0
}

fn is_there(program: &str) -> bool {
    let argument = if program == "openssl" { "version" } else { "--version" };
    let mut look = Command::new(program);
    look.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    look.status().is_ok_and(|status| status.success())
}

#[test]
fn every_documented_program_mints_a_good_ticket() {
    let service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let text = std::fs::read_to_string(service.data().join(KEY_FILE_NAME)).expect("it is there");
    let file: toml::Table = text.parse().expect("TOML");
    let key = |name: &str| file["key"][0][name].as_str().expect("a text").to_owned();
    let mut ran = 0;
    for (language, program, needs) in LANGUAGES {
        if !is_there(needs) {
            eprintln!("{needs} is not here: the {language} program is left out");
            continue;
        }
        let [program, flag] = program else { panic!("a program and a flag") };
        let output = Command::new(program)
            .args([flag, block(language)])
            .envs([("KID", key("kid")), ("SECRET", key("secret")), ("DROP", "d-1".to_owned())])
            .env("PERSON", format!("by-{language}"))
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{language}: {output:?}");
        let ticket = String::from_utf8(output.stdout).expect("text");
        let answer = service.claim("d-1", ticket.trim());
        assert_eq!(answer.status, 201, "{language}: {ticket}: {}", String::from_utf8_lossy(&answer.body));
        ran += 1;
    }
    assert!(ran > 0, "none of the programs can be run here");
}
