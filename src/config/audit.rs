//! `[audit]`: where the head of the audit chain is published.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::refuse;
use super::{CallUrl, ConfigError};

/// Once a day the head goes to each place that is named.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    /// A file to which one JSON line a day is added; empty for none.
    pub head_file: PathBuf,
    /// A webhook, `https://…`; empty for none.
    pub head_url: CallUrl,
    /// The file with the webhook's secret (`whsec_…`).
    pub head_secret_file: PathBuf,
}

impl AuditConfig {
    /// A webhook over a way that can be trusted, with a secret to sign with.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let url = &self.head_url;
        if url.is_empty() {
            return Ok(());
        }
        let refused =
            |problem: &str| Err(refuse("audit.head_url", format_args!("\"{url}\""), problem.to_owned()));
        if !url.is_allowed() {
            return refused("must be https://, or http:// on this machine");
        }
        if self.head_secret_file.as_os_str().is_empty() {
            return refused("needs audit.head_secret_file");
        }
        Ok(())
    }
}
