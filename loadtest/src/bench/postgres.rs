//! A PostgreSQL server for a turn whose ledger is there: new, empty, with its defaults, on a unix socket.
//!
//! Owns the server's folder. PostgreSQL refuses to run as root, so that root starts it as somebody else.

use std::{
    env, fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{
    process::Started,
    setup::{READY_WAIT, Workshop},
};

/// The port in the name of the socket; nobody listens on the network.
const PORT: &str = "5432";

/// Ended when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    process: Started,
    folder: PathBuf,
}

impl PostgresServer {
    /// Makes an empty database and starts the server.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start in time.
    pub fn start(workshop: &Workshop<'_>) -> Result<Self> {
        let programs = programs().context("PostgreSQL (initdb) is not installed")?;
        let folder = workshop.path("pg");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        if let Some((user, group)) = somebody_else()? {
            chown(&folder, Some(user), Some(group))?;
            // They have to come through to it.
            fs::set_permissions(workshop.folder.path(), fs::Permissions::from_mode(0o711))?;
        }
        let data = folder.join("data");
        let mut initdb = as_somebody_else(&programs.join("initdb"), &folder)?;
        initdb.args(["--username", "bench", "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]);
        let made = initdb.arg("--pgdata").arg(&data).output().context("initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr).trim());
        let mut command = as_somebody_else(&programs.join("postgres"), &folder)?;
        command.arg("-D").arg(&data).arg("-k").arg(&folder).args(["-p", PORT, "-c", "listen_addresses="]);
        let mut process = Started::start("postgres", &mut command, &workshop.log("postgres"))?;
        process.wait_for(READY_WAIT, || {
            let mut asked = Command::new(programs.join("psql"));
            asked.args(["-X", "-U", "bench", "-d", "postgres", "-p", PORT, "-c", "SELECT 1", "-h"]);
            asked.arg(&folder).output().ok()?.status.success().then_some(())
        })?;
        Ok(Self { process, folder })
    }

    /// How a service reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://bench@/postgres?host={}&port={PORT}", self.folder.display())
    }

    /// Its process; those of its connections are its children.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Whether it can be started at all.
#[must_use]
pub fn is_installed() -> bool {
    programs().is_some()
}

/// The folder of the newest server's programs: distributions keep them by version, off the path.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, bin)| bin.join("initdb").exists())
        .max();
    let path = env::var_os("PATH").unwrap_or_default();
    newest
        .map(|(_, bin)| bin)
        .or_else(|| env::split_paths(&path).find(|folder| folder.join("initdb").exists()))
}

fn as_somebody_else(program: &Path, folder: &Path) -> Result<Command> {
    let mut command = Command::new(program);
    if let Some((user, group)) = somebody_else()? {
        command.uid(user).gid(group);
    }
    command.current_dir(folder).env("LC_ALL", "C");
    Ok(command)
}

/// User and group that root starts the server as; nothing for anybody but root.
fn somebody_else() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Ok(Some(ids("postgres").or_else(|| ids("nobody")).context("no user but root")?))
}
