//! `deploy/setup.sh` on machines that lack things: each is a folder of stand-ins that is all the PATH there is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// What the script itself needs of a machine.
const TOOLS: [&str; 9] = ["sh", "sed", "head", "dirname", "env", "cat", "rm", "chmod", "touch"];

const REDIS_7: &str = "echo 'Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc bits=64'";

/// A machine that does not exist.
struct Machine {
    folder: TempDir,
}

/// What single tests need.
const TEST_TOOLS: [&str; 7] = ["openssl", "python3", "node", "prometheus", "promtool", "npm", "chromium"];

impl Machine {
    /// A user without root, with a sudo, a new enough Rust and nothing else.
    fn bare() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(machine.bin()).unwrap();
        for tool in TOOLS {
            let paths = std::env::var_os("PATH").unwrap();
            let found =
                std::env::split_paths(&paths).map(|dir| dir.join(tool)).find(|path| path.exists()).unwrap();
            symlink(found, machine.bin().join(tool)).unwrap();
        }
        machine.command("id", "echo 1000");
        machine.command("sudo", "exec \"$@\"");
        machine.command("cargo", "exit 0");
        machine.command("rustc", "echo 'rustc 99.1.0 (0000000 2099-01-01)'");
        machine
    }

    /// One that has all that `run` asks for.
    fn complete() -> Self {
        let machine = Self::bare();
        machine.command("cc", "exit 0");
        machine.command("make", "exit 0");
        machine.command("redis-server", REDIS_7);
        fs::create_dir_all(machine.folder.path().join("schemathesis/bin")).unwrap();
        machine.command("../schemathesis/bin/schemathesis", "exit 0");
        machine
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn policy(&self) -> PathBuf {
        self.folder.path().join("policy-rc.d")
    }

    fn command(&self, name: &str, body: &str) {
        let path = self.bin().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A package manager that writes down how it was called and whether services could have started meanwhile, and
    /// brings the commands `brings` when it is told to install.
    fn manager(&self, name: &str, brings: &[&str]) {
        let bin = self.bin();
        let makes = brings.iter().map(|command| {
            let path = bin.join(command);
            format!("printf '#!/bin/sh\\n%s\\n' \"{REDIS_7}\" > {0}; chmod 755 {0}", path.display())
        });
        let body = format!(
            "echo \"{name} $*\" >> {log}\n\
             case \" $* \" in *' install '* | *' add '*)\n\
             if [ -x {policy} ] && ! {policy}; then echo 'services stay down' >> {log}; fi\n\
             {makes}\n;; esac",
            log = self.folder.path().join("calls").display(),
            policy = self.policy().display(),
            makes = makes.collect::<Vec<_>>().join("\n"),
        );
        self.command(name, &body);
    }

    /// How the package manager was called.
    fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }

    fn set_up(&self, purpose: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/setup.sh");
        Command::new(self.bin().join("sh"))
            .arg(script)
            .arg(purpose)
            .env_clear()
            .env("PATH", self.bin())
            .env("POLICY_RC_D", self.policy())
            .env("SCHEMATHESIS_DIR", self.folder.path().join("schemathesis"))
            .env("POSTGRES_DIR", self.folder.path().join("postgresql"))
            .output()
            .unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn where_all_is_there_nothing_happens_and_nothing_is_said() {
    let machine = Machine::complete();
    for tool in TEST_TOOLS {
        machine.command(tool, "exit 0");
    }
    machine.command("initdb", "exit 0");
    machine.manager("apt-get", &[]);
    for purpose in ["run", "test"] {
        let output = machine.set_up(purpose);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(said(&output), "");
    }
    assert_eq!(machine.calls(), "");
}

#[test]
fn each_package_manager_is_asked_for_what_is_missing_once_it_was_said() {
    let packages = [
        ("apt-get", "apt: gcc libc6-dev make redis-server"),
        ("dnf", "dnf: gcc make redis"),
        ("apk", "apk: build-base make redis"),
    ];
    for (manager, words) in packages {
        let machine = Machine::bare();
        machine.manager(manager, &["cc", "make", "redis-server"]);
        let output = machine.set_up("run");
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(
            said(&output).trim(),
            format!("setup: missing: cc make redis-server; installing with {words}")
        );
        let again = machine.set_up("run");
        assert_eq!((again.status.code(), said(&again).as_str()), (Some(0), ""));
    }
}

#[test]
fn brew_brings_redis_without_sudo() {
    let machine = Machine::complete();
    fs::remove_file(machine.bin().join("redis-server")).unwrap();
    fs::remove_file(machine.bin().join("sudo")).unwrap();
    machine.manager("brew", &["redis-server"]);
    let output = machine.set_up("run");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(machine.calls(), "brew install --quiet redis\n");
}

#[test]
fn no_service_starts_while_debian_installs_and_the_policy_goes_afterwards() {
    let machine = Machine::bare();
    machine.manager("apt-get", &["cc", "make", "redis-server"]);
    let output = machine.set_up("run");
    assert!(output.status.success(), "{}", said(&output));
    assert!(machine.calls().ends_with("services stay down\n"), "{}", machine.calls());
    assert!(!machine.policy().exists());
}

#[test]
fn an_administrators_policy_stays() {
    let machine = Machine::bare();
    machine.command("../policy-rc.d", "exit 101");
    machine.manager("apt-get", &[]);
    let output = machine.set_up("run");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).ends_with("setup: still missing: cc make redis-server \n"), "{}", said(&output));
    assert!(machine.policy().exists());
}

#[test]
fn a_peer_that_cannot_be_had_keeps_no_other_out() {
    let machine = Machine::complete();
    machine.manager("apt-get", &["wrk", "node", "npm"]);
    let output = machine.set_up("bench");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("setup: webdis is not to be had here; the bench leaves its row out"));
    assert_eq!(machine.calls().matches("apt-get -qq update").count(), 1, "{}", machine.calls());
}

#[test]
fn the_tests_need_postgres_on_the_path_or_beside_it() {
    let machine = Machine::complete();
    for tool in TEST_TOOLS {
        machine.command(tool, "exit 0");
    }
    machine.manager("apt-get", &[]);
    let output = machine.set_up("test");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).starts_with("setup: missing: initdb; installing with apt: postgresql\n"));
    assert!(said(&output).ends_with("setup: still missing: PostgreSQL (initdb)\n"), "{}", said(&output));
    let versioned = machine.folder.path().join("postgresql/15/bin");
    fs::create_dir_all(&versioned).unwrap();
    machine.command("../postgresql/15/bin/initdb", "exit 0");
    let output = machine.set_up("test");
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
}

#[test]
fn without_openssl_the_other_tests_run() {
    let machine = Machine::complete();
    machine.command("initdb", "exit 0");
    for tool in &TEST_TOOLS[1..] {
        machine.command(tool, "exit 0");
    }
    let output = machine.set_up("test");
    assert!(output.status.success(), "{}", said(&output));
    let words = "setup: openssl is not to be had here; the tests leave out what needs it";
    assert!(said(&output).contains(words), "{}", said(&output));
    machine.manager("dnf", &["openssl"]);
    let output = machine.set_up("test");
    assert_eq!(said(&output), "setup: missing: openssl; installing with dnf: openssl\n");
}

#[test]
fn schemathesis_gets_a_folder_of_its_own() {
    let machine = Machine::complete();
    fs::remove_dir_all(machine.folder.path().join("schemathesis")).unwrap();
    machine.command("initdb", "exit 0");
    for tool in TEST_TOOLS {
        machine.command(tool, "exit 0");
    }
    machine.manager("dnf", &[]);
    let without = machine.set_up("test");
    assert!(without.status.success(), "one test's tool is no reason to run no test at all");
    let words = "setup: schemathesis is not to be had here; the tests leave out what needs it\n";
    assert!(said(&without).ends_with(words), "{}", said(&without));
    // A Python whose venv has a pip that brings it.
    let bin = machine.folder.path().join("schemathesis/bin");
    fs::create_dir_all(&bin).unwrap();
    let program = bin.join("schemathesis");
    let brings = format!("printf '#!/bin/sh\\n' > {0}; chmod 755 {0}", program.display());
    machine.command("../schemathesis/bin/pip", &brings);
    let with = machine.set_up("test");
    assert!(with.status.success() && program.exists(), "{}", said(&with));
    assert!(
        said(&with).starts_with("setup: missing: schemathesis; installing schemathesis=="),
        "{}",
        said(&with)
    );
    assert_eq!((said(&with).lines().count(), said(&machine.set_up("test")).as_str()), (1, ""), "once");
}

#[test]
fn prometheus_comes_with_its_tool_and_stays_down() {
    let packages = [
        ("apt-get", "apt: prometheus"),
        ("dnf", "dnf: golang-github-prometheus"),
        ("apk", "apk: prometheus"),
    ];
    for (manager, words) in packages {
        let machine = Machine::complete();
        machine.command("initdb", "exit 0");
        for tool in TEST_TOOLS.iter().filter(|tool| !tool.starts_with("prom")) {
            machine.command(tool, "exit 0");
        }
        machine.manager(manager, &["prometheus", "promtool"]);
        let output = machine.set_up("test");
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(
            said(&output),
            format!("setup: missing: prometheus; installing with {words}\n"),
            "once for both"
        );
        assert_eq!(
            machine.calls().contains("services stay down"),
            manager == "apt-get",
            "{}",
            machine.calls()
        );
    }
}

#[test]
fn the_page_is_looked_at_in_whatever_chromium_there_is() {
    for (manager, words) in [("apt-get", "apt: chromium fonts-wqy-microhei"), ("apk", "apk: chromium")] {
        let machine = Machine::complete();
        machine.command("initdb", "exit 0");
        for tool in TEST_TOOLS.iter().filter(|tool| **tool != "chromium") {
            machine.command(tool, "exit 0");
        }
        machine.manager(manager, &["chromium"]);
        let output = machine.set_up("test");
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(said(&output), format!("setup: missing: chromium; installing with {words}\n"));
        fs::rename(machine.bin().join("chromium"), machine.bin().join("chromium-browser")).unwrap();
        assert_eq!(said(&machine.set_up("test")), "", "Fedora's name for it will do");
    }
}

#[test]
fn what_is_too_old_or_cannot_be_installed_is_named() {
    let machine = Machine::complete();
    machine.command("rustc", "echo 'rustc 1.80.1 (0000000 2024-01-01)'");
    assert!(said(&machine.set_up("run")).contains("rustc 1.80 is too old: claimrush needs "));
    fs::remove_file(machine.bin().join("rustc")).unwrap();
    let output = machine.set_up("run");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("Rust is missing") && said(&output).contains("https://rustup.rs"));

    let machine = Machine::complete();
    machine.command("redis-server", "echo 'Redis server v=6.0.16 sha=0'");
    let output = machine.set_up("run");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("redis-server 6.0 is too old: 7.0 or newer is needed"));

    let output = Machine::bare().set_up("run");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("please install by hand: cc make redis-server"), "{}", said(&output));

    assert_eq!(Machine::bare().set_up("everything").status.code(), Some(2));
}
