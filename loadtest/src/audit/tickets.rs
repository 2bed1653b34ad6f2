//! How the audit shows itself as a person, and how it knows what the ledger calls them.

use anyhow::Result;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::header::HeaderValue;
use serde::Deserialize;

/// Gives the tickets of the persons of a run. A closure from number and drop to header value is one.
pub trait PersonTickets: Send + Sync {
    /// The value of the `Authorization` header with which this person, by number from 1, asks about this drop.
    ///
    /// # Errors
    /// The person has no ticket for this drop, or it cannot be made.
    fn authorization(&self, person: u64, drop: &str) -> Result<HeaderValue>;

    /// What the ledger calls this person; `None` where that cannot be known from here. A JWT says it as `sub`.
    fn name(&self, person: u64, drop: &str) -> Option<String> {
        subject(&self.authorization(person, drop).ok()?)
    }
}

impl<F: Fn(u64, &str) -> Result<HeaderValue> + Send + Sync> PersonTickets for F {
    fn authorization(&self, person: u64, drop: &str) -> Result<HeaderValue> {
        self(person, drop)
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

/// The subject of a JWT, whose signature is the service's business.
fn subject(authorization: &HeaderValue) -> Option<String> {
    let token = authorization.to_str().ok()?.strip_prefix("Bearer ")?;
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Claims>(&payload).ok().map(|claims| claims.sub)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_jwt_says_whose_it_is_and_other_tickets_do_not() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"drop":"d","sub":"person-7"}"#);
        let tickets = move |person: u64, _: &str| match person {
            7 => Ok(HeaderValue::from_str(&format!("Bearer h.{payload}.s"))?),
            8 => Ok(HeaderValue::from_static("Bearer opaque")),
            _ => bail!("nobody"),
        };
        assert_eq!(tickets.name(7, "d").as_deref(), Some("person-7"));
        assert_eq!((tickets.name(8, "d"), tickets.name(9, "d")), (None, None));
    }
}
