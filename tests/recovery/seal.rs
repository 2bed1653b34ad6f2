//! A Redis of the service's own that is lost between a stop and the next start: it comes back by itself if the stop was an orderly one,
//! which the shard's seal says.

use super::{BEFORE, assert_recovered, claim, file, run, sold};
use crate::support::redis::{kill_9, processes_in};
use crate::support::service::{PATIENCE, Service};
use crate::support::{outcome, wait_for};

fn lose_redis_folder(service: &Service) {
    std::fs::remove_dir_all(service.redis_dir()).expect("it is there");
}

/// A service that was stopped in order has left everything in its ledger, and says so there.
#[test]
fn a_redis_that_was_lost_after_an_orderly_stop_comes_back_by_itself() {
    let (mut service, told) = sold(&[]);
    service.stop();
    lose_redis_folder(&service);
    assert_eq!(service.restart_to_judge(), None);
    assert_recovered(&service, &told);
}

/// The copy of a stopped service's ledger says of itself that it has everything, and so it had.
#[test]
fn a_redis_that_was_lost_with_a_ledger_from_a_backup_does_not() {
    let (mut service, told) = sold(&[]);
    service.stop();
    let (ledger, backup) = (service.data().join("ledger.db"), service.data().join("backup.db"));
    std::fs::copy(&ledger, &backup).expect("a backup of a stopped service");
    service.restart();
    let (status, later) = claim(&service, BEFORE);
    assert_eq!(status, 201);
    service.stop();
    lose_redis_folder(&service);
    std::fs::rename(&backup, &ledger).expect("the ledger is brought back");
    assert_eq!(service.restart_to_judge().as_deref(), Some("shard_frozen"));
    assert_eq!(claim(&service, BEFORE + 1).0, 503, "a unit that somebody has is not given again");

    let (exit, _, err) = run(&service, &["recover", "--apply", "--accept-loss"]);
    assert_eq!(exit, 0, "{err}");
    service.wait_ready();
    assert_recovered(&service, &told);
    assert_eq!(claim(&service, BEFORE).0, 410, "{later} was lost, as was said");
}

/// Starts the service where it cannot listen, or cannot read what the configuration names: it says this word.
fn fail_to_start(service: &Service, settings: &[(&str, &str)], flags: [&str; 2], word: &str) {
    let mut serve = service.command(&["serve", "--listen", flags[0], "--admin-listen", flags[1]]);
    let (exit, _, err) = outcome(&serve.envs(settings.iter().copied()).output().expect("it runs"));
    assert!([1, 64].contains(&exit) && err.contains(word), "{exit}: {err}");
}

/// Whoever could not serve has granted nothing.
#[test]
fn a_start_that_comes_to_nothing_leaves_the_seal_of_an_orderly_stop_and_makes_none_after_a_crash() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let in_vain = |service: &Service| {
        let free = "127.0.0.1:0";
        fail_to_start(service, &[], [&taken, free], "cannot listen on");
        fail_to_start(service, &[], [free, &taken], "cannot listen on");
        let url = ("CLAIMRUSH_AUDIT__HEAD_URL", "http://127.0.0.1:9/");
        let secret = ("CLAIMRUSH_AUDIT__HEAD_SECRET_FILE", "nothing-there");
        fail_to_start(service, &[url, secret], [free, free], "audit.head_secret_file");
    };
    let (mut service, told) = sold(&[]);
    service.stop();
    in_vain(&service);
    lose_redis_folder(&service);
    // It is made anew, and that counts for nothing yet.
    in_vain(&service);
    lose_redis_folder(&service);
    assert_eq!(service.restart_to_judge(), None);
    assert_recovered(&service, &told);

    service.kill();
    in_vain(&service);
    lose_redis_folder(&service);
    assert_eq!(service.restart_to_judge().as_deref(), Some("shard_frozen"));
}

#[test]
fn a_redis_that_was_lost_after_a_crash_does_not() {
    let (mut service, told) = sold(&[]);
    service.stop();
    service.restart();
    // The seal of the orderly stop is broken: something may have been granted since.
    let redis = service.redis_pid();
    service.kill();
    kill_9(redis);
    wait_for("redis has ended", PATIENCE, || processes_in(&service.redis_dir()).is_empty().then_some(()));
    lose_redis_folder(&service);
    assert_eq!(service.restart_to_judge().as_deref(), Some("shard_frozen"));
    assert_eq!(claim(&service, 0).0, 503);
    let mine = service.mine("d-1", &service.ticket("d-1", "p-0"));
    assert_eq!((mine.status, mine.code().as_str()), (503, "unavailable"), "that is no \"none\"");
    assert_eq!(run(&service, &["recover", "--apply", "--accept-loss"]).0, 0);
    assert_recovered(&service, &told);
}

/// With a drain of its own the journal may hold claims when the service stops: no seal then.
#[test]
fn there_is_no_seal_while_claims_wait_for_the_ledger() {
    let mut service = Service::start_with(&[], &["--no-drain"]);
    service.apply_ok(&file());
    assert_eq!(claim(&service, 0).0, 201);
    service.stop();
    lose_redis_folder(&service);
    assert_eq!(service.restart_to_judge().as_deref(), Some("shard_frozen"));
}
