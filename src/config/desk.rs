//! `[desk]`: who may get a ticket here, and what it costs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CallUrl;

/// What somebody has to do for a ticket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeKind {
    /// Find a number: some seconds of a phone's time.
    #[default]
    ProofOfWork,
    /// Cloudflare Turnstile.
    Turnstile,
    /// hCaptcha.
    Hcaptcha,
    /// Nothing.
    None,
}

/// What counts while a captcha service cannot be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptchaFallback {
    /// Nobody gets a ticket.
    #[default]
    Refuse,
    /// A proof of work, if it comes with the request.
    ProofOfWork,
}

/// The ticket desk. It is closed until keys of identities are named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskConfig {
    /// The file with the keys of identity tokens (a JSON Web Key Set).
    pub keys_file: PathBuf,
    /// The URL of that set, `https://…`, in place of a file.
    pub keys_url: CallUrl,
    /// How often the keys are read again.
    pub keys_refresh_s: u64,
    /// What `iss` of an identity token must be; empty for anything.
    pub issuer: String,
    /// What `aud` of an identity token must name; empty for anything.
    pub audience: String,
    /// How long before a drop opens its tickets are given.
    pub opens_before_s: u64,
    /// How long a ticket is good for, from then or from the release on.
    pub ticket_valid_s: u64,
    /// Tickets a minute for one person.
    pub person_per_minute: u32,
    /// Challenges and tickets a minute for one address (IPv6: one /64).
    pub address_per_minute: u32,
    /// With an ASN table: challenges and tickets a minute for one autonomous system.
    pub asn_per_minute: u32,
    /// What a ticket costs.
    pub challenge: ChallengeKind,
    /// Numbers that a proof of work takes at most, for somebody who comes seldom; twice as many on the average half.
    pub difficulty: u64,
    /// How long a challenge may take.
    pub challenge_valid_s: u64,
    /// The file with the captcha service's secret.
    pub captcha_secret_file: PathBuf,
    /// Where the captcha service is asked, in place of the known address.
    pub captcha_url: CallUrl,
    /// What counts while it cannot be asked.
    pub captcha_fallback: CaptchaFallback,
    /// The folder with the allow-lists, `<name>.csv`.
    pub lists_dir: PathBuf,
}

impl Default for DeskConfig {
    fn default() -> Self {
        Self {
            keys_file: PathBuf::new(),
            keys_url: CallUrl::default(),
            keys_refresh_s: 300,
            issuer: String::new(),
            audience: String::new(),
            opens_before_s: 3_600,
            ticket_valid_s: 3_600,
            person_per_minute: 6,
            address_per_minute: 60,
            asn_per_minute: 60_000,
            challenge: ChallengeKind::default(),
            difficulty: 50_000,
            challenge_valid_s: 300,
            captcha_secret_file: PathBuf::new(),
            captcha_url: CallUrl::default(),
            captcha_fallback: CaptchaFallback::default(),
            lists_dir: PathBuf::new(),
        }
    }
}

impl DeskConfig {
    /// Whether there is a desk.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.keys_path().is_some() || !self.keys_url.is_empty()
    }

    /// [`Self::keys_file`], where it is set.
    #[must_use]
    pub fn keys_path(&self) -> Option<&Path> {
        (!self.keys_file.as_os_str().is_empty()).then_some(&self.keys_file)
    }

    /// [`Self::keys_refresh_s`] as a duration.
    #[must_use]
    pub fn keys_refresh(&self) -> Duration {
        Duration::from_secs(self.keys_refresh_s)
    }
}
