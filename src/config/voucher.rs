//! `[voucher]`: what holders show at the till.

use serde::{Deserialize, Serialize};

use crate::limits;

/// Codes and QR codes of vouchers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoucherConfig {
    /// Seconds for which a QR code is good.
    pub qr_valid_s: u32,
}

impl Default for VoucherConfig {
    fn default() -> Self {
        Self { qr_valid_s: limits::QR_VALID_S_DEFAULT }
    }
}
