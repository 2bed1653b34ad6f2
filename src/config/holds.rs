//! `[holds]`: units that are set aside until they are paid for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::limits;

/// Payments of held units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldsConfig {
    /// The file with the secrets that payment callbacks are signed with; empty to take none.
    pub payment_secret_file: PathBuf,
    /// Seconds by which a callback's time may differ from ours.
    pub callback_tolerance_s: u64,
}

impl Default for HoldsConfig {
    fn default() -> Self {
        Self {
            payment_secret_file: PathBuf::new(),
            callback_tolerance_s: limits::CALLBACK_TOLERANCE_S_DEFAULT,
        }
    }
}
