//! Tickets for the persons of a run: signed when they are needed, or lines of a file.
//!
//! Owns what a good, forged, expired, foreign or missing ticket looks like. Signing takes under a microsecond: the
//! key is prepared once and everything but the person is written once.

use std::{borrow::Cow, fmt::Write, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::header::HeaderValue;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    crypto::{JwtSigner, rust_crypto::DEFAULT_PROVIDER},
};

use super::job::Supply;
use crate::{clock, schedule::TicketSort};

const SCHEME: &str = "Bearer ";
/// Tickets are good from this long before the run: other machines' clocks may be behind.
const GOOD_BEFORE: Duration = Duration::from_secs(60);
/// Tickets are good for this long after the run: the audit uses them too.
const GOOD_AFTER: Duration = Duration::from_secs(3_600);
/// For how long an expired ticket has been over.
const EXPIRED_FOR: Duration = Duration::from_secs(3_600);
/// What makes another drop's name of one.
const ELSEWHERE: &str = "-elsewhere";
/// The digits of the longest number.
const DIGITS_MAX: usize = 20;
/// The bytes of an HS256 signature.
const MAC_BYTES: usize = 32;

/// What all tickets of a run are made of.
pub struct Stock(Kind);

enum Kind {
    Key(Words),
    Lines(Lines),
    Given(Given),
}

impl Stock {
    /// Tickets for these drops, good for a run of this length from now on.
    ///
    /// # Errors
    /// The supply's key or tickets cannot be used.
    pub fn new(supply: Supply, drops: &[&str], run: Duration) -> Result<Self> {
        Ok(Self(match supply {
            Supply::Key { kid, secret, prefix, persons } => {
                let secret = URL_SAFE_NO_PAD.decode(secret).ok().context("the key is not base64url")?;
                let key = EncodingKey::from_secret(&secret);
                Kind::Key(Words::new(&kid, key, &prefix, persons, drops, run)?)
            }
            Supply::Lines { text, skip, uses, repeat } => {
                let starts = line_starts(&text);
                ensure!(!starts.is_empty(), "there is no ticket");
                Kind::Lines(Lines { text, starts, skip, uses, repeat })
            }
            Supply::Given { text, comes_as } => {
                let starts = line_starts(&text);
                let lines = Lines { text, starts, skip: 0, uses: None, repeat: false };
                Kind::Given(Given { lines, comes_as })
            }
        }))
    }

    /// The number of the person (from 1) who comes with arrival `n` (from 0); `None` when no ticket is left.
    #[must_use]
    pub fn person(&self, n: u64) -> Option<u64> {
        match &self.0 {
            Kind::Key(words) => Some(words.persons.map_or(n, |persons| n % persons.max(1)) + 1),
            Kind::Lines(lines) => lines.person(n),
            Kind::Given(given) => given.comes_as.get(usize::try_from(n).ok()?).copied(),
        }
    }

    /// Whether tickets of every sort can be made.
    #[must_use]
    pub fn makes_all_sorts(&self) -> bool {
        matches!(self.0, Kind::Key(_))
    }
}

/// Tickets that were given to persons; somebody may come as another.
struct Given {
    /// Person 1 has the first; empty for who got none.
    lines: Lines,
    /// By arrival, the person.
    comes_as: Vec<u64>,
}

/// Tickets that exist already.
struct Lines {
    text: String,
    starts: Vec<usize>,
    skip: u64,
    uses: Option<u64>,
    repeat: bool,
}

impl Lines {
    fn person(&self, n: u64) -> Option<u64> {
        let lines = self.starts.len() as u64;
        let is_left = (self.repeat || n < lines) && self.uses.is_none_or(|uses| n < uses);
        is_left.then(|| self.skip.saturating_add(n % lines).saturating_add(1))
    }

    fn ticket(&self, person: u64) -> Option<&str> {
        let at = usize::try_from(person.checked_sub(self.skip)?.checked_sub(1)?).ok()?;
        let end = self.starts.get(at + 1).copied().unwrap_or(self.text.len());
        Some(self.text.get(*self.starts.get(at)?..end)?.trim_end())
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let ends = text.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).filter(|&start| start < text.len()).collect()
}

/// Hands out the tickets of a stock, within one thread.
pub struct Clerk {
    stock: Arc<Stock>,
    signer: Option<Box<dyn JwtSigner>>,
}

impl Clerk {
    /// A clerk for one thread.
    ///
    /// # Errors
    /// The key does not sign.
    pub fn new(stock: Arc<Stock>) -> Result<Self> {
        let signer = match &stock.0 {
            Kind::Key(words) => Some((DEFAULT_PROVIDER.signer_factory)(&Algorithm::HS256, &words.key)?),
            Kind::Lines(_) | Kind::Given(_) => None,
        };
        Ok(Self { stock, signer })
    }

    /// See [`Stock::person`].
    #[must_use]
    pub fn person(&self, n: u64) -> Option<u64> {
        self.stock.person(n)
    }

    /// The `Authorization` header of a person's ticket of this sort for a drop; `None` for a missing one.
    ///
    /// # Errors
    /// See [`Clerk::ticket`]; or the ticket has a character that no header may have.
    pub fn authorization(&self, person: u64, drop: usize, sort: TicketSort) -> Result<Option<HeaderValue>> {
        let ticket = self.ticket(person, drop, sort)?;
        Ok(ticket.map(|ticket| HeaderValue::from_str(&[SCHEME, &ticket].concat())).transpose()?)
    }

    /// A person's ticket of this sort for a drop; `None` for a missing one.
    ///
    /// # Errors
    /// There is no such person or drop, or a ticket of this sort cannot be made from a file's lines.
    pub fn ticket(&self, person: u64, drop: usize, sort: TicketSort) -> Result<Option<Cow<'_, str>>> {
        if matches!(sort, TicketSort::Missing) {
            return Ok(None);
        }
        Ok(Some(match (&self.stock.0, &self.signer) {
            (Kind::Key(words), Some(signer)) => words.ticket(&**signer, person, drop, sort)?.into(),
            (Kind::Lines(lines), _) => {
                let ticket = lines.ticket(person).with_context(|| format!("there is no ticket {person}"))?;
                existing(ticket, sort)?
            }
            (Kind::Given(given), _) => match given.lines.ticket(person) {
                None | Some("") => return Ok(None),
                Some(ticket) => existing(ticket, sort)?,
            },
            (Kind::Key(_), None) => bail!("the key does not sign"),
        }))
    }
}

/// A ticket that exists, as the sort asks for it.
fn existing(ticket: &str, sort: TicketSort) -> Result<Cow<'_, str>> {
    Ok(match sort {
        TicketSort::Forged => forged(ticket).into(),
        TicketSort::Valid => ticket.into(),
        _ => bail!("only a key can make tickets that are expired or for another drop"),
    })
}

/// The ticket with a signature that no key made.
fn forged(ticket: &str) -> String {
    let signed = ticket.rsplit_once('.').map_or(ticket, |(signed, _)| signed);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; MAC_BYTES]>()))
}

/// The parts of a signed ticket that do not depend on the person.
struct Words {
    key: EncodingKey,
    persons: Option<u64>,
    /// The header segment and a dot.
    before: String,
    /// The payload up to the person's number.
    subject: String,
    /// Per drop, the payload between the person's number and the end of the ticket's id.
    good: Vec<String>,
    expired: Vec<String>,
    foreign: Vec<String>,
}

impl Words {
    fn new(
        kid: &str,
        key: EncodingKey,
        prefix: &str,
        persons: Option<u64>,
        drops: &[&str],
        run: Duration,
    ) -> Result<Self> {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        let header = URL_SAFE_NO_PAD.encode(serde_json::to_string(&header)?);
        let now = clock::unix_now();
        let run_id = rand::random::<u64>();
        let rest = |drop: &str, from: Duration, to: Duration| {
            let (drop, from, to) = (serde_json::to_string(drop)?, from.as_secs(), to.as_secs());
            Ok(format!("\",\"drop\":{drop},\"nbf\":{from},\"exp\":{to},\"jti\":\"{run_id:016x}-"))
        };
        let each = |of: &dyn Fn(&str) -> Result<String>| -> Result<Vec<String>> {
            drops.iter().map(|drop| of(drop)).collect()
        };
        let (from, to) = (now.saturating_sub(GOOD_BEFORE), now + run + GOOD_AFTER);
        let over = now.saturating_sub(EXPIRED_FOR);
        let mut subject = format!("{{\"sub\":{}", serde_json::to_string(prefix)?);
        // The person's number goes before the closing quotation mark, which `rest` brings.
        subject.pop();
        Ok(Self {
            key,
            persons,
            before: format!("{header}."),
            subject,
            good: each(&|drop| rest(drop, from, to))?,
            expired: each(&|drop| rest(drop, over.saturating_sub(EXPIRED_FOR), over))?,
            foreign: each(&|drop| rest(&[drop, ELSEWHERE].concat(), from, to))?,
        })
    }

    fn ticket(&self, signer: &dyn JwtSigner, person: u64, drop: usize, sort: TicketSort) -> Result<String> {
        let rest = match sort {
            TicketSort::Expired => &self.expired,
            TicketSort::Foreign => &self.foreign,
            _ => &self.good,
        };
        let rest = rest.get(drop).with_context(|| format!("there is no drop {drop}"))?;
        let mut payload = String::with_capacity(self.subject.len() + rest.len() + DIGITS_MAX * 2 + 2);
        write!(payload, "{}{person}{rest}{person}\"}}", self.subject)?;
        let mut ticket =
            String::with_capacity(self.before.len() + (payload.len() + MAC_BYTES) * 4 / 3 + DIGITS_MAX);
        ticket.push_str(&self.before);
        URL_SAFE_NO_PAD.encode_string(&payload, &mut ticket);
        let mac = if matches!(sort, TicketSort::Forged) {
            rand::random::<[u8; MAC_BYTES]>().to_vec()
        } else {
            signer.try_sign(ticket.as_bytes()).ok().context("a ticket cannot be signed")?
        };
        ticket.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut ticket);
        Ok(ticket)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::Value;

    use super::*;

    const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

    fn clerk(supply: Supply) -> Clerk {
        let stock = Stock::new(supply, &["one", "two"], Duration::from_secs(10)).unwrap();
        Clerk::new(Arc::new(stock)).unwrap()
    }

    fn minting(persons: Option<u64>) -> Clerk {
        let (kid, secret, prefix) = ("k1".into(), SECRET.into(), "bea \"b\" ".into());
        clerk(Supply::Key { kid, secret, prefix, persons })
    }

    fn read(authorization: &HeaderValue) -> jsonwebtoken::errors::Result<Value> {
        let ticket = authorization.to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let header = jsonwebtoken::decode_header(ticket).unwrap();
        assert_eq!((header.kid.as_deref(), header.typ.as_deref()), (Some("k1"), Some("JWT")));
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_nbf = true;
        let key = DecodingKey::from_secret(&URL_SAFE_NO_PAD.decode(SECRET).unwrap());
        Ok(jsonwebtoken::decode::<Value>(ticket, &key, &validation)?.claims)
    }

    #[test]
    fn a_minted_ticket_is_one_that_a_library_accepts() {
        let clerk = minting(None);
        let ticket = clerk.authorization(41, 1, TicketSort::Valid).unwrap().unwrap();
        let claims = read(&ticket).unwrap();
        assert_eq!((&claims["sub"], &claims["drop"]), (&"bea \"b\" 41".into(), &"two".into()));
        assert!(claims["jti"].as_str().unwrap().ends_with("-41"));
        assert!(claims["exp"].as_u64().unwrap() > claims["nbf"].as_u64().unwrap() + 3_600);
    }

    #[test]
    fn bad_tickets_are_bad_in_their_own_way() {
        let clerk = minting(None);
        let refused = |sort| {
            let ticket = clerk.authorization(1, 0, sort).unwrap().unwrap();
            format!("{:?}", read(&ticket).unwrap_err().kind())
        };
        assert_eq!(refused(TicketSort::Forged), "InvalidSignature");
        assert_eq!(refused(TicketSort::Expired), "ExpiredSignature");
        let foreign = clerk.authorization(1, 0, TicketSort::Foreign).unwrap().unwrap();
        assert_eq!(read(&foreign).unwrap()["drop"], "one-elsewhere");
        assert_eq!(clerk.authorization(1, 0, TicketSort::Missing).unwrap(), None);
    }

    #[test]
    fn persons_come_again_when_there_are_only_so_many() {
        let persons = |clerk: &Clerk| [0, 1, 2, 3, 7].map(|n| clerk.person(n));
        assert_eq!(persons(&minting(None)), [1, 2, 3, 4, 8].map(Some));
        assert_eq!(persons(&minting(Some(3))), [1, 2, 3, 1, 2].map(Some));
    }

    #[test]
    fn lines_are_handed_out_by_their_number() {
        let lines =
            |skip, uses, repeat| clerk(Supply::Lines { text: "a\nb\r\nh.p.s".into(), skip, uses, repeat });
        let once = lines(0, None, false);
        assert_eq!([0, 2, 3].map(|n| once.person(n)), [Some(1), Some(3), None]);
        assert_eq!(lines(0, None, true).person(4), Some(2));
        let second_half = lines(3, Some(5), true);
        assert_eq!(
            [0, 2, 3, 4, 5].map(|n| second_half.person(n)),
            [4, 6, 4, 5, 0].map(|n| (n > 0).then_some(n))
        );
        assert_eq!(second_half.authorization(5, 0, TicketSort::Valid).unwrap().unwrap(), "Bearer b");
        assert!(second_half.authorization(3, 0, TicketSort::Valid).is_err());
        let ticket = |person, sort| once.authorization(person, 0, sort);
        assert_eq!(ticket(2, TicketSort::Valid).unwrap().unwrap(), "Bearer b");
        let forged = ticket(3, TicketSort::Forged).unwrap().unwrap();
        assert!(forged.to_str().unwrap().starts_with("Bearer h.p.") && forged != "Bearer h.p.s");
        assert!(ticket(4, TicketSort::Valid).is_err());
        assert!(ticket(1, TicketSort::Expired).is_err());
    }

    #[test]
    fn who_got_no_ticket_comes_as_another_or_without() {
        let given = clerk(Supply::Given { text: "a\n\nh.p.s\n\n".into(), comes_as: vec![1, 3, 3, 4] });
        assert_eq!([0, 1, 2, 3, 4].map(|n| given.person(n)), [Some(1), Some(3), Some(3), Some(4), None]);
        let ticket = |person, sort| given.authorization(person, 0, sort).unwrap();
        assert_eq!(ticket(3, TicketSort::Valid).unwrap(), "Bearer h.p.s");
        assert!(ticket(3, TicketSort::Forged).unwrap().to_str().unwrap().starts_with("Bearer h.p."));
        assert_eq!((ticket(4, TicketSort::Valid), ticket(2, TicketSort::Forged)), (None, None));
        assert!(given.authorization(1, 0, TicketSort::Expired).is_err());
    }
}
