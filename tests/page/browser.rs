//! The claim page in a browser: a claim from its countdown to the voucher, every refusal's page, lost networks, reloads, wrong clocks, two
//! languages, accessibility and budgets. The cases are `tests/web/`; here are the services that they visit.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use claimrush::guard::ticket::KEY_FILE_NAME;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use crate::desk::desk;
use crate::support::campaign::{DropFile, campaign};
use crate::support::service::Service;

/// Who is kept out, by `blocked.csv`.
const BLOCKED: &str = "kept-out";
/// What payment callbacks are signed with.
const PAYMENT_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Where the page sends people to sign in. Nobody listens there: the browser's visitors answer themselves.
const LOGIN: &str = "http://localhost:9/login";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program on the path, by any of its names.
fn program(names: &[&str]) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found =
        |name: &&str| std::env::split_paths(&paths).map(|dir| dir.join(name)).find(|path| path.exists());
    names.iter().find_map(found)
}

/// Brings what the cases need from the registry, where it is not there yet.
fn install(npm: &Path, folder: &Path) {
    let lock = std::fs::read(folder.join("package-lock.json")).expect("a lock file");
    let done = folder.join("node_modules/.claimrush-lock");
    if std::fs::read(&done).is_ok_and(|installed| installed == lock) {
        return;
    }
    let mut command = Command::new(npm);
    let output =
        command.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder).output().expect("it runs");
    assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(done, lock).expect("it is written");
}

#[test]
fn the_page_in_a_browser() {
    let browser = program(&["chromium", "chromium-browser", "google-chrome"]);
    let (Some(chromium), Some(node), Some(npm)) = (browser, program(&["node"]), program(&["npm"])) else {
        eprintln!("chromium, node or npm is not here: the page is not looked at in a browser");
        return;
    };
    let folder = root().join("tests/web");
    install(&npm, &folder);
    let lists = tempfile::tempdir().expect("a folder");
    std::fs::write(lists.path().join("blocked.csv"), format!("{BLOCKED},,a test\n")).expect("it is written");
    let payments = lists.path().join("payments");
    std::fs::write(&payments, format!("{PAYMENT_SECRET}\n")).expect("it is written");
    let (_keys, service) = desk(&[
        ("holds.payment_secret_file", payments.to_str().expect("a path")),
        ("desk.lists_dir", lists.path().to_str().expect("a path")),
        // Enough work for the worker to be one, and no more than a busy machine has time for.
        ("desk.difficulty", "5000"),
        ("page.login_url", &format!("{LOGIN}?to={{drop}}")),
    ]);
    let demo = Service::start_with(&[], &["--demo"]);
    demo.apply_ok(&campaign("c-demo", &[DropFile::open("demo-drop", 100)]));
    let text = std::fs::read_to_string(service.data().join(KEY_FILE_NAME)).expect("it is there");
    let keys: toml::Table = text.parse().expect("TOML");
    let key = |name: &str| keys["key"][0][name].as_str().expect("a text").to_owned();
    let work = tempfile::tempdir().expect("a folder");
    let temp = tempfile::tempdir().expect("a folder");
    let world = json!({
        "base": format!("http://{}", service.address()),
        "demo_base": format!("http://{}", demo.address()),
        "bin": env!("CARGO_BIN_EXE_claimrush"),
        "data": service.data(),
        "work": work.path(),
        "ticket_kid": key("kid"),
        "ticket_secret": key("secret"),
        "identity_secret": BASE64URL_NOPAD.encode(&(0..32).collect::<Vec<u8>>()),
        "blocked": BLOCKED,
        "payment_secret": PAYMENT_SECRET,
        "login": LOGIN,
        "chromium": chromium,
        "shots": root().join("target/web-screenshots"),
    });
    let mut cases = Command::new(node);
    cases.arg("main.mjs").current_dir(&folder).env("PAGE_WORLD", world.to_string()).stdin(Stdio::null());
    cases.env("TMPDIR", temp.path());
    let output = cases.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(
        output.status.success(),
        "{said}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        service.log()
    );
    let left: Vec<_> =
        std::fs::read_dir(&temp).expect("it is there").flatten().map(|file| file.path()).collect();
    assert_eq!(left, Vec::<PathBuf>::new(), "what is left in the temp folder");
}
