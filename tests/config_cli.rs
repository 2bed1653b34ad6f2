//! The configuration and the command line, through the built binary: what is refused, in which words, with which
//! exit code, and which source stands above which.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;

use claimrush::clock::Clock;
use claimrush::config::{Config, Overrides, load};
use claimrush::datadir::{DataDir, RunInfo, secret_file};
use tempfile::TempDir;

use crate::support::{claimrush, outcome};

fn folder() -> TempDir {
    TempDir::new().expect("a temp folder")
}

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
    ("[redis]\nlanes = 0", &[], "redis.lanes = 0: must be 1 to 8"),
    ("[claim]\nbatch_max = 1001", &[], "claim.batch_max = 1001: must be 1 to 1000"),
    ("[claim]\ninflight_max = 17", &[], "claim.inflight_max = 17: must be 1 to 16"),
    ("[claim]\nqueue_max = 0", &[], "claim.queue_max = 0: must be 1 to 1000000"),
    ("[claim]\nqueue_max = 999", &[], "claim.queue_max = 999: must not be below claim.batch_max = 1000"),
    ("[claim]\nqueue_wait_ms = 0", &[], "claim.queue_wait_ms = 0: must be 10 to 30000"),
    ("[drain]\ncommit_interval_ms = 0", &[], "drain.commit_interval_ms = 0: must be 1 to 1000"),
    ("[drain]\ngroup_max = 999", &[], "drain.group_max = 999: must be 1000 to 20000"),
    ("[ticket]\nleeway_s = 61", &[], "ticket.leeway_s = 61: must be 0 to 60"),
    // Words.
    ("[claim]\nack = \"disk\"", &[], "claim.ack = \"disk\": must be \"memory\" or \"fsync\""),
    (
        "[claim]\nack = \"replica\"",
        &[],
        "claim.ack = \"replica\": is not available in this version: must be \"memory\" or \"fsync\"",
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
        "[ledger]\nurl = \"postgres://app:s3cret@db/claims\"",
        &[],
        "ledger.url = \"postgres://app:***@db/claims\": PostgreSQL is not supported by this build: must be sqlite:PATH, or empty for ledger.db in the data folder",
    ),
    (
        "[ledger]\nurl = \"ledger.db\"",
        &[],
        "ledger.url = \"ledger.db\": must be sqlite:PATH, or empty for ledger.db in the data folder",
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
        "sever: no such key; the config has server, data, redis, ledger, claim, limits, drain, ticket, log",
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
fn a_config_file_that_is_not_there_is_refused() {
    let folder = folder();
    let output =
        claimrush(folder.path()).args(["check-config", "--config", "gone.toml"]).output().expect("it runs");
    let expected = "claimrush: config: gone.toml: no such file\n".to_owned();
    assert_eq!(outcome(&output), (64, String::new(), expected));
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
    };
    let env = [("CLAIMRUSH_SERVER__LISTEN".into(), "127.0.0.1:3".into())];
    let config = load(None, env, &flags).expect("it is right");
    assert_eq!((config.server.listen.port(), config.server.admin_listen.port()), (1, 2));
    assert!(!config.drain.enabled);
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
    let output =
        claimrush(folder.path()).args(["campaign", "list", "--admin", "http://h"]).output().expect("it runs");
    assert_eq!(outcome(&output), (2, String::new(), "claimrush: --admin needs --token-file\n".to_owned()));
}

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

fn run_info(pid: u32, admin_port: u16) -> RunInfo {
    RunInfo {
        version: "0.1.0".to_owned(),
        pid,
        listen: ([127, 0, 0, 1], 1).into(),
        admin_listen: ([127, 0, 0, 1], admin_port).into(),
        redis_url: claimrush::config::ServiceUrl::new("redis://:s3cret@cache"),
        redis_pid: None,
        ledger_url: claimrush::config::ServiceUrl::new("sqlite:ledger.db"),
        started_at: "2023-11-20T02:00:00.000Z".to_owned(),
    }
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

    let output =
        claimrush(folder.path()).args(["campaign", "list", "--data", "gone"]).output().expect("it runs");
    assert_eq!(outcome(&output), (69, String::new(), "claimrush: no service runs on gone\n".to_owned()));
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

/// An admin listener that answers one request, and gives back what it was asked.
fn answer_once(status: &'static str, body: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            let read = stream.read(&mut chunk).expect("it sends");
            request.extend_from_slice(&chunk[..read]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, sent)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if sent.len() < length.map_or(0, |length| length.parse().expect("a number")) {
                continue;
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).expect("it listens");
            return text;
        }
    });
    (port, thread)
}

/// Runs `campaign` in a data folder whose service is this process, listening on `admin_port`.
fn campaign(admin_port: u16, args: &[&str]) -> (i32, String, String) {
    let folder = folder();
    let dir = DataDir::create(&folder.path().join("claimrush-data")).expect("it is made");
    let lock = dir.lock(&Clock::System).expect("it is free");
    lock.write_run_info(&run_info(std::process::id(), admin_port)).expect("it is written");
    secret_file(&dir.admin_token_path(), || "token-1".to_owned()).expect("it is made");
    std::fs::write(folder.path().join("c.toml"), "id = \"c-1\"\n").expect("it is written");
    outcome(&claimrush(folder.path()).arg("campaign").args(args).output().expect("it runs"))
}

const CAMPAIGN: &str = r#"{"id":"c-1","name":"彩云","state":"paused","budget":"100.00 CNY","time_zone":"Asia/Shanghai",
    "drops":[{"id":"d-1","state":"paused","opens_at":"O","closes_at":"C","stock_total":40,"stock_left":null,"limit_per_person":1}]}"#;

#[test]
fn a_campaign_file_is_sent_as_it_is_and_what_changed_is_printed() {
    let (port, server) =
        answer_once("200 OK", r#"{"campaign":"c-1","outcome":"changed","changes":["d-1: stock 40 to 50"]}"#);
    let (exit, out, err) = campaign(port, &["apply", "c.toml", "--opens-at", "2023-11-20T10:00:00+08:00"]);
    assert_eq!((exit, out.as_str(), err.as_str()), (0, "c-1 changed\n  d-1: stock 40 to 50\n", ""));
    let request = server.join().expect("it was asked");
    assert!(
        request.starts_with("POST /admin/v1/campaigns?opens_at_ms=1700445600000 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nauthorization: Bearer token-1\r\n"), "{request}");
    assert!(request.contains("\r\ncontent-type: application/toml\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nid = \"c-1\"\n"), "{request}");
}

#[test]
fn a_refused_campaign_file_is_named_with_its_line() {
    let problem = r#"{"title":"bad request","code":"bad_request","detail":"line 7: stock = 0: must be 1 to 4294967295"}"#;
    let (port, server) = answer_once("400 Bad Request", problem);
    let (exit, out, err) = campaign(port, &["apply", "c.toml"]);
    let line = "claimrush: c.toml: line 7: stock = 0: must be 1 to 4294967295\n";
    assert_eq!((exit, out.as_str(), err.as_str()), (1, "", line));
    server.join().expect("it was asked");
}

#[test]
fn campaigns_are_listed_shown_paused_and_resumed() {
    let list: &'static str = Box::leak(format!("{{\"campaigns\":[{CAMPAIGN}]}}").into_boxed_str());
    for (args, request_line, body, printed) in [
        (
            &["list"][..],
            "GET /admin/v1/campaigns ",
            list,
            "CAMPAIGN  STATE   DROPS  STOCK  BUDGET      NAME\nc-1       paused  1      40     100.00 CNY  彩云\n",
        ),
        (
            &["show", "c-1"],
            "GET /admin/v1/campaigns/c-1 ",
            CAMPAIGN,
            "c-1  彩云\nstate paused, budget 100.00 CNY, time zone Asia/Shanghai\n\n\
             DROP  STATE   OPENS  CLOSES  STOCK  LEFT  PER PERSON\nd-1   paused  O      C       40     -     1\n",
        ),
        (&["pause", "c-1"], "POST /admin/v1/campaigns/c-1/pause ", CAMPAIGN, "c-1 is paused\n"),
        (&["resume", "c-1"], "POST /admin/v1/campaigns/c-1/resume ", CAMPAIGN, "c-1 is paused\n"),
    ] {
        let (port, server) = answer_once("200 OK", body);
        assert_eq!(campaign(port, args), (0, printed.to_owned(), String::new()), "{args:?}");
        let request = server.join().expect("it was asked");
        assert!(request.starts_with(request_line), "{request}");
    }
}

#[test]
fn an_admin_listener_that_does_not_answer_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let (exit, out, err) = campaign(port, &["list"]);
    assert_eq!((exit, out.as_str()), (69, ""));
    let line =
        format!("claimrush: no answer from the admin listener at 127.0.0.1:{port}: Connection refused");
    assert!(err.starts_with(&line), "{err}");

    let (port, server) = answer_once("200 OK", "<html>");
    let (exit, _, err) = campaign(port, &["list"]);
    assert_eq!(exit, 69, "{err}");
    server.join().expect("it was asked");
}
