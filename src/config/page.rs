//! `[page]` and `[demo]`: the claim page.

use serde::{Deserialize, Serialize};

/// The claim page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageConfig {
    /// Where the page finds the API, as in `https://api.example`; empty for where the page itself is.
    pub api_origin: String,
    /// Where people sign in, with `{drop}` in it where the drop's id is to stand; empty if the page is not to say.
    pub login_url: String,
}

/// Whether anybody may be anybody.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemoConfig {
    /// Opens a desk that gives everybody on this machine a ticket for whoever they like to be.
    pub enabled: bool,
}
