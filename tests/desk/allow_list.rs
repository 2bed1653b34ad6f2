//! An allow-list of a great many persons: read beside claims, changed beside claims. `make allow-list` does it with ten
//! million lines, and its figures stand in docs/BENCHMARKS.md.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use claimrush::desk::lists::AllowList;
use sha2::{Digest, Sha256};

use super::*;

/// Claims by ever new persons, one after the other, until told to stop; the slowest of them, and how many.
fn claims_until(stop: &AtomicBool, service: &Service, prefix: &str) -> (Duration, u32) {
    let mint = service.mint();
    let mut client = Client::connect(service.address());
    let (mut slowest, mut claims) = (Duration::ZERO, 0);
    while !stop.load(Ordering::Acquire) {
        let ticket = mint.ticket("d-1", &format!("{prefix}-{claims}"));
        let began = Instant::now();
        assert_eq!(client.claim("d-1", &ticket).status, 201);
        slowest = slowest.max(began.elapsed());
        claims += 1;
    }
    (slowest, claims)
}

/// What `work` gives, and the slowest claim meanwhile.
fn beside_claims<T>(service: &Service, prefix: &str, work: impl FnOnce() -> T) -> (T, Duration, u32) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let claims = scope.spawn(|| claims_until(&stop, service, prefix));
        let done = work();
        stop.store(true, Ordering::Release);
        let (slowest, claims) = claims.join().expect("claims are granted");
        (done, slowest, claims)
    })
}

/// Megabytes of the service's memory by this name of `/proc/<pid>/status`.
fn memory_mb(service: &Service, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("linux has it");
    line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse::<u64>().expect("a number") / 1_024
}

/// A list of these persons, put into its place whole.
fn put(folder: &Path, persons: std::ops::Range<u32>) -> PathBuf {
    let (half, whole) = (folder.join("vip.half"), folder.join("vip.csv"));
    let mut file = BufWriter::new(File::create(&half).expect("a file"));
    for n in persons {
        let hashed = data_encoding::HEXLOWER.encode(&Sha256::digest(format!("p-{n}")));
        writeln!(file, "{hashed}").expect("it is written");
    }
    file.flush().expect("it is written");
    drop(file);
    std::fs::rename(half, &whole).expect("it is put");
    whole
}

#[test]
fn an_allow_list_is_read_and_changed_beside_claims() {
    let lines: u32 = std::env::var("ALLOW_LIST_LINES").map_or(20_000, |text| text.parse().expect("a number"));
    let lists = tempfile::tempdir().expect("a folder");
    let settings = [
        ("desk.lists_dir", lists.path().to_str().expect("a path")),
        ("desk.person_per_minute", "600000"),
        ("desk.address_per_minute", "600000"),
        ("log.level", "info"),
    ];
    let (_folder, service) = desk(&settings);
    let text = campaign("c-1", &[DropFile::open("d-1", 800_000)]);
    let (head, rest) = text.split_once("[[drop]]\n").expect("a drop");
    service.apply_ok(&format!("{head}eligibility = {{ allow_list = \"vip\" }}\n[[drop]]\n{rest}"));
    let asks = |n: u32| said(&ask(&service, "d-1", &identity(&format!("p-{n}"), &json!({}))));
    let in_force = |n: u32| {
        let began = Instant::now();
        wait_for("the list is in force", 5 * PATIENCE, || (asks(n) == given()).then_some(()));
        began.elapsed()
    };

    // As many claims without a list, to compare the slowest with.
    let (before_mb, calm, _) = beside_claims(&service, "calm", || {
        wait_for("some claims", PATIENCE, || {
            let granted = 800_000 - service.redis_stock_left("d-1");
            (granted >= u64::from(lines / 500)).then_some(())
        });
        memory_mb(&service, "VmRSS")
    });
    let path = put(lists.path(), 0..lines);
    let (first, slowest, claims) = beside_claims(&service, "first", || in_force(lines - 1));
    let loaded_mb = memory_mb(&service, "VmRSS");
    assert_eq!((asks(0), asks(lines)), (given(), refused(403, "not_eligible")));
    println!(
        "{lines} persons: in force {first:?} after the file was there; memory {before_mb} MB before, {loaded_mb} MB after; \
         slowest of {claims} claims meanwhile {slowest:?} (without a list {calm:?})"
    );

    // Another list in its place: the first person leaves, one more comes. The peak is counted from here on.
    std::fs::write(format!("/proc/{}/clear_refs", service.pid()), "5").expect("the peak is reset");
    put(lists.path(), 1..lines + 1);
    let (again, slowest, claims) = beside_claims(&service, "again", || in_force(lines));
    assert_eq!((asks(0), asks(1)), (refused(403, "not_eligible"), given()));
    println!(
        "another in its place: in force after {again:?}; peak {} MB; slowest of {claims} claims meanwhile {slowest:?}",
        memory_mb(&service, "VmHWM")
    );

    // What is no list changes nothing.
    let half = lists.path().join("vip.half");
    std::fs::write(&half, "nonsense").expect("it is written");
    std::fs::rename(half, path).expect("it is put");
    wait_for("it is refused", PATIENCE, || service.log().contains("a list is wrong").then_some(()));
    assert_eq!(asks(1), given());

    let text = put(lists.path(), 0..lines);
    let began = Instant::now();
    let list = AllowList::read(BufReader::new(File::open(text).expect("it is there"))).expect("a list");
    println!("reading alone: {:?}", began.elapsed());
    assert_eq!(list.len(), usize::try_from(lines).expect("a count"));
}
