//! Files that keys name: a wrong one is refused by its key, by `check-config` and by `serve` in the same words.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::support::{claimrush, folder, outcome};

/// Variables without their beginning, and the line that refuses them, or how it begins.
type Wrong = (Vec<(&'static str, String)>, String);

/// What is said with these variables: exit code, and the last line on standard error.
fn said(folder: &std::path::Path, args: &[&str], variables: &[(&str, String)]) -> (i32, String) {
    let mut command = claimrush(folder);
    command.args(args);
    command.envs(variables.iter().map(|(name, value)| (format!("CLAIMRUSH_{name}"), value)));
    let (exit, _, err) = outcome(&command.output().expect("it runs"));
    (exit, err.lines().last().unwrap_or_default().to_owned())
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
    let lists = |name: &str, file: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).expect("it is made");
        std::fs::write(path.join(file), text).expect("it is written");
        path.to_str().expect("text").to_owned()
    };
    let nowhere = folder.path().join("no-such-folder/k").to_str().expect("text").to_owned();
    let gone = "No such file or directory (os error 2)";
    let open = write("open.key", "", 0o644);
    let garbage = write("garbage.key", "garbage\n", 0o600);
    let keys = || ("DESK__KEYS_URL", "https://login.example/keys".to_owned());
    let url = || ("AUDIT__HEAD_URL", "https://watch.example/heads".to_owned());
    let blocked = lists("blocked", "blocked.csv", "ann,,why\nbob,soon\n");
    let allowed = lists("allowed", "vip.csv", "ann\n");
    let wrong: [Wrong; 13] = [
        (
            vec![("TICKET__KEY_FILE", nowhere.clone())],
            format!("ticket.key_file: {nowhere}: cannot be made: {gone}"),
        ),
        (
            vec![("TICKET__KEY_FILE", open.clone())],
            format!("ticket.key_file: {open}: mode 0644 lets others at it; run: chmod 600 {open}"),
        ),
        (vec![("TICKET__KEY_FILE", garbage.clone())], format!("ticket.key_file: {garbage}: line 1: ")),
        (vec![("DESK__KEYS_FILE", nowhere.clone())], format!("desk.keys_file: {nowhere}: {gone}")),
        (vec![("DESK__KEYS_FILE", garbage.clone())], format!("desk.keys_file: {garbage}: ")),
        (
            vec![
                keys(),
                ("DESK__CHALLENGE", "hcaptcha".to_owned()),
                ("DESK__CAPTCHA_SECRET_FILE", nowhere.clone()),
            ],
            format!("desk.captcha_secret_file: {nowhere}: {gone}"),
        ),
        (vec![("DESK__LISTS_DIR", nowhere.clone())], format!("desk.lists_dir: {nowhere}: {gone}")),
        (
            vec![("DESK__LISTS_DIR", blocked.clone())],
            format!("desk.lists_dir: {blocked}/blocked.csv: line 2: "),
        ),
        (vec![("DESK__LISTS_DIR", allowed.clone())], format!("desk.lists_dir: {allowed}/vip.csv: line 1: ")),
        (vec![("GUARD__ASN_TABLE", garbage.clone())], format!("guard.asn_table: {garbage}: ")),
        (
            vec![("HOLDS__PAYMENT_SECRET_FILE", nowhere.clone())],
            format!("holds.payment_secret_file: {nowhere}: {gone}"),
        ),
        (
            vec![("HOLDS__PAYMENT_SECRET_FILE", garbage.clone())],
            format!("holds.payment_secret_file: {garbage}: "),
        ),
        (
            vec![url(), ("AUDIT__HEAD_SECRET_FILE", nowhere.clone())],
            format!("audit.head_secret_file {nowhere}: {gone}"),
        ),
    ];
    let serve = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", "data"];
    for (variables, line) in &wrong {
        let line = format!("claimrush: config: {line}");
        let checked = said(folder.path(), &["check-config", "--data", "data"], variables);
        assert!(checked.0 == 64 && checked.1.starts_with(&line), "{variables:?}: {checked:?}");
        assert!(!folder.path().join("data").exists(), "nothing is made for a look");
        let served = said(folder.path(), &serve, variables);
        assert_eq!(served, checked, "{variables:?}");
        assert!(!served.1.contains("at path"), "a temporary file's name: {served:?}");
        let _ = std::fs::remove_dir_all(folder.path().join("data"));
    }
    // A service finds these wrong for another reason: it cannot reach the server.
    let postgres = ("LEDGER__URL", "postgres://app@db.example/claims".to_owned());
    for (variables, line) in [
        (
            vec![postgres.clone(), ("LEDGER__CA_FILE", nowhere.clone())],
            format!("ledger.ca_file {nowhere}: {gone}"),
        ),
        (
            vec![postgres, ("LEDGER__CA_FILE", garbage.clone())],
            format!("ledger.ca_file {garbage}: holds no certificate"),
        ),
    ] {
        let (exit, told) = said(folder.path(), &["check-config"], &variables);
        assert!(
            exit == 64 && told.starts_with(&format!("claimrush: config: {line}")),
            "{variables:?}: {told}"
        );
    }
    // A key file that is not there yet, in a folder that is, is made; but not for a look.
    let fresh = folder.path().join("fresh.key");
    let variables = [("TICKET__KEY_FILE", fresh.to_str().expect("text").to_owned())];
    assert_eq!(said(folder.path(), &["check-config"], &variables), (0, String::new()));
    assert!(!fresh.exists());
    let mint = ["ticket", "mint", "--drop", "d-1", "--user", "ann", "--data", "data"];
    assert_eq!(said(folder.path(), &mint, &variables).0, 0);
    assert!(fresh.exists());
    assert_eq!(said(folder.path(), &["check-config"], &variables), (0, String::new()));
    assert_eq!(said(folder.path(), &mint, &[("TICKET__KEY_FILE", open)]).0, 64);
}
