//! Signed messages between services, in the form of Standard Webhooks: an id, a time, and a MAC over both and the body.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>. Pure: texts in, a
//! flaw or nothing out.

use data_encoding::{BASE64, BASE64_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::UnixMs;
use crate::limits;

/// What a secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// What the one kind of signature begins with that is made and believed here.
const VERSION: &str = "v1,";

/// The secrets that messages are signed with: the first one signs, all are believed.
#[derive(Clone)]
pub struct WebhookSecrets(Vec<Hmac<Sha256>>);

impl std::fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecrets(secret)")
    }
}

/// Why a text holds no secrets. Quotes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretFlaw {
    /// None, or more than are looked at.
    #[error("must hold 1 to {} secrets, one a line", limits::WEBHOOK_SECRETS_MAX)]
    Count,
    /// A line is something else.
    #[error("line {0} must be whsec_ and 24 to 64 bytes in base64")]
    Line(usize),
}

/// The three headers of a message.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'m> {
    /// `webhook-id`: the same each time that the message is sent.
    pub id: &'m str,
    /// `webhook-timestamp`: seconds since 1970.
    pub timestamp: &'m str,
    /// `webhook-signature`: signatures, separated by blanks.
    pub signatures: &'m str,
}

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookFlaw {
    /// No id, or one that cannot be one.
    #[error("webhook-id must have 1 to {} visible ASCII characters", limits::WEBHOOK_ID_BYTES_MAX)]
    Id,
    /// No time.
    #[error("webhook-timestamp must be seconds since 1970")]
    Timestamp,
    /// None of the signatures is ours.
    #[error("webhook-signature does not fit")]
    Signature,
    /// It was signed long ago, or will be: somebody sends it again, or a clock is wrong.
    #[error("webhook-timestamp is too far from the time here")]
    Time,
}

impl WebhookSecrets {
    /// Reads secrets, one a line: `whsec_` and base64.
    ///
    /// # Errors
    /// [`SecretFlaw`] says which line is wrong, and quotes nothing of it.
    pub fn parse(text: &str) -> Result<Self, SecretFlaw> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let keys = lines.map(|(at, line)| secret(line.trim()).ok_or(SecretFlaw::Line(at.saturating_add(1))));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let fits = (1..=limits::WEBHOOK_SECRETS_MAX).contains(&keys.len());
        if fits { Ok(Self(keys)) } else { Err(SecretFlaw::Count) }
    }

    /// The signature of a message that is sent now.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let key = self.0.first().cloned();
        let mac = key.map(|key| over(key, id, &timestamp_s.to_string(), body).finalize().into_bytes());
        format!("{VERSION}{}", BASE64.encode(mac.as_deref().unwrap_or_default()))
    }

    /// Believes a message or says why not. MACs are compared in constant time, and before the time is looked at.
    ///
    /// # Errors
    /// [`WebhookFlaw`].
    pub fn verify(
        &self,
        message: Signed<'_>,
        body: &[u8],
        now_ms: UnixMs,
        tolerance_ms: i64,
    ) -> Result<(), WebhookFlaw> {
        let Signed { id, timestamp, signatures } = message;
        let is_id = (1..=limits::WEBHOOK_ID_BYTES_MAX).contains(&id.len());
        if !is_id || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WebhookFlaw::Id);
        }
        let digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let signed_s: i64 = timestamp.parse().ok().filter(|_| digits).ok_or(WebhookFlaw::Timestamp)?;
        let given = signatures.split(' ').filter_map(|one| one.strip_prefix(VERSION));
        let given =
            given.take(limits::WEBHOOK_SIGNATURES_MAX).filter_map(|one| BASE64.decode(one.as_bytes()).ok());
        let believed = given.map(|mac| {
            let by = |key: &Hmac<Sha256>| over(key.clone(), id, timestamp, body).verify_slice(&mac).is_ok();
            self.0.iter().any(by)
        });
        if !believed.fold(false, |any, one| any | one) {
            return Err(WebhookFlaw::Signature);
        }
        let apart_ms = signed_s.saturating_mul(1_000).saturating_sub(now_ms).saturating_abs();
        if apart_ms > tolerance_ms { Err(WebhookFlaw::Time) } else { Ok(()) }
    }
}

fn secret(line: &str) -> Option<Hmac<Sha256>> {
    let text = line.strip_prefix(SECRET_PREFIX)?.trim_end_matches('=');
    let bytes = BASE64_NOPAD.decode(text.as_bytes()).ok()?;
    if !(24..=64).contains(&bytes.len()) {
        return None;
    }
    Hmac::new_from_slice(&bytes).ok()
}

/// The MAC of `id.timestamp.body`. Neither id nor time may hold a point for this to be one text: an id with points is
/// told apart all the same, as the time is digits alone and the body comes last.
fn over(key: Hmac<Sha256>, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    key.chain_update(id).chain_update(".").chain_update(timestamp).chain_update(".").chain_update(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT_S: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secrets() -> WebhookSecrets {
        WebhookSecrets::parse(SECRET).unwrap()
    }

    fn verify(
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now_s: i64,
    ) -> Result<(), WebhookFlaw> {
        secrets().verify(Signed { id, timestamp, signatures }, body, now_s * 1_000, 300_000)
    }

    #[test]
    fn the_known_message_is_signed_and_believed() {
        let at = AT_S.to_string();
        assert_eq!(secrets().sign(ID, AT_S, BODY), SIGNATURE);
        for signatures in [SIGNATURE, &format!("v1,AAAA v2,x v1a,{SIGNATURE} {SIGNATURE}")] {
            assert_eq!(verify(ID, &at, signatures, BODY, AT_S), Ok(()));
        }
        assert_eq!(verify(ID, &at, SIGNATURE, BODY, AT_S + 300), Ok(()));
        assert_eq!(verify(ID, &at, SIGNATURE, BODY, AT_S - 300), Ok(()));
    }

    #[test]
    fn anything_else_is_not() {
        let at = AT_S.to_string();
        let v0 = SIGNATURE.replacen("v1", "v0", 1);
        for (id, timestamp, signatures, body, now_s, flaw) in [
            ("msg_other", &*at, SIGNATURE, BODY, AT_S, WebhookFlaw::Signature),
            (ID, "1614265331", SIGNATURE, BODY, AT_S, WebhookFlaw::Signature),
            (ID, &at, SIGNATURE, &BODY[1..], AT_S, WebhookFlaw::Signature),
            (ID, &at, &SIGNATURE[..40], BODY, AT_S, WebhookFlaw::Signature),
            (ID, &at, &v0, BODY, AT_S, WebhookFlaw::Signature),
            (ID, &at, "", BODY, AT_S, WebhookFlaw::Signature),
            (ID, &at, "v1,", BODY, AT_S, WebhookFlaw::Signature),
            (ID, &at, SIGNATURE, BODY, AT_S + 301, WebhookFlaw::Time),
            (ID, &at, SIGNATURE, BODY, AT_S - 301, WebhookFlaw::Time),
            (ID, "", SIGNATURE, BODY, AT_S, WebhookFlaw::Timestamp),
            (ID, "+1614265330", SIGNATURE, BODY, AT_S, WebhookFlaw::Timestamp),
            (ID, "99999999999999999999", SIGNATURE, BODY, AT_S, WebhookFlaw::Timestamp),
            ("", &at, SIGNATURE, BODY, AT_S, WebhookFlaw::Id),
            ("a b", &at, SIGNATURE, BODY, AT_S, WebhookFlaw::Id),
            (&"x".repeat(129), &at, SIGNATURE, BODY, AT_S, WebhookFlaw::Id),
        ] {
            assert_eq!(
                verify(id, timestamp, signatures, body, now_s),
                Err(flaw),
                "{id} {timestamp} {signatures}"
            );
        }
    }

    #[test]
    fn old_secrets_are_believed_beside_the_new_one_that_signs() {
        let new = format!("whsec_{}", BASE64.encode(&[7; 32]));
        let both = WebhookSecrets::parse(&format!("{new}\n\n{SECRET}\n")).unwrap();
        let at = AT_S.to_string();
        let believed = |secrets: &WebhookSecrets, signatures: &str| {
            let message = Signed { id: ID, timestamp: &at, signatures };
            secrets.verify(message, BODY, AT_S * 1_000, 0)
        };
        let by_new = both.sign(ID, AT_S, BODY);
        assert_ne!(by_new, SIGNATURE);
        assert_eq!((believed(&both, &by_new), believed(&both, SIGNATURE)), (Ok(()), Ok(())));
        assert_eq!(believed(&secrets(), &by_new), Err(WebhookFlaw::Signature));
    }

    #[test]
    fn secrets_that_are_none_are_refused_by_their_line() {
        let flaw = |text: &str| WebhookSecrets::parse(text).unwrap_err();
        assert_eq!((flaw(""), flaw(" \n")), (SecretFlaw::Count, SecretFlaw::Count));
        assert_eq!(flaw(&format!("{SECRET}\n").repeat(9)), SecretFlaw::Count);
        for bad in [
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_AAAA",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
        ] {
            assert_eq!(flaw(&format!("{SECRET}\n{bad}")), SecretFlaw::Line(2), "{bad}");
            assert!(!flaw(bad).to_string().contains("MfKQ"));
        }
    }
}
