//! The configuration and the command line, through the built binary: what is refused, in which words, with which
//! exit code, and which source stands above which.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use claimrush::config::{Config, Overrides, load};

use crate::support::{claimrush, folder, outcome};

/// `check-config` on a file of this text, in an environment with these variables.
fn check_config(toml: &str, env: &[(&str, &str)]) -> (i32, String, String) {
    let folder = folder();
    std::fs::write(folder.path().join("c.toml"), toml).expect("the file is written");
    let mut command = claimrush(folder.path());
    command.args(["check-config", "--config", "c.toml"]).envs(env.iter().copied());
    outcome(&command.output().expect("it runs"))
}

/// Config text, variables, and the line that refuses them.
type Refused = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const REFUSED: &[Refused] = &[
    ("[log]\nsample = 0", &[], "log.sample = 0: must be 1 to 1000000"),
    (
        "[log]\ndecisions = \"some\"",
        &[],
        "log.decisions = \"some\": must be \"off\", \"refusals\" or \"all\"",
    ),
    (
        "[trace]\notlp_url = \"http://127.0.0.1:4318/v1/traces\"",
        &[],
        "trace.otlp_url = \"http://127.0.0.1:4318/v1/traces\": this build has no OpenTelemetry export; build it with --features otlp",
    ),
    // Numbers: out of range, of another type, too large for their field.
    ("[limits]\nperson_burst = 0", &[], "limits.person_burst = 0: must be 1 to 10000"),
    ("[limits]\nperson_burst = 10001", &[], "limits.person_burst = 10001: must be 1 to 10000"),
    ("[limits]\nperson_burst = -1", &[], "limits.person_burst = -1: must be 1 to 10000"),
    ("[limits]\nperson_burst = 5000000000", &[], "limits.person_burst = 5000000000: must be 1 to 10000"),
    ("[limits]\nperson_burst = 1.5", &[], "limits.person_burst = 1.5: must be 1 to 10000"),
    ("[limits]\nperson_burst = \"5\"", &[], "limits.person_burst = \"5\": must be 1 to 10000"),
    ("[limits]\naddress_per_second = 0", &[], "limits.address_per_second = 0: must be 1 to 1000000"),
    ("[limits]\nkeys_max = 10", &[], "limits.keys_max = 10: must be 1000 to 100000000"),
    ("[server]\nthreads = 257", &[], "server.threads = 257: must be 0 to 256"),
    ("[server]\nmax_connections = 0", &[], "server.max_connections = 0: must be 1 to 1000000"),
    ("[server]\nheader_timeout_ms = 0", &[], "server.header_timeout_ms = 0: must be 100 to 60000"),
    ("[server]\nidle_timeout_ms = 1", &[], "server.idle_timeout_ms = 1: must be 1000 to 3600000"),
    ("[server]\nbody_timeout_ms = 99", &[], "server.body_timeout_ms = 99: must be 100 to 60000"),
    ("[server]\nshutdown_deadline_ms = 0", &[], "server.shutdown_deadline_ms = 0: must be 100 to 600000"),
    ("[redis]\nresponse_timeout_ms = 0", &[], "redis.response_timeout_ms = 0: must be 50 to 60000"),
    ("[claim]\ninflight_max = 0", &[], "claim.inflight_max = 0: must be 1 to 16"),
    ("[claim]\nbatch_max = 1001", &[], "claim.batch_max = 1001: must be 1 to 1000"),
    ("[claim]\ninflight_max = 17", &[], "claim.inflight_max = 17: must be 1 to 16"),
    ("[claim]\nqueue_max = 0", &[], "claim.queue_max = 0: must be 1 to 1000000"),
    ("[claim]\nqueue_max = 999", &[], "claim.queue_max = 999: must not be below claim.batch_max = 1000"),
    ("[claim]\nqueue_wait_ms = 0", &[], "claim.queue_wait_ms = 0: must be 10 to 30000"),
    ("[drain]\ncommit_interval_ms = 0", &[], "drain.commit_interval_ms = 0: must be 1 to 1000"),
    ("[drain]\ngroup_max = 999", &[], "drain.group_max = 999: must be 1000 to 20000"),
    ("[journal]\nentries_max = 9", &[], "journal.entries_max = 9: must be 10 to 1000000000"),
    ("[journal]\nbytes_max = 1", &[], "journal.bytes_max = 1: must be 65536 to 1099511627776"),
    (
        "",
        &[("CLAIMRUSH_JOURNAL__MEMORY_MAX_PERCENT", "96")],
        "journal.memory_max_percent = 96: must be 10 to 95",
    ),
    ("[ticket]\nleeway_s = 61", &[], "ticket.leeway_s = 61: must be 0 to 60"),
    ("[voucher]\nqr_valid_s = 29", &[], "voucher.qr_valid_s = 29: must be 30 to 60"),
    ("[holds]\ncallback_tolerance_s = 9", &[], "holds.callback_tolerance_s = 9: must be 10 to 3600"),
    // Words.
    ("[claim]\nack = \"disk\"", &[], "claim.ack = \"disk\": must be \"memory\", \"fsync\" or \"replica\""),
    // Replicas: some must be there, and waiting for them must not count as a lost reply.
    (
        "[claim]\nack = \"replica\"",
        &[],
        "claim.ack = \"replica\": the Redis that the service starts for itself has no replicas: set redis.url to one that has, or \"fsync\"",
    ),
    ("[redis]\nreplicas = 0", &[], "redis.replicas = 0: must be 1 to 16"),
    ("[redis]\nreplica_wait_ms = 0", &[], "redis.replica_wait_ms = 0: must be 10 to 30000"),
    (
        "[claim]\nack = \"replica\"\n[redis]\nurl = \"redis://cache\"\nreplica_wait_ms = 1000",
        &[],
        "redis.replica_wait_ms = 1000: times claim.inflight_max = 2 must be below redis.response_timeout_ms = 2000",
    ),
    (
        "[claim]\nack = \"replica\"\ninflight_max = 4\n[redis]\nurl = \"redis://cache\"",
        &[],
        "redis.replica_wait_ms = 500: times claim.inflight_max = 4 must be below redis.response_timeout_ms = 2000",
    ),
    ("[limits]\nasn_per_second = 0", &[], "limits.asn_per_second = 0: must be 1 to 1000000"),
    ("[limits]\nasn_burst = 1000001", &[], "limits.asn_burst = 1000001: must be 1 to 1000000"),
    (
        "[limits]\nasn_exempt = [\"AS4134\", \"Telecom\"]",
        &[],
        "limits.asn_exempt = [\"AS4134\", \"Telecom\"]: must be the number of an autonomous system, as in \"AS4134\"",
    ),
    (
        "[limits]\nasn_exempt = \"AS4134\"",
        &[],
        "limits.asn_exempt = \"AS4134\": must be a list of autonomous systems, as in [\"AS4134\", \"AS4837\"]",
    ),
    ("[guard]\nregion_table = 1", &[], "guard.region_table = 1: must be a path in quotes"),
    ("[desk]\nasn_per_minute = 0", &[], "desk.asn_per_minute = 0: must be 1 to 600000"),
    (
        "[backoffice]\napproval = \"alone\"",
        &[],
        "backoffice.approval = \"alone\": must be \"one-step\" or \"two-person\"",
    ),
    (
        "[audit]\nhead_url = \"https://watch.example/heads\"",
        &[],
        "audit.head_url = \"https://watch.example/heads\": needs audit.head_secret_file",
    ),
    (
        "[backoffice]\ncategories = [\"\"]",
        &[],
        "backoffice.categories: must be at most 1000 words of 1 to 200 bytes",
    ),
    ("[limits]\nexempt_loopback = 1", &[], "limits.exempt_loopback = 1: must be true or false"),
    (
        "[log]\nlevel = \"loud\"",
        &[],
        "log.level = \"loud\": must be \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
    ),
    ("[log]\nformat = \"xml\"", &[], "log.format = \"xml\": must be \"text\" or \"json\""),
    // Places.
    (
        "[server]\nlisten = \"8080\"",
        &[],
        "server.listen = \"8080\": must be an address and a port, as in \"127.0.0.1:8080\"",
    ),
    (
        "[server]\nadmin_listen = \"127.0.0.1:8080\"",
        &[],
        "server.admin_listen = \"127.0.0.1:8080\": must not share the port of server.listen = \"127.0.0.1:8080\"",
    ),
    (
        "[server]\nlisten = \"0.0.0.0:9090\"",
        &[],
        "server.admin_listen = \"127.0.0.1:9090\": must not share the port of server.listen = \"0.0.0.0:9090\"",
    ),
    (
        "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        &[],
        "server.trusted_proxies = [\"10.0.0.0/33\"]: must be a list of networks, as in [\"10.0.0.0/8\", \"fd00::/8\"]",
    ),
    (
        "[server]\nallowed_origins = [\"https://claim.example/\"]",
        &[],
        "server.allowed_origins = \"https://claim.example/\": must be https:// or http://, a name, perhaps a port, and nothing after them",
    ),
    (
        "[page]\nlogin_url = \"javascript:alert(1)\"",
        &[],
        "page.login_url = \"javascript:alert(1)\": must be https://, or http:// on this machine",
    ),
    (
        "[server]\nlisten = \"0.0.0.0:8080\"\n[demo]\nenabled = true",
        &[],
        "demo.enabled = true: lets anybody be anybody: server.listen = \"0.0.0.0:8080\" must be a loopback address for it",
    ),
    ("[data]\ndir = \"\"", &[], "data.dir = \"\": must not be empty"),
    (
        "[redis]\nurl = \"http://:s3cret@cache\"",
        &[],
        "redis.url = \"http://:***@cache\": must be redis://[user:password@]host:port or redis+unix:///path, or empty for a managed Redis",
    ),
    (
        "[redis]\nurl = \"rediss://cache\"",
        &[],
        "redis.url = \"rediss://cache\": TLS to Redis is not supported by this build: must be redis://",
    ),
    ("[redis]\nurl_file = \"nowhere\"", &[], "redis.url_file = \"nowhere\": no such file"),
    (
        "[redis]\nurl = \"redis://cache\"\nurl_file = \"c.toml\"",
        &[],
        "redis.url_file = \"c.toml\": must not be set together with redis.url",
    ),
    (
        "[ledger]\nurl = \"postgres://app:s3cret@db/claims?sslmode=maybe\"",
        &[],
        "ledger.url = \"postgres://app:***@db/claims?sslmode=maybe\": must be postgres://user[:password]@host[:port]/database: invalid value for option `sslmode`",
    ),
    (
        "[ledger]\nurl = \"ledger.db\"",
        &[],
        "ledger.url = \"ledger.db\": must be sqlite:PATH or postgres://…, or empty for ledger.db in the data folder",
    ),
    // Keys that are not there, in the file and in the environment, and files that are not TOML.
    (
        "[drain]\nintervall_ms = 5",
        &[],
        "drain.intervall_ms: no such key; [drain] has enabled, commit_interval_ms, group_max",
    ),
    (
        "[sever]\nlisten = \"127.0.0.1:1\"",
        &[],
        "sever: no such key; the config has server, data, redis, ledger, claim, guard, limits, drain, journal, ticket, desk, voucher, holds, page, demo, backoffice, audit, log, trace",
    ),
    ("drain = 5", &[], "drain = 5: must be a section, as in [drain]"),
    ("[drain]\nenabled = true\nenabled = true", &[], "c.toml: line 3: duplicate key"),
    (
        "",
        &[("CLAIMRUSH_LIMITS__PERSON_BRUST", "5")],
        "CLAIMRUSH_LIMITS__PERSON_BRUST: no such key: variables are named CLAIMRUSH_SECTION__KEY, as in CLAIMRUSH_SERVER__LISTEN",
    ),
    (
        "",
        &[("CLAIMRUSH_LISTEN", "127.0.0.1:1")],
        "CLAIMRUSH_LISTEN: no such key: variables are named CLAIMRUSH_SECTION__KEY, as in CLAIMRUSH_SERVER__LISTEN",
    ),
    ("", &[("CLAIMRUSH_LIMITS__PERSON_BURST", "many")], "limits.person_burst = \"many\": must be 1 to 10000"),
    ("", &[("CLAIMRUSH_DRAIN__ENABLED", "no")], "drain.enabled = \"no\": must be true or false"),
];

#[test]
fn each_wrong_config_is_refused_in_one_line_that_names_the_key() {
    for (toml, env, line) in REFUSED {
        let (exit, out, err) = check_config(toml, env);
        assert_eq!(err, format!("claimrush: config: {line}\n"), "{toml} {env:?}");
        assert_eq!((exit, out.as_str()), (64, ""), "{toml} {env:?}");
    }
}

#[test]
fn what_replicas_need_is_asked_only_where_claims_are_acknowledged_by_them() {
    let replicas = "[redis]\nurl = \"redis://cache\"\nreplicas = 2\nreplica_wait_ms = 999\n";
    let (exit, out, err) = check_config(&format!("{replicas}[claim]\nack = \"replica\""), &[]);
    assert_eq!((exit, err.as_str()), (0, ""), "two batches wait less than 2,000 ms together");
    assert!(out.contains("ack = \"replica\"") && out.contains("replicas = 2"), "{out}");
    let (exit, _, err) = check_config("[redis]\nreplica_wait_ms = 30000", &[]);
    assert_eq!((exit, err.as_str()), (0, ""), "nobody waits with fsync");
}

#[test]
fn a_config_file_that_is_not_there_is_refused() {
    let folder = folder();
    let output =
        claimrush(folder.path()).args(["check-config", "--config", "gone.toml"]).output().expect("it runs");
    let expected = "claimrush: config: gone.toml: no such file\n".to_owned();
    assert_eq!(outcome(&output), (64, String::new(), expected));
}

#[test]
fn a_file_that_a_key_names_and_that_is_wrong_is_refused_in_one_line_that_names_the_key() {
    let folder = folder();
    let write = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("it is written");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
        path.to_str().expect("text").to_owned()
    };
    let nowhere = folder.path().join("no-such-folder/k").to_str().expect("text").to_owned();
    let gone = "No such file or directory (os error 2)";
    let open = write("open.key", "", 0o644);
    let garbage = write("garbage.key", "garbage\n", 0o600);
    let cases = [
        ("TICKET__KEY_FILE", &nowhere, format!("ticket.key_file: {nowhere}: cannot be made: {gone}")),
        (
            "TICKET__KEY_FILE",
            &open,
            format!("ticket.key_file: {open}: mode 0644 lets others at it; run: chmod 600 {open}"),
        ),
        ("TICKET__KEY_FILE", &garbage, format!("ticket.key_file: {garbage}: line 1: ")),
        ("DESK__KEYS_FILE", &nowhere, format!("desk.keys_file: {nowhere}: {gone}")),
    ];
    for (variable, path, line) in cases {
        let mut command = claimrush(folder.path());
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", "data"]);
        command.env(format!("CLAIMRUSH_{variable}"), path);
        let (exit, _, err) = outcome(&command.output().expect("it runs"));
        let last = err.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("claimrush: config: {line}")), "{err}");
        assert_eq!(exit, 64, "{err}");
        assert!(!last.contains("at path"), "a temporary file's name: {err}");
    }
    // One that is not there yet, in a folder that is, is made.
    let fresh = folder.path().join("fresh.key");
    let mut command = claimrush(folder.path());
    command.args(["ticket", "mint", "--drop", "d-1", "--user", "ann", "--data", "data"]);
    let minted = command.env("CLAIMRUSH_TICKET__KEY_FILE", &fresh).output().expect("it runs");
    assert!(minted.status.success() && fresh.exists());
    let minted = command.env("CLAIMRUSH_TICKET__KEY_FILE", &open).output().expect("it runs");
    assert_eq!(minted.status.code(), Some(64));
}

#[test]
fn a_flag_stands_above_a_variable_above_the_file_above_the_default() {
    let value = |toml: &str, env: &[(&str, &str)], key: &str| {
        let (exit, out, err) = check_config(toml, env);
        assert_eq!((exit, err.as_str()), (0, ""));
        let table: toml::Table = toml::from_str(&out).expect("it prints TOML");
        let (section, key) = key.split_once('.').expect("a section and a key");
        table[section][key].clone()
    };
    let file = "[limits]\nperson_burst = 7\n[data]\ndir = \"from-file\"";
    let env = [("CLAIMRUSH_LIMITS__PERSON_BURST", "9"), ("CLAIMRUSH_DATA__DIR", "2023")];
    assert_eq!(value("", &[], "limits.person_burst"), 20.into());
    assert_eq!(value(file, &[], "limits.person_burst"), 7.into());
    assert_eq!(value(file, &env, "limits.person_burst"), 9.into());
    assert_eq!(value(file, &env, "data.dir"), "2023".into(), "digits may name a folder");
    assert_eq!(value(file, &env, "limits.person_per_second"), 5.into(), "its neighbours keep their values");
    let proxies = [("CLAIMRUSH_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8")];
    assert_eq!(value("", &proxies, "server.trusted_proxies"), vec!["10.0.0.0/8", "fd00::/8"].into());

    let folder = folder();
    let mut command = claimrush(folder.path());
    command.args(["check-config", "--data", "from-flag"]).envs(env);
    let (_, out, _) = outcome(&command.output().expect("it runs"));
    assert!(out.contains("dir = \"from-flag\""), "{out}");

    let flags = Overrides {
        listen: Some(([127, 0, 0, 1], 1).into()),
        admin_listen: Some(([127, 0, 0, 1], 2).into()),
        data_dir: None,
        drain_enabled: Some(false),
        demo_enabled: Some(true),
    };
    let env = [("CLAIMRUSH_SERVER__LISTEN".into(), "127.0.0.1:3".into())];
    let config = load(None, env, &flags).expect("it is right");
    assert_eq!((config.server.listen.port(), config.server.admin_listen.port()), (1, 2));
    assert!(!config.drain.enabled && config.demo.enabled);
}

#[test]
fn what_is_printed_is_the_same_config_again_and_holds_no_secret() {
    let (_, defaults, _) = check_config("", &[]);
    assert_eq!(check_config(&defaults, &[]), (0, defaults.clone(), String::new()));

    let (exit, out, err) = check_config("[redis]\nurl = \"redis://app:s3cret@cache:6379\"", &[]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert!(out.contains("url = \"redis://app:***@cache:6379\""), "{out}");

    let folder = folder();
    std::fs::write(folder.path().join("redis.url"), "redis://app:s3cret@cache:6379\n")
        .expect("it is written");
    let mut command = claimrush(folder.path());
    command.arg("check-config").env("CLAIMRUSH_REDIS__URL_FILE", "redis.url");
    let (exit, out, err) = outcome(&command.output().expect("it runs"));
    assert_eq!((exit, err.as_str()), (0, ""));
    assert!(out.contains("url_file = \"redis.url\"") && !out.contains("s3cret"), "{out}");

    let file = folder.path().join("redis.url").to_string_lossy().into_owned();
    let env = [("CLAIMRUSH_REDIS__URL_FILE".into(), file.into())];
    let config = load(None, env, &Overrides::default()).expect("it is right");
    assert_eq!(config.redis.url.expose(), "redis://app:s3cret@cache:6379");
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn the_example_file_has_every_key_at_its_default() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/claimrush.example.toml");
    let text = std::fs::read_to_string(&example).expect("it ships");
    let config = load(Some(&example), [], &Overrides::default()).expect("it is right");
    assert_eq!(config, Config::default());
    let keys = |text: &str| -> Vec<String> {
        let table: toml::Table = toml::from_str(text).expect("it is TOML");
        let sections = table.iter().filter_map(|(section, keys)| Some((section, keys.as_table()?)));
        sections.flat_map(|(section, keys)| keys.keys().map(move |key| format!("{section}.{key}"))).collect()
    };
    let (mut shown, mut known) = (keys(&text), keys(&Config::default().to_toml()));
    shown.sort();
    known.sort();
    assert_eq!(shown, known);
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let folder = folder();
    for line in ["", "nonsense", "check-config --no-such-flag", "campaign show", "campaign show Not_An_ID"] {
        let output = claimrush(folder.path()).args(line.split_whitespace()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{line}");
    }
    // Nothing is made for it either: neither a data folder nor a key file.
    let long = "x".repeat(123);
    for args in [
        ["--drop", "BAD DROP", "--user", "ann", "--valid-for", "1h"],
        ["--drop", "d-1", "--user", "a b", "--valid-for", "1h"],
    ] {
        let output = claimrush(folder.path()).args(["ticket", "mint"]).args(args).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0);
    for args in [["--count", "1", "--prefix", long.as_str()], ["--count", "20000000", "--prefix", "p-"]] {
        let output = claimrush(folder.path())
            .args(["ticket", "mint", "--drop", "d-1"])
            .args(args)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
    let output =
        claimrush(folder.path()).args(["campaign", "list", "--admin", "http://h"]).output().expect("it runs");
    assert_eq!(outcome(&output), (2, String::new(), "claimrush: --admin needs --token-file\n".to_owned()));
}
