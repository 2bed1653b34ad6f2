//! Processes side by side: two services, and drains of their own; and what the managed Redis is set to.

use std::collections::HashMap;
use std::fs::File;
use std::process::Stdio;

use rustix::process::Signal;

use crate::support::campaign::{DropFile, campaign};
use crate::support::crowd::{Crowd, Told, Wish};
use crate::support::drainer::Drainer;
use crate::support::ledger::{assert_numbered_and_unique, rows};
use crate::support::redis::processes_in;
use crate::support::service::{PATIENCE, Service};
use crate::support::{folder, outcome, wait_for};

#[test]
fn a_second_service_on_the_same_folder_is_refused_by_name() {
    let service = Service::start();
    let mut second = service.command(&["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let (exit, out, err) = outcome(&second.output().expect("it runs"));
    let line = format!(
        "claimrush: another claimrush (pid {}) is serving {}\n",
        service.pid(),
        service.data().display()
    );
    assert_eq!((exit, out, err), (1, String::new(), line));
    assert_eq!(service.readiness().map(|answer| answer.status), Some(200), "the first one goes on");
    assert_eq!(processes_in(&service.redis_dir()).len(), 1, "never two Redis on one folder");
}

#[test]
fn a_taken_port_is_refused_by_its_address() {
    let service = Service::start();
    let elsewhere = crate::support::redis::ManagedFolder::new();
    for (taken, flags) in [
        (service.address(), ["--listen", "--admin-listen"]),
        (service.admin_address(), ["--admin-listen", "--listen"]),
    ] {
        let mut second = crate::support::claimrush(elsewhere.path());
        second.arg("serve").arg(flags[0]).arg(taken.to_string()).args([flags[1], "127.0.0.1:0", "--data"]);
        let (exit, _, err) = outcome(&second.arg(elsewhere.path()).output().expect("it runs"));
        assert_eq!(exit, 1, "{err}");
        let line = format!("claimrush: cannot listen on {taken}: Address already in use");
        assert!(err.lines().any(|text| text.starts_with(&line)), "{err}");
        assert_eq!(
            processes_in(&elsewhere.path().join("redis")),
            Vec::<u32>::new(),
            "nothing is left running"
        );
    }
}

#[test]
fn the_redis_of_a_killed_service_is_adopted() {
    let mut service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 5)]));
    let ann = service.ticket("d-1", "ann");
    let id = service.claim("d-1", &ann).text("claim_id");
    let redis = service.redis_pid();
    service.kill();
    assert_eq!(processes_in(&service.redis_dir()), [redis], "it outlives the service");
    let (exit, _, err) = service.campaign(&["list"]);
    assert_eq!((exit, err), (69, format!("claimrush: no service runs on {}\n", service.data().display())));
    service.restart();
    assert_eq!(processes_in(&service.redis_dir()), [redis], "the same process");
    let again = service.claim("d-1", &ann);
    assert_eq!((again.status, again.text("claim_id")), (200, id));
}

#[test]
fn the_managed_redis_is_durable_and_private() {
    let service = Service::start();
    let names =
        ["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy", "port", "save"];
    let mut get = redis::cmd("CONFIG");
    get.arg("GET");
    for name in names {
        get.arg(name);
    }
    let found: HashMap<String, String> = service.ask_redis(&get);
    let wanted = ["yes", "always", "no", "noeviction", "0", ""];
    for (name, wanted) in names.into_iter().zip(wanted) {
        assert_eq!(found[name], wanted, "{name}");
    }
}

#[test]
fn a_redis_that_dies_is_started_again_with_all_it_had() {
    let service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 5)]));
    let ann = service.ticket("d-1", "ann");
    let id = service.claim("d-1", &ann).text("claim_id");
    let before = service.redis_pid();
    crate::support::redis::kill_9(before);
    let after =
        wait_for("another Redis runs", PATIENCE, || service.try_redis_pid().filter(|pid| *pid != before));
    let again = wait_for("ann is answered", PATIENCE, || {
        let answer = service.claim("d-1", &ann);
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(again.text("claim_id"), id);
    service.wait_ready();
    wait_for("run.json names the new process", PATIENCE, || {
        let info = claimrush::datadir::DataDir::open(&service.data()).ok()?.run_info().ok()?;
        (info.redis_pid == Some(after)).then_some(())
    });
}

#[test]
fn drains_of_their_own_write_every_row_once() {
    let service = Service::start_with(&[("drain.commit_interval_ms", "5")], &["--no-drain"]);
    service.apply_ok(&campaign("c", &[DropFile::open("drain-rush", 1_000)]));
    let crowd = Crowd::new("drain-rush", service.mint(), service.address());
    let people: Vec<_> = (0..1_000).map(|n| Wish::of(format!("p-{n}"))).collect();
    let (early, late) = people.split_at(200);
    let mut told = crowd.rush(early, 8);
    assert!(service.journal_length() > 0, "nobody drains");
    assert_eq!(rows(&service.data(), "drain-rush"), []);

    let (one, other) = (Drainer::start(&service), Drainer::start(&service));
    told.extend(crowd.rush(late, 16));
    wait_for("all is drained", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let found = rows(&service.data(), "drain-rush");
    assert_numbered_and_unique(&found);
    assert_eq!(found.len(), 1_000);
    for row in &found {
        assert_eq!(told[&Wish::of(row.person.as_str())], Told::Claimed(row.claim_id.clone()));
    }
    assert!(one.stop().success() && other.stop().success(), "both end in order");
}

#[test]
fn a_drain_that_is_stopped_takes_all_that_is_there_with_it() {
    let mut service = Service::start_with(&[], &["--no-drain"]);
    service.apply_ok(&campaign("c", &[DropFile::open("drain-rush", 300)]));
    let crowd = Crowd::new("drain-rush", service.mint(), service.address());
    let people: Vec<_> = (0..300).map(|n| Wish::of(format!("p-{n}"))).collect();
    crowd.rush(&people, 8);
    let drain = Drainer::start(&service);
    assert!(drain.stop().success());
    assert_eq!(service.journal_length(), 0);
    assert_eq!(rows(&service.data(), "drain-rush").len(), 300);
    service.signal(Signal::INT);
    assert!(service.wait_end().success(), "an interrupt stops in order too");
    let (exit, _, err) = outcome(&service.command(&["drain"]).output().expect("it runs"));
    assert_eq!(exit, 69, "a drain without a service: {err}");
    assert!(err.contains("no service runs on"), "{err}");
}

#[test]
fn a_drain_takes_claims_to_the_ledger_of_the_service_and_to_no_other() {
    let elsewhere = folder();
    let url = format!("sqlite:{}", elsewhere.path().join("claims.db").display());
    let service = Service::start_with(&[("ledger.url", &url)], &["--no-drain"]);
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 5)]));
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "ann")).status, 201);
    assert_eq!(service.journal_length(), 1);

    let mut wrong = service.command(&["drain"]);
    let (exit, _, err) = outcome(&wrong.env("CLAIMRUSH_LEDGER__URL", "sqlite:other.db").output().unwrap());
    assert_eq!(exit, 64, "{err}");
    assert!(err.contains("ledger.url = \"sqlite:other.db\": the service on"), "{err}");
    assert!(err.trim_end().ends_with(&format!("keeps its claims in {url}")), "{err}");

    // In another folder it cannot know: a ledger without a campaign is given nothing.
    let redis = claimrush::datadir::DataDir::open(&service.data()).unwrap().run_info().unwrap().redis_url;
    let log = elsewhere.path().join("drain.log");
    let mut stranger = crate::support::claimrush(elsewhere.path());
    stranger.args(["drain", "--data"]).arg(elsewhere.path()).env("CLAIMRUSH_REDIS__URL", redis.expose());
    let mut stranger = stranger.stderr(File::create(&log).unwrap()).spawn().unwrap();
    let told = || std::fs::read_to_string(&log).unwrap().contains("the ledger has no campaign").then_some(());
    wait_for("the stranger says why it takes nothing", PATIENCE, told);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert_eq!(service.journal_length(), 1, "it is all there");

    let mut untold = service.command(&["drain"]);
    let mut drain = untold.env_remove("CLAIMRUSH_LEDGER__URL").stderr(Stdio::null()).spawn().unwrap();
    wait_for("all is drained", PATIENCE, || (service.journal_length() == 0).then_some(()));
    drain.kill().unwrap();
    drain.wait().unwrap();
    let (exit, report, _) = outcome(&service.command(&["audit"]).output().unwrap());
    assert_eq!(exit, 0, "{report}");
}

#[test]
fn a_log_that_nobody_takes_ends_no_service() {
    let folder = crate::support::redis::ManagedFolder::new();
    let mut serve = crate::support::claimrush(folder.path());
    serve.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", "."]);
    let mut service = serve.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    // Whoever was to read the log has gone: every line fails with a broken pipe, as it does on a full disk.
    drop(service.stderr.take());
    let run_file = folder.path().join("run.json");
    let redis = wait_for("the service runs", PATIENCE, || {
        let ended = service.try_wait().expect("it is our child");
        assert!(ended.is_none(), "the service has ended: {ended:?}");
        let info: serde_json::Value = serde_json::from_slice(&std::fs::read(&run_file).ok()?).ok()?;
        u32::try_from(info["redis_pid"].as_u64()?).ok()
    });
    // That is told in the log too, and so is that it is there again.
    crate::support::redis::kill_9(redis);
    wait_for("Redis is there again", PATIENCE, || {
        let ended = service.try_wait().expect("it is our child");
        assert!(ended.is_none(), "the service has ended: {ended:?}");
        let found = processes_in(&folder.path().join("redis"));
        found.iter().any(|pid| *pid != redis).then_some(())
    });
    crate::support::signals::send_signal(service.id(), Signal::TERM);
    let ended = wait_for("the service stops", PATIENCE, || service.try_wait().expect("it is our child"));
    assert_eq!(ended.code(), Some(0), "in order");

    let mut refused = crate::support::claimrush(folder.path());
    refused.args(["check-config", "--config", "nowhere"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut refused = refused.spawn().expect("it starts");
    drop(refused.stderr.take());
    assert_eq!(refused.wait().expect("it ends").code(), Some(64), "also where nobody hears why");
}
