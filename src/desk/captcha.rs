//! Tokens of a captcha service, asked about at that service: Turnstile, hCaptcha and others of the same form.
//!
//! Owns the form of the question and what counts as yes. Anything but a clear yes is a no, or no answer.

use serde::Deserialize;

use super::outbound::Outbound;
use crate::config::CallUrl;
use crate::limits;

/// Where the services that are known by name are asked.
/// Source: <https://developers.cloudflare.com/turnstile/get-started/server-side-validation/>,
/// <https://docs.hcaptcha.com/#verify-the-user-response-server-side>
pub const TURNSTILE_URL: &str = "https://challenges.cloudflare.com/turnstile/v0/siteverify";
/// See [`TURNSTILE_URL`].
pub const HCAPTCHA_URL: &str = "https://api.hcaptcha.com/siteverify";

/// The longest token, and the longest answer.
const TOKEN_BYTES_MAX: usize = 4_096;
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// A service to ask.
pub struct Captcha {
    /// Where it is asked: fixed by the config.
    pub url: CallUrl,
    /// What we are known by there.
    pub secret: String,
    /// How it is reached.
    pub outbound: Outbound,
}

/// What the service said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A person.
    Passed,
    /// Not, or not any more: such tokens are spent once, by the service.
    Failed,
    /// It could not be asked.
    NoAnswer,
}

#[derive(Deserialize)]
struct Answer {
    success: bool,
}

impl Captcha {
    /// Asks about a token.
    pub async fn ask(&self, token: &str) -> Verdict {
        if token.is_empty()
            || token.len() > TOKEN_BYTES_MAX
            || !token.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Verdict::Failed;
        }
        let form = format!("secret={}&response={}", escaped(&self.secret), escaped(token));
        match self.outbound.post_form(&self.url, form, ANSWER_BYTES_MAX).await {
            Ok(answer) => match serde_json::from_str::<Answer>(&answer) {
                Ok(Answer { success: true }) => Verdict::Passed,
                Ok(Answer { success: false }) => Verdict::Failed,
                Err(_) => {
                    tracing::warn!(url = %self.url, "the captcha service answers something else");
                    Verdict::NoAnswer
                }
            },
            Err(error) => {
                tracing::warn!(%error, "the captcha service cannot be asked");
                Verdict::NoAnswer
            }
        }
    }
}

/// A text in a form: everything but letters and digits as `%XX`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(limits::BODY_BYTES_MAX));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push('%');
            data_encoding::HEXUPPER.encode_append(&[byte], &mut out);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_in_a_token_adds_a_field() {
        assert_eq!(super::escaped("aZ0.-_&secret=x%"), "aZ0%2E%2D%5F%26secret%3Dx%25");
    }
}
