//! Data folders that older versions have left, killed in the middle of their work: the present one goes on from each, and nothing
//! that anybody was told is lost. `tests/folders/make.sh` makes such a folder.

use std::path::Path;
use std::process::Command;

use crate::support::http::{Answer, Client, bearer, claims_path};
use crate::support::outcome;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// What somebody was told: the drop, who they are, their key, the claim and the voucher's code.
struct Told {
    drop: String,
    person: String,
    key: String,
    claim: String,
    voucher: String,
}

fn unpack(archive: &Path, data: &Path) {
    std::fs::create_dir(data).expect("a folder");
    let unpacked =
        Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(data).status().expect("tar runs");
    assert!(unpacked.success(), "{}", archive.display());
}

fn told(service: &Service) -> Vec<Told> {
    let text = std::fs::read_to_string(service.data().join("told")).expect("what was told");
    let told = text.lines().map(|line| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let [drop, person, key, claim, voucher] = words.try_into().expect("five words");
        Told { drop, person, key, claim, voucher }
    });
    told.collect()
}

fn claim(service: &Service, drop: &str, person: &str, key: &str) -> Answer {
    let headers = [("authorization", &*bearer(&service.ticket(drop, person))), ("idempotency-key", key)];
    Client::connect(service.address()).call("POST", &claims_path(drop), &headers, b"")
}

fn assert_kept(service: &Service, told: &[Told]) {
    for one in told {
        let answer = claim(service, &one.drop, &one.person, &one.key);
        assert_eq!(
            (answer.status, answer.text("claim_id"), answer.text("voucher")),
            (200, one.claim.clone(), one.voucher.clone())
        );
    }
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let audit = service.command(&["audit"]).output().expect("it runs");
    let (exit, report, err) = outcome(&audit);
    assert_eq!(exit, 0, "{report}{err}");
}

#[test]
fn whatever_an_older_version_has_left_is_gone_on_from() {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/folders");
    let files = std::fs::read_dir(folders).expect("a folder").map(|file| file.expect("a file").path());
    let archives: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "gz")).collect();
    assert!(!archives.is_empty());
    for archive in archives {
        let mut service = Service::start_on(|data| unpack(&archive, data));
        let told = told(&service);
        assert_eq!(told.len(), 11, "{}", archive.display());
        assert_kept(&service, &told);
        for (drop, key) in [("one", "k"), ("two", "k1"), ("two", "k2")] {
            assert_eq!(claim(&service, drop, "newcomer", key).status, 201, "{}", archive.display());
        }
        service.stop();
        service.restart();
        assert_kept(&service, &told);
        let export = service.command(&["ledger", "export", "--drop", "one", "--format", "csv"]);
        let (exit, rows, _) = outcome(&{ export }.output().expect("it runs"));
        assert_eq!((exit, rows.lines().count()), (0, 1 + 9 + 1), "{}", archive.display());
    }
}
