//! The service with its ledger in PostgreSQL: claims, audit and export as with SQLite, a server that goes away and
//! comes back, several front ends and drains on one ledger, and connections that nobody else can read.

use std::collections::HashMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};

use crate::support::campaign::{DropFile, campaign};
use crate::support::crowd::{Crowd, Told, Wish};
use crate::support::drainer::Drainer;
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::{claimrush, folder, outcome, wait_for};

const STOCK: u32 = 400;

/// Exit code, output and complaints of a command beside the service.
fn run(service: &Service, args: &[&str]) -> (i32, String, String) {
    outcome(&service.command(args).output().expect("it runs"))
}

fn wishes() -> Vec<Wish> {
    (0..STOCK + 100).map(|n| Wish::of(format!("person-{n}"))).collect()
}

fn wait_drained(service: &Service) {
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
}

/// Everybody's claim stands in the tables, once, and the audit holds.
fn assert_kept(server: &PostgresServer, service: &Service, told: &HashMap<Wish, Told>) {
    let claimed: Vec<_> = told.iter().filter(|(_, told)| matches!(told, Told::Claimed(_))).collect();
    assert_eq!(claimed.len(), STOCK as usize);
    let rows = server.sql("SELECT person FROM claim ORDER BY person");
    let mut persons: Vec<&str> = claimed.iter().map(|(wish, _)| wish.person.as_str()).collect();
    persons.sort_unstable();
    assert_eq!(rows.lines().collect::<Vec<_>>(), persons);
    let (exit, out, err) = run(service, &["audit"]);
    assert_eq!(exit, 0, "{out}{err}");
    let (exit, csv, err) = run(service, &["ledger", "export", "--drop", "d-1", "--format", "csv"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    let exported: HashMap<&str, &str> =
        csv.lines().skip(1).map(|line| (line.split(',').nth(5).unwrap(), &line[..26])).collect();
    for (wish, told) in claimed {
        let Told::Claimed(id) = told else { continue };
        assert!(exported[wish.person.as_str()].starts_with(id.as_str()), "{wish:?} {id}");
    }
}

#[test]
fn a_rush_is_kept_in_postgres_running_and_stopped() {
    let server = PostgresServer::start(&[]);
    let url = server.url();
    let mut service = Service::start_with(&[("ledger.url", &url)], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", STOCK)]));
    let told = Crowd::new("d-1", service.mint(), service.address()).rush(&wishes(), 16);
    wait_drained(&service);
    assert_kept(&server, &service, &told);
    assert!(!service.data().join("ledger.db").exists(), "there is one ledger");
    service.stop();
    assert_kept(&server, &service, &told);
    service.restart();
    assert_eq!(service.drop_state("d-1").json()["state"], "sold_out");
    assert_kept(&server, &service, &told);
}

#[test]
fn claims_go_on_while_postgres_is_away() {
    let mut server = PostgresServer::start(&[]);
    let url = server.url();
    let service = Service::start_with(&[("ledger.url", &url)], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", STOCK)]));
    let crowd = Crowd::new("d-1", service.mint(), service.address());
    let wishes = wishes();
    let told = std::thread::scope(|scope| {
        let rush = scope.spawn(|| crowd.rush(&wishes, 16));
        wait_for("the rush is on", PATIENCE, || (crowd.answers() > 100).then_some(()));
        server.stop_at_once();
        rush.join().expect("everybody was answered, with no ledger")
    });
    let (exit, _, err) = run(&service, &["audit"]);
    assert_eq!(exit, 69, "{err}");
    assert!(err.contains("ledger unavailable: postgres://"), "{err}");
    assert!(err.contains("error connecting to server"), "{err}");
    let shows = |name: &str, number: u64| {
        wait_for(name, PATIENCE, || (service.metric(name)? == number).then_some(()));
    };
    shows("claimrush_ledger_up", 0);
    for waits in
        ["claimrush_journal_oldest_seconds", "claimrush_drain_lag_seconds", "claimrush_drain_lag_entries"]
    {
        wait_for(waits, PATIENCE, || service.gauge(waits).filter(|waits| *waits > 0.0));
    }
    server.start_again();
    wait_drained(&service);
    shows("claimrush_ledger_up", 1);
    shows("claimrush_journal_oldest_seconds", 0);
    assert_kept(&server, &service, &told);
}

#[test]
fn two_front_ends_and_two_drains_share_one_ledger() {
    let server = PostgresServer::start(&[]);
    let redis = RedisServer::start(&["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"]);
    let url = server.url();
    let settings = [("redis.url", redis.url().expose().to_owned()), ("ledger.url", url)];
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let one = Service::start_with(&settings, &["--no-drain"]);
    let keys = one.data().join("ticket.key");
    let keys = [("ticket.key_file", keys.to_str().expect("a path"))];
    let other = Service::start_with(&[&settings[..], &keys].concat(), &["--no-drain"]);
    one.apply_ok(&campaign("c-1", &[DropFile::open("d-1", STOCK)]));
    other.wait_state("d-1", "open");
    let mut drains = [Drainer::start(&one), Drainer::start(&other)];
    let crowds = [&one, &other].map(|service| Crowd::new("d-1", one.mint(), service.address()));
    let wishes = wishes();
    let told: HashMap<Wish, Told> = std::thread::scope(|scope| {
        let halves = wishes.chunks(wishes.len() / 2).zip(&crowds);
        let rushes: Vec<_> = halves.map(|(half, crowd)| scope.spawn(|| crowd.rush(half, 8))).collect();
        wait_for("the rush is on", PATIENCE, || (crowds[0].answers() > 50).then_some(()));
        drains[0].kill();
        rushes.into_iter().flat_map(|rush| rush.join().expect("everybody was answered")).collect()
    });
    wait_drained(&one);
    assert_kept(&server, &one, &told);
    assert_kept(&server, &other, &told);
}

/// Redis and ledger are elsewhere: a drain of its own machine, and whoever audits or exports, has no data folder, and gets none.
#[test]
fn commands_need_no_data_folder_where_nothing_is_kept_in_one() {
    let server = PostgresServer::start(&[]);
    let redis = RedisServer::start(&["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"]);
    let (redis_url, ledger_url) = (redis.url().expose().to_owned(), server.url());
    let settings = [("redis.url", redis_url.as_str()), ("ledger.url", ledger_url.as_str())];
    let service = Service::start_with(&settings, &["--no-drain"]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 5)]));
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "ann")).status, 201);
    let elsewhere = folder();
    let command = |args: &[&str]| {
        let mut command = claimrush(elsewhere.path());
        command.args(args).env("CLAIMRUSH_REDIS__URL", &redis_url).env("CLAIMRUSH_LEDGER__URL", &ledger_url);
        command
    };
    let drain = Drainer::of(&mut command(&["drain"]));
    wait_drained(&service);
    assert!(drain.stop().success());
    for args in
        [&["audit"][..], &["audit", "verify"], &["ledger", "export", "--drop", "d-1", "--format", "csv"]]
    {
        let (exit, out, err) = outcome(&command(args).output().expect("it runs"));
        assert_eq!((exit, err.as_str()), (0, ""), "{args:?}: {out}");
    }
    assert_eq!(std::fs::read_dir(elsewhere.path()).expect("it is there").count(), 0, "nothing was made");
}

/// What docs/BACKUP.md says of two hosts: after a failover the first of them is the standby, which is behind.
#[test]
fn of_two_hosts_the_standby_is_neither_written_to_nor_read() {
    let primary = PostgresServer::start(&[]);
    // So that the standby has the tables.
    let mut first = Service::start_with(&[("ledger.url", &*primary.url())], &[]);
    first.stop();
    let standby = primary.standby();
    let url = standby.url_before(&primary);
    let service = Service::start_with(&[("ledger.url", &url)], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 100)]));
    let claim = |n: u32| service.claim("d-1", &service.ticket("d-1", &format!("person-{n}"))).status;
    for persons in [0..10, 10..20] {
        assert!(persons.clone().all(|n| claim(n) == 201));
        wait_drained(&service);
        assert_eq!(primary.sql("SELECT count(*) FROM claim"), persons.end.to_string());
    }
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 25)]));
    let granted = (20..40).filter(|n| claim(*n) == 201).count();
    assert_eq!((granted, service.redis_stock_left("d-1")), (5, 0), "what was taken away stays away");
    wait_drained(&service);
    let (exit, out, err) = run(&service, &["audit"]);
    assert_eq!(exit, 0, "{out}{err}");
    assert!(!service.log().contains("another drain"), "{}", service.log());
}

/// What docs/BACKUP.md says of a dump: it is the same ledger; and what came after it is missed by name, while its
/// holders keep their claims.
#[test]
fn a_dump_restores_the_ledger_and_the_audit_names_what_came_after_it() {
    let server = PostgresServer::start(&[]);
    let url = server.url();
    let mut service = Service::start_with(&[("ledger.url", &url)], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", STOCK)]));
    let claim = |service: &Service, person: &str| service.claim("d-1", &service.ticket("d-1", person));
    assert_eq!(claim(&service, "ann").status, 201);
    wait_drained(&service);
    let report = |service: &Service, args: &[&str]| {
        let (exit, out, err) = run(service, &[&["audit", "--json"], args].concat());
        (exit, serde_json::from_str::<serde_json::Value>(&out).expect(&err))
    };
    let head = report(&service, &[]).1["head"].as_str().expect("a head").to_owned();
    let dump = server.dump();
    service.stop();
    server.restore(&dump);
    assert_eq!(report(&service, &["--head", &head]).0, 0, "the same ledger");

    service.restart();
    assert_eq!(claim(&service, "ann").status, 200);
    assert_eq!(claim(&service, "bob").status, 201);
    wait_drained(&service);
    let newer = report(&service, &[]).1["head"].as_str().expect("a head").to_owned();
    service.stop();
    server.restore(&dump);
    let (exit, report) = report(&service, &["--head", &newer]);
    let broken: Vec<_> =
        report["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(exit, 1);
    let names: Vec<_> = broken.iter().filter_map(|check| check["id"].as_str()).collect();
    assert!(names.contains(&"I3") && names.contains(&"I7"), "{broken:?}");
    service.restart();
    assert_eq!(claim(&service, "bob").status, 200, "Redis knows what the ledger has forgotten");
    let other = claim(&service, "cid");
    assert_eq!((other.status, other.json()["seq"].as_u64()), (201, Some(3)), "nothing is sold twice");
}

/// Exit code and last line of a service that cannot start.
fn refused(url: &str, ca_file: Option<&Path>) -> (i32, String) {
    let work = folder();
    let mut command = claimrush(work.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.env("CLAIMRUSH_LEDGER__URL", url);
    if let Some(file) = ca_file {
        command.env("CLAIMRUSH_LEDGER__CA_FILE", file);
    }
    let (exit, _, err) = outcome(&command.output().expect("it runs"));
    (exit, err.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn a_ledger_that_cannot_be_reached_is_named() {
    let (exit, line) = refused("postgres://claims:s3cret@127.0.0.1:1/claims", None);
    assert_eq!(exit, 69, "{line}");
    let words = "ledger unavailable: postgres://claims:***@127.0.0.1:1/claims: error connecting to server";
    assert!(line.contains(words), "{line}");
    assert!(!line.contains("s3cret"), "{line}");
    let (exit, line) = refused("postgres://h/claims?sslmode=maybe", None);
    assert_eq!(exit, 64, "{line}");
    assert!(
        line.contains("ledger.url = \"postgres://h/claims?sslmode=maybe\": must be postgres://"),
        "{line}"
    );
}

/// Makes a certificate for localhost, vouched for by an authority of its own: the authority's file. The server's
/// files go to `folder`, for its owner alone.
fn certificates(folder: &Path, authority: &Path) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(authority, root.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = names.signed_by(&key, &root).unwrap();
    let owner = std::fs::metadata(folder).unwrap();
    for (name, text) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

#[test]
fn connections_are_encrypted_and_the_server_is_checked() {
    let mut server = PostgresServer::start(&["listen_addresses=localhost"]);
    let trusted = folder();
    let authority = trusted.path().join("ca.pem");
    certificates(server.folder(), &authority);
    server.stop_at_once();
    let files = ["ssl_cert_file", "ssl_key_file"].into_iter().zip(["server.crt", "server.key"]);
    for (name, file) in files {
        server.set(&format!("{name}={}", server.folder().join(file).display()));
    }
    server.set("ssl=on");
    server.start_again();
    let url = format!("{}?sslmode=require", server.tcp_url());

    let settings = [("ledger.url", url.as_str()), ("ledger.ca_file", authority.to_str().unwrap())];
    let service = Service::start_with(&settings, &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 5)]));
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "ann")).status, 201);
    wait_drained(&service);
    let in_the_clear = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                        WHERE application_name = 'claimrush' AND NOT ssl";
    assert_eq!(server.sql(in_the_clear), "0");
    assert_eq!(run(&service, &["audit"]).0, 0);

    // Another authority, none but the system's, another name, a file without a certificate.
    let stranger = trusted.path().join("stranger.pem");
    certificates(trusted.path(), &stranger);
    let (exit, line) = refused(&url, Some(&stranger));
    assert!(exit == 69 && line.contains("invalid peer certificate"), "{exit} {line}");
    let by_number = url.replace("@localhost", "@127.0.0.1");
    let (exit, line) = refused(&by_number, Some(&authority));
    assert!(exit == 69 && line.contains("invalid peer certificate"), "{exit} {line}");
    let empty = trusted.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let (exit, line) = refused(&url, Some(&empty));
    assert!(exit == 69 && line.ends_with("holds no certificate"), "{exit} {line}");
    let (exit, line) = refused(&url, Some(Path::new("/nowhere.pem")));
    assert!(exit == 69 && line.contains("ledger.ca_file /nowhere.pem: No such file"), "{exit} {line}");
}
