//! The data folder: one process serves from it, says so, and keeps its secrets private.

use std::path::Path;

use claimrush::clock::Clock;
use claimrush::datadir::{DataDir, secret_file};

use crate::support::{claimrush, folder, outcome, run_info};

#[test]
fn the_data_folder_is_served_by_one_process_alone_and_says_which() {
    let folder = folder();
    let named = folder.path().join("data");
    let dir = DataDir::create(&named).expect("it is made");
    let lock = dir.lock(&Clock::manual(0)).expect("it is free");
    let refusal = dir.lock(&Clock::manual(0)).expect_err("it is taken").to_string();
    assert_eq!(
        refusal,
        format!("another claimrush (pid {}) is serving {}", std::process::id(), named.display())
    );
    drop(lock);
    dir.lock(&Clock::manual(0)).expect("it is free again");
    assert_eq!(mode(&named), 0o700);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn who_serves_is_told_only_while_it_lives() {
    let folder = folder();
    let dir = DataDir::create(folder.path()).expect("it is there");
    let nobody = format!("no service runs on {}", folder.path().display());
    assert_eq!(dir.run_info().expect_err("nobody serves").to_string(), nobody);
    let lock = dir.lock(&Clock::System).expect("it is free");
    let info = run_info(std::process::id(), 2);
    lock.write_run_info(&info).expect("it is written");
    assert_eq!(dir.run_info().expect("we live"), info);
    assert_eq!(mode(&folder.path().join("run.json")), 0o600);
    assert!(!format!("{info:?}").contains("s3cret"));
    let mut ended = std::process::Command::new("true").spawn().expect("it starts");
    ended.wait().expect("it ends");
    lock.write_run_info(&run_info(ended.id(), 2)).expect("it is written");
    assert_eq!(dir.run_info().expect_err("it is dead").to_string(), nobody);
    lock.remove_run_info().expect("it is removed");
    lock.remove_run_info().expect("that there is none is fine");

    std::fs::write(folder.path().join("run.json"), "{}").expect("it is written");
    let line = dir.run_info().expect_err("it is damaged").to_string();
    assert!(line.contains("run.json: is not a claimrush run file: missing field"), "{line}");
}

#[test]
fn a_secret_is_made_once_and_kept_private() {
    let folder = folder();
    let dir = DataDir::create(folder.path()).expect("it is there");
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| dir.admin_token().expect("it is made"))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0] && token.len() == 43), "{tokens:?}");
    assert_eq!(mode(&dir.admin_token_path()), 0o600);
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").expect("it is written");
    let refusal = secret_file(&empty, String::new).expect_err("it holds nothing").to_string();
    assert_eq!(refusal, format!("{}: is empty", empty.display()));
}

#[test]
fn a_key_file_that_minting_makes_is_told_of_once() {
    let folder = folder();
    let mint = || {
        let mut command = claimrush(folder.path());
        let command = command.args(["ticket", "mint", "--drop", "a-1", "--user", "ann", "--data", "."]);
        let (exit, ticket, told) = outcome(&command.output().expect("it runs"));
        assert!(exit == 0 && ticket.len() > 100, "{ticket}");
        told
    };
    let told = mint();
    let key_file = folder.path().canonicalize().expect("it is there").join("ticket.key");
    assert!(told.starts_with(&format!("there was no key file {}: made one;", key_file.display())), "{told}");
    assert_eq!(mint(), "");
}

#[test]
fn a_folder_that_cannot_be_named_in_the_config_is_no_other_one() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    let named = std::ffi::OsStr::from_bytes(b"d\xff");
    let mut command = claimrush(folder.path());
    command.args(["ticket", "mint", "--drop", "d", "--user", "u", "--data"]).arg(named);
    let (exit, _, told) = outcome(&command.output().expect("it runs"));
    assert_eq!(
        (exit, told.as_str()),
        (64, "claimrush: config: data.dir = \"d\u{fffd}\": is not UTF-8 text\n")
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0, "nothing was made");
}

#[test]
fn files_without_an_end_are_not_read_to_it() {
    let folder = folder();
    let refused = |args: &[&str]| outcome(&claimrush(folder.path()).args(args).output().expect("it runs"));
    let (exit, _, told) = refused(&["check-config", "--config", "/dev/zero"]);
    assert_eq!((exit, told.as_str()), (64, "claimrush: config: /dev/zero: has more than 262144 bytes\n"));
    let admin = ["--admin", "http://127.0.0.1:1", "--token-file", "/dev/zero"];
    let (exit, _, told) = refused(&[&["campaign", "list"][..], &admin].concat());
    assert_eq!((exit, told.as_str()), (1, "claimrush: /dev/zero: has more than 16384 bytes\n"));
    let mut command = claimrush(folder.path());
    command.arg("check-config").env("CLAIMRUSH_REDIS__URL_FILE", "/dev/zero");
    let (exit, _, told) = outcome(&command.output().expect("it runs"));
    let line = "claimrush: config: redis.url_file = \"/dev/zero\": has more than 4096 bytes\n";
    assert_eq!((exit, told.as_str()), (64, line));
    std::fs::create_dir(folder.path().join("lists")).expect("it is made");
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("lists/vip.csv")).expect("it is made");
    let keys = ("DESK__KEYS_URL", "https://login.example/keys");
    let captcha = ("DESK__CHALLENGE", "turnstile");
    let head = ("AUDIT__HEAD_URL", "https://watch.example/heads");
    let postgres = ("LEDGER__URL", "postgres://app@db.example/claims");
    for (variables, line) in [
        (&[("DESK__KEYS_FILE", "/dev/zero")][..], "desk.keys_file: /dev/zero: has more than 262144 bytes"),
        (
            &[keys, captcha, ("DESK__CAPTCHA_SECRET_FILE", "/dev/zero")],
            "desk.captcha_secret_file: /dev/zero: has more than 65536 bytes",
        ),
        (
            &[("HOLDS__PAYMENT_SECRET_FILE", "/dev/zero")],
            "holds.payment_secret_file: /dev/zero: has more than 65536 bytes",
        ),
        (
            &[head, ("AUDIT__HEAD_SECRET_FILE", "/dev/zero")],
            "audit.head_secret_file /dev/zero: has more than 65536 bytes",
        ),
        (
            &[postgres, ("LEDGER__CA_FILE", "/dev/zero")],
            "ledger.ca_file /dev/zero: has more than 16777216 bytes",
        ),
        (&[("DESK__LISTS_DIR", "lists")], "desk.lists_dir: lists/vip.csv: line 1: has more than 4096 bytes"),
    ] {
        let mut command = claimrush(folder.path());
        command.arg("check-config");
        command.envs(variables.iter().map(|(name, value)| (format!("CLAIMRUSH_{name}"), value)));
        let (exit, _, told) = outcome(&command.output().expect("it runs"));
        assert_eq!((exit, told), (64, format!("claimrush: config: {line}\n")));
    }
}
