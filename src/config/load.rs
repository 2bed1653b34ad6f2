//! From the sources to one checked config.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::providers::Serialized;
use figment::value::{Dict, Empty, Value};

use super::check::{check, expectation};
use super::{Config, ConfigError, ServiceUrl};
use crate::infile;

/// What stands before every environment variable of the program.
const ENV_PREFIX: &str = "CLAIMRUSH_";
/// The longest file that a `*_file` key may name, in bytes: it holds one line.
const SECRET_FILE_BYTES_MAX: u64 = 4_096;
/// The longest config file, in bytes.
const CONFIG_FILE_BYTES_MAX: u64 = 256 * 1024;

/// What the command line says over all other sources.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--admin-listen`.
    pub admin_listen: Option<SocketAddr>,
    /// `--data`.
    pub data_dir: Option<PathBuf>,
    /// `--no-drain` says `false`.
    pub drain_enabled: Option<bool>,
    /// `--demo` says `true`.
    pub demo_enabled: Option<bool>,
}

/// Merges the defaults, the TOML `file` if one is named, the `CLAIMRUSH_` variables among `env` (all of the
/// process' variables may be handed in) and the flags, reads the files that `*_file` keys name, and checks
/// everything.
///
/// # Errors
/// [`ConfigError`] for the first thing that is wrong. Unknown keys and variables are wrong.
pub fn load(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &Overrides,
) -> Result<Config, ConfigError> {
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let mut merged = defaults.clone();
    if let Some(path) = file {
        merged = merged.merge(Serialized::defaults(read_toml(path)?));
    }
    for (key, value) in environment(&known_keys(&defaults), env)? {
        merged = merged.merge(Serialized::global(&key, value));
    }
    for (key, value) in flag_values(flags)? {
        merged = merged.merge(Serialized::global(key, value));
    }
    let mut config: Config = merged.extract().map_err(|error| explain(&merged, &error))?;
    config.redis.url = resolve("redis.url", &config.redis.url, &config.redis.url_file)?;
    config.ledger.url = resolve("ledger.url", &config.ledger.url, &config.ledger.url_file)?;
    check(&config)?;
    Ok(config)
}

impl Config {
    /// The config as a TOML file that gives the same config again, without the secrets: passwords in URLs are
    /// shown as `***`, a [`super::CallUrl`] as it may be, and what came from a `*_file` stays there.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut shown = self.clone();
        for (url, file) in
            [(&mut shown.redis.url, &self.redis.url_file), (&mut shown.ledger.url, &self.ledger.url_file)]
        {
            if !file.as_os_str().is_empty() {
                *url = ServiceUrl::default();
            }
        }
        // Plain tables of strings, numbers and paths that came from UTF-8: there is nothing to fail on.
        toml::to_string(&shown).unwrap_or_default()
    }
}

fn read_toml(path: &Path) -> Result<toml::Table, ConfigError> {
    let text = read_text(path, CONFIG_FILE_BYTES_MAX)?;
    toml::from_str(&text).map_err(|error| {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        let problem = match error.span() {
            Some(span) => {
                let line = text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1;
                format!("line {line}: {message}")
            }
            None => message,
        };
        ConfigError::File { file: path.display().to_string(), problem }
    })
}

/// Reads a file whole, if it is text and not absurdly long.
fn read_text(path: &Path, bytes_max: u64) -> Result<String, ConfigError> {
    infile::read_text(path, bytes_max)
        .map_err(|error| ConfigError::File { file: path.display().to_string(), problem: io_cause(&error) })
}

/// The cause in words, without the number that the system gives it.
fn io_cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read".to_owned(),
        _ => error.to_string(),
    }
}

/// Every key with its default.
fn known_keys(defaults: &Figment) -> BTreeMap<String, Value> {
    let sections = defaults.extract::<Dict>().unwrap_or_default();
    let mut keys = BTreeMap::new();
    for (section, value) in sections {
        for (key, default) in value.into_dict().unwrap_or_default() {
            keys.insert(format!("{section}.{key}"), default);
        }
    }
    keys
}

/// The variables that set keys, as (key, value). One that sets none is refused by its name, unless it is not ours.
fn environment(
    known: &BTreeMap<String, Value>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, Value)>, ConfigError> {
    let mut found = Vec::new();
    for (name, text) in env {
        let name = name.to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else { continue };
        if is_service_link(&name, &text.to_string_lossy()) {
            continue;
        }
        let key = rest.replacen("__", ".", 1).to_lowercase();
        let exact = variable(&key) == name;
        let Some(default) = known.get(&key).filter(|_| exact) else {
            let meant = known.keys().find(|key| meant_by(key) == meant_by(rest));
            let problem = match meant {
                Some(key) => format!("no such key; {key} is set by {}", variable(key)),
                None => {
                    "no such key: variables are named CLAIMRUSH_SECTION__KEY, as in CLAIMRUSH_SERVER__LISTEN"
                        .to_owned()
                }
            };
            return Err(ConfigError::Key { key: name, problem });
        };
        let Ok(text) = text.into_string() else {
            return Err(ConfigError::Key { key: name, problem: "is not UTF-8 text".to_owned() });
        };
        found.push((key, typed(&text, default)));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// The variable that sets a key.
fn variable(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.replacen('.', "__", 1).to_uppercase())
}

/// What a key and the spellings of its variable that are easily mistaken have in common.
fn meant_by(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

/// Whether a variable tells of a Service: Kubernetes sets these in every container of a namespace that has a Service named
/// `claimrush`, or `claimrush-…` (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
/// No key has a name like them; `…_PORT` alone may be meant for one, and is known by its value.
fn is_service_link(name: &str, text: &str) -> bool {
    const TRANSPORTS: [&str; 3] = ["TCP", "UDP", "SCTP"];
    let of_port = |rest: &str| {
        let (number, rest) = rest.split_once('_').unwrap_or((rest, ""));
        let (transport, part) = rest.split_once('_').unwrap_or((rest, ""));
        number.parse::<u16>().is_ok()
            && TRANSPORTS.contains(&transport)
            && matches!(part, "" | "PROTO" | "PORT" | "ADDR")
    };
    let is_place = || {
        text.split_once("://").is_some_and(|(scheme, _)| TRANSPORTS.contains(&scheme.to_uppercase().as_str()))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT") && is_place()
        || name.rsplit_once("_PORT_").is_some_and(|(_, rest)| of_port(rest))
}

/// Reads a variable's text as the type that its key has; what does not fit stays text and is refused as such.
fn typed(text: &str, default: &Value) -> Value {
    match default {
        Value::Num(..) => text.trim().parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
        Value::Bool(..) => text.trim().parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
        Value::Array(..) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::from(items.map(Value::from).collect::<Vec<_>>())
        }
        _ => Value::from(text),
    }
}

fn flag_values(flags: &Overrides) -> Result<Vec<(&'static str, Value)>, ConfigError> {
    let mut values = Vec::new();
    if let Some(listen) = flags.listen {
        values.push(("server.listen", Value::from(listen.to_string())));
    }
    if let Some(listen) = flags.admin_listen {
        values.push(("server.admin_listen", Value::from(listen.to_string())));
    }
    if let Some(dir) = &flags.data_dir {
        let Some(text) = dir.to_str() else {
            // Another folder would be taken in its place.
            let (key, problem) = ("data.dir".to_owned(), "is not UTF-8 text".to_owned());
            return Err(ConfigError::Value { key, value: quoted(dir), problem });
        };
        values.push(("data.dir", Value::from(text)));
    }
    if let Some(enabled) = flags.drain_enabled {
        values.push(("drain.enabled", Value::from(enabled)));
    }
    if let Some(enabled) = flags.demo_enabled {
        values.push(("demo.enabled", Value::from(enabled)));
    }
    Ok(values)
}

/// The URL that a key or its file gives; both at once is a contradiction.
fn resolve(key: &str, url: &ServiceUrl, file: &Path) -> Result<ServiceUrl, ConfigError> {
    if file.as_os_str().is_empty() {
        return Ok(url.clone());
    }
    let file_key = format!("{key}_file");
    if !url.is_empty() {
        let problem = format!("must not be set together with {key}");
        return Err(ConfigError::Value { key: file_key, value: quoted(file), problem });
    }
    let text = read_text(file, SECRET_FILE_BYTES_MAX).map_err(|error| match error {
        ConfigError::File { problem, .. } => {
            ConfigError::Value { key: file_key.clone(), value: quoted(file), problem }
        }
        other => other,
    })?;
    if text.trim().is_empty() {
        let problem = "the file is empty".to_owned();
        return Err(ConfigError::Value { key: file_key, value: quoted(file), problem });
    }
    Ok(ServiceUrl::new(text.trim()))
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

/// One line out of the merger's error: the key, its value, and what it should be.
fn explain(merged: &Figment, error: &figment::Error) -> ConfigError {
    let path: Vec<&str> = error.path.iter().map(String::as_str).take(2).collect();
    let key = path.join(".");
    if let Kind::UnknownField(_, known) = &error.kind {
        let place = match path.as_slice() {
            [section, _] => format!("[{section}]"),
            _ => "the config".to_owned(),
        };
        return ConfigError::Key { key, problem: format!("no such key; {place} has {}", known.join(", ")) };
    }
    let value = match merged.find_value(&key) {
        // Whatever stands in place of a URL may hold its password.
        Ok(_) if key.ends_with("url") => "…".to_owned(),
        Ok(value) => shown(&value),
        Err(_) => "nothing".to_owned(),
    };
    let problem = match (&error.kind, expectation(&key)) {
        // The key's own type may say more about its text than the table does.
        (Kind::Message(message), _) if message.contains("must be") => message.clone(),
        (_, Some(expected)) => expected,
        (_, None) if path.len() == 1 => format!("must be a section, as in [{key}]"),
        (kind, None) => kind.to_string(),
    };
    ConfigError::Value { key, value, problem }
}

/// A value as it would stand in TOML.
fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, c) => format!("{:?}", c.to_string()),
        Value::Bool(_, yes) => yes.to_string(),
        Value::Num(_, number) => number
            .to_i128()
            .map_or_else(|| number.to_f64().unwrap_or(f64::NAN).to_string(), |n| n.to_string()),
        Value::Empty(_, Empty::None | Empty::Unit) => "nothing".to_owned(),
        Value::Array(_, items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Dict(..) => "{…}".to_owned(),
    }
}
