//! The configuration and the command line, through the built binary: what is refused, in which words, with which
//! exit code, and which source stands above which.

mod files;
mod refused;

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

#[test]
fn each_wrong_config_is_refused_in_one_line_that_names_the_key() {
    for (toml, env, line) in refused::REFUSED {
        let (exit, out, err) = check_config(toml, env);
        assert_eq!(err, format!("claimrush: config: {line}\n"), "{toml} {env:?}");
        assert_eq!((exit, out.as_str()), (64, ""), "{toml} {env:?}");
    }
}

/// What Kubernetes sets for a Service `claimrush` with two named ports, and for one `claimrush-redis`.
const SERVICE_LINKS: &[(&str, &str)] = &[
    ("CLAIMRUSH_SERVICE_HOST", "10.96.0.7"),
    ("CLAIMRUSH_SERVICE_PORT", "8080"),
    ("CLAIMRUSH_SERVICE_PORT_HTTP", "8080"),
    ("CLAIMRUSH_SERVICE_PORT_ADMIN_HTTP", "9090"),
    ("CLAIMRUSH_PORT", "tcp://10.96.0.7:8080"),
    ("CLAIMRUSH_PORT_8080_TCP", "tcp://10.96.0.7:8080"),
    ("CLAIMRUSH_PORT_8080_TCP_PROTO", "tcp"),
    ("CLAIMRUSH_PORT_8080_TCP_PORT", "8080"),
    ("CLAIMRUSH_PORT_8080_TCP_ADDR", "10.96.0.7"),
    ("CLAIMRUSH_PORT_9090_TCP", "tcp://10.96.0.7:9090"),
    ("CLAIMRUSH_REDIS_SERVICE_HOST", "10.96.0.8"),
    ("CLAIMRUSH_REDIS_PORT", "tcp://[fd00::8]:6379"),
    ("CLAIMRUSH_REDIS_PORT_6379_TCP_ADDR", "fd00::8"),
];

#[test]
fn what_kubernetes_says_of_services_is_no_configuration() {
    let (_, defaults, _) = check_config("", &[]);
    assert_eq!(check_config("", SERVICE_LINKS), (0, defaults, String::new()));
    let with_ours = [SERVICE_LINKS, &[("CLAIMRUSH_SERVER__THREADS", "3")]].concat();
    let (exit, out, _) = check_config("", &with_ours);
    assert!(exit == 0 && out.contains("threads = 3"), "{out}");
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
fn what_a_url_that_is_called_holds_beside_its_place_is_not_told() {
    let folder = folder();
    let secret = folder.path().join("head.secret");
    std::fs::write(&secret, format!("whsec_{}\n", data_encoding::BASE64.encode(&[7; 32])))
        .expect("it is written");
    let (login, secret) = ("ann:s3cret@login.example/keys?key=s3cret", secret.display());
    let good = format!(
        "[desk]\nkeys_url = \"https://{login}\"\ncaptcha_url = \"https://{login}\"\n\
         [audit]\nhead_url = \"https://{login}\"\nhead_secret_file = \"{secret}\""
    );
    let (exit, out, err) = check_config(&good, &[]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert_eq!(out.matches("\"https://login.example/keys?…\"").count(), 3, "{out}");
    assert!(!out.contains("s3cret") && !out.contains("ann"), "{out}");
    for (section, key) in [("desk", "keys_url"), ("desk", "captcha_url"), ("audit", "head_url")] {
        for (value, told) in [
            (
                format!("\"http://{login}\""),
                "\"http://login.example/keys?…\": must be https://, or http:// on this machine",
            ),
            (format!("[\"https://{login}\"]"), "…: must be a URL in quotes"),
        ] {
            let (exit, out, err) = check_config(&format!("[{section}]\n{key} = {value}"), &[]);
            assert_eq!((exit, out.as_str()), (64, ""), "{err}");
            assert_eq!(err, format!("claimrush: config: {section}.{key} = {told}\n"));
        }
    }
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
