//! `claimrush audit verify` by the built binary, on both ledgers: a chain that holds, from a record on and against heads that
//! were published; and one that was changed or cut, with the place.

use std::cell::Cell;
use std::path::Path;

use claimrush::clock::Clock;
use serde_json::Value;
use tempfile::TempDir;

use super::broken::copy_folder;
use super::{claim, wait_drained};
use crate::support::campaign::{DropFile, campaign};
use crate::support::clock::FakeClock;
use crate::support::postgres::PostgresServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::{claimrush, folder, outcome, wait_for};

const DAY_MS: i64 = 86_400_000;

/// Exit code and what it says.
type Verdict = (i32, String);

fn read(output: std::io::Result<std::process::Output>) -> Verdict {
    let (exit, out, err) = outcome(&output.expect("it runs"));
    assert_eq!(err, "");
    (exit, out)
}

/// Records and head of a chain that holds.
fn length_and_head((exit, text): &Verdict) -> (u64, String) {
    assert_eq!(*exit, 0, "{text}");
    let (records, rest) = text.split_once(" hold").expect("it says so");
    let length = records.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number");
    let head = rest.lines().find_map(|line| line.strip_prefix("head ")).expect("a head");
    (length, head.to_owned())
}

/// The ledger of a service that has been stopped, and the heads that it published.
struct Chain {
    service: Service,
    postgres: Option<PostgresServer>,
    folder: TempDir,
    copies: Cell<u32>,
    /// Of the first day, before the first record, and of the second.
    published: Vec<Value>,
}

impl Chain {
    fn of(postgres: Option<PostgresServer>) -> Self {
        let folder = folder();
        let heads = folder.path().join("heads");
        let url = postgres.as_ref().map(PostgresServer::url);
        let mut settings: Vec<_> = url.iter().map(|url| ("ledger.url", url.as_str())).collect();
        settings.push(("audit.head_file", heads.to_str().expect("a path")));
        let mut clock = FakeClock::new();
        // What follows is of one day, also when the test begins at the end of one.
        let ahead_s = if Clock::System.now_ms() % DAY_MS > DAY_MS - 120_000 { 300 } else { 0 };
        clock.set(ahead_s);
        let mut service = Service::start_in(clock.environment(), &settings, &[]);
        published(&heads, 1);
        service.apply_ok(&campaign("a", &[DropFile::open("a-1", 40)]));
        claim(&service, "a-1", 0, 20);
        wait_drained(&service);
        // Beside the running service.
        let said = read(service.command(&["audit", "verify"]).output());
        assert!(length_and_head(&said).0 > 2, "{said:?}");
        service.stop();
        clock.set(ahead_s + DAY_MS / 1_000);
        service.restart();
        let published = published(&heads, 2);
        for id in ["b", "c", "d"] {
            service.apply_ok(&campaign(id, &[DropFile::open(id, 40)]));
        }
        service.stop();
        Self { service, postgres, folder, copies: Cell::new(0), published }
    }

    /// Verifies a copy that was changed behind the program's back.
    fn changed(&self, sql: &str) -> impl Fn(&[&str]) -> Verdict + use<> {
        self.copies.set(self.copies.get() + 1);
        let name = format!("case_{}", self.copies.get());
        let data = self.folder.path().join(&name);
        let mut url = String::new();
        if let Some(server) = &self.postgres {
            server.query("postgres", &format!("CREATE DATABASE {name} TEMPLATE claims"));
            server.query(&name, &format!("DROP TRIGGER audit_stays ON audit; {sql}"));
            url = server.url().replace("@/claims?", &format!("@/{name}?"));
            copy_folder(&self.service.data(), &data);
        } else {
            copy_folder(&self.service.data(), &data);
            let ledger = rusqlite::Connection::open(data.join("ledger.db")).expect("it opens");
            let open = "DROP TRIGGER audit_stays; DROP TRIGGER audit_is_kept;";
            ledger.execute_batch(&format!("{open} {sql}")).expect("it is changed");
        }
        move |args| verify(&data, &url, args)
    }

    fn whole(&self, args: &[&str]) -> Verdict {
        let url = self.postgres.as_ref().map(PostgresServer::url).unwrap_or_default();
        verify(&self.service.data(), &url, args)
    }
}

fn verify(data: &Path, url: &str, args: &[&str]) -> Verdict {
    let mut command = claimrush(data);
    if !url.is_empty() {
        command.env("CLAIMRUSH_LEDGER__URL", url);
    }
    read(command.args(["audit", "verify", "--data"]).arg(data).args(args).output())
}

/// The heads in a file, once there are so many.
fn published(path: &Path, count: usize) -> Vec<Value> {
    let text = wait_for("the head is published", PATIENCE, || {
        std::fs::read_to_string(path)
            .ok()
            .filter(|text| text.ends_with('\n') && text.lines().count() >= count)
    });
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn kept(head: &Value) -> (u64, &str) {
    (head["length"].as_u64().expect("a number"), head["hash"].as_str().expect("a hash"))
}

/// A chain that holds: whole, from each of its records on, and against heads that were published; its length and head.
fn holds(chain: &Chain) -> (u64, String) {
    let whole = chain.whole(&[]);
    let (length, head) = length_and_head(&whole);
    let text = format!("records 1 to {length} hold and every row that they cover\nhead {head}\n");
    assert_eq!(whole.1, text);
    for from in [2, length] {
        let said = chain.whole(&["--from", &from.to_string()]);
        assert_eq!(said, (0, format!("records {from} to {length} hold\nhead {head}\n")));
    }
    for published in &chain.published {
        let (number, hash) = kept(published);
        let which = match number {
            0 => "from before the first record".to_owned(),
            number => format!("that of record {number}"),
        };
        for args in [&["--head", hash][..], &["--from", "3", "--head", &hash.to_uppercase()]] {
            let (exit, text) = chain.whole(args);
            assert!(exit == 0 && text.ends_with(&format!("the kept head is {which}\n")), "{text}");
        }
    }
    assert_eq!(kept(&chain.published[0]).0, 0, "published before anything happened");
    let strange = "1".repeat(64);
    let (exit, text) = chain.whole(&["--head", &strange]);
    assert!(exit == 1 && text.contains(&format!("the chain does not contain the head {strange}")), "{text}");
    let (exit, text) = chain.whole(&["--from", &(length + 2).to_string()]);
    assert!(exit == 1 && text.contains(&format!("there is no record {}", length + 1)), "{text}");
    (length, head)
}

fn broken(said: &Verdict, record: u64, words: &str) {
    let place = format!("audit record {record}: ");
    assert!(
        said.0 == 1 && said.1.starts_with(&place) && said.1.contains(words),
        "{record}, {words}: {said:?}"
    );
}

fn cut((exit, text): &Verdict, hash: &str) {
    let what = format!("the chain does not contain the head {hash}: it was cut or rewritten\n");
    assert!(*exit == 1 && text.ends_with(&what), "{text}");
}

fn a_chain_holds_or_the_place_is_named(postgres: Option<PostgresServer>) {
    let chain = Chain::of(postgres);
    let (length, head) = holds(&chain);
    let third = length - 2;

    // A row that a record covers: the record is named; from a record on, the rows are not looked at.
    let run = chain.changed("UPDATE claim SET person = 'eve' WHERE person = 'p-7'");
    let (exit, text) = run(&[]);
    assert!(exit == 1 && text.starts_with("audit record ") && text.contains("rows are not those"), "{text}");
    assert_eq!(run(&["--from", "2"]).0, 0);
    let run = chain.changed("UPDATE campaign SET state = 'paused' WHERE id = 'b'");
    let (exit, text) = run(&[]);
    assert!(exit == 1 && text.contains("is not what was recorded"), "{text}");

    // A record itself.
    let run = chain.changed(&format!("UPDATE audit SET body = body || ' ' WHERE number = {third}"));
    for from in ["1", "2", &third.to_string()] {
        broken(&run(&["--from", from]), third, "its hash does not follow");
    }
    let zero = if chain.postgres.is_some() { "decode(repeat('00', 32), 'hex')" } else { "zeroblob(32)" };
    let run = chain.changed(&format!("UPDATE audit SET hash = {zero} WHERE number = {third}"));
    broken(&run(&[]), third, "its hash does not follow");
    broken(&run(&["--from", &(third + 1).to_string()]), third + 1, "its hash does not follow");
    let run = chain.changed(&format!("DELETE FROM audit WHERE number = {third}"));
    broken(&run(&[]), third, &format!("is missing, record {} comes next", third + 1));
    broken(&run(&["--from", &(third - 1).to_string()]), third, "is missing");

    // Records that are cut off at the end leave a chain, which does not contain the kept head; what was kept before is in it.
    let run = chain.changed(&format!("DELETE FROM audit WHERE number = {length}"));
    cut(&run(&["--from", "2", "--head", &head]), &head);
    cut(&run(&["--head", &head]), &head);
    for published in &chain.published {
        assert_eq!(run(&["--from", "2", "--head", kept(published).1]).0, 0);
    }
    let (number, hash) = kept(&chain.published[1]);
    let run = chain.changed(&format!("DELETE FROM audit WHERE number >= {number}"));
    cut(&run(&["--from", "2", "--head", hash]), hash);
    assert_eq!(run(&["--from", "2", "--head", kept(&chain.published[0]).1]).0, 0, "every chain begins so");
}

#[test]
fn a_chain_holds_or_the_place_of_the_break_is_named() {
    a_chain_holds_or_the_place_is_named(None);
}

#[test]
fn a_chain_holds_or_the_place_of_the_break_is_named_in_postgres() {
    a_chain_holds_or_the_place_is_named(Some(PostgresServer::start(&[])));
}
