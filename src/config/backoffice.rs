//! `[backoffice]`: how staff work together.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::limits;

/// Whether one person may do what another has to approve elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// A campaign file may be applied in one step, and the admin token may approve its own drafts.
    #[default]
    OneStep,
    /// Whoever drafts or enters something cannot approve it, and money is moved in the books when two have said the same, whatever
    /// token or key they have.
    TwoPerson,
}

/// Staff, merchants and campaigns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackofficeConfig {
    /// Whether one person alone is enough.
    pub approval: Approval,
    /// Words for categories of merchants, beside the codes of GB/T 4754.
    pub categories: Vec<String>,
}

impl BackofficeConfig {
    /// Words for categories are as short and as many as campaign files take.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let words = &self.categories;
        let wrong = words.iter().find(|word| word.trim().is_empty() || word.len() > limits::NAME_BYTES_MAX);
        if wrong.is_some() || words.len() > limits::CATEGORIES_MAX {
            let (count, bytes) = (limits::CATEGORIES_MAX, limits::NAME_BYTES_MAX);
            let problem = format!("must be at most {count} words of 1 to {bytes} bytes");
            return Err(ConfigError::Key { key: "backoffice.categories".to_owned(), problem });
        }
        Ok(())
    }
}
