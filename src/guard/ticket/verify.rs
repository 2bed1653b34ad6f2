//! Verification on the hot path: prepared keys, a scratch buffer, borrowed claims, and no I/O.

use std::borrow::Cow;
use std::fmt;

use base64_simd::{AsOut as _, URL_SAFE_NO_PAD};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use memchr::memchr;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::Sha256;

use super::claims::{Claims, Header, Text, parse_claims, parse_object};
use super::key::PublicKey;
use super::{Algorithm, KeyFile, TicketFlaw, TicketKey, TicketRefusal};
use crate::clock::UnixMs;
use crate::domain::ids::check_person;
use crate::domain::text::{rsplit_once, split_once};
use crate::limits::TICKET_BYTES_MAX;

const MAC_BYTES: usize = 32;
const ED25519_BYTES: usize = 64;

/// Where tickets are decoded: one a connection or worker, used again for every ticket.
#[derive(Clone)]
pub struct Scratch {
    bytes: [u8; TICKET_BYTES_MAX],
}

impl Scratch {
    /// An empty buffer that takes any ticket which is not too long.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; TICKET_BYTES_MAX] }
    }

    /// The bytes that `segment` stands for. Padding, blanks and stray trailing bits are refused, so that a
    /// ticket has one spelling only.
    fn decode(&mut self, segment: &str) -> Option<&[u8]> {
        let len = URL_SAFE_NO_PAD.decoded_length(segment.as_bytes()).ok()?;
        let buffer = self.bytes.get_mut(..len)?;
        URL_SAFE_NO_PAD.decode(segment.as_bytes(), buffer.as_out()).ok().map(|bytes| &*bytes)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch")
    }
}

/// What an accepted ticket says. Its `Debug` names nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket<'a> {
    /// `sub`: who may claim, fit for [`crate::domain::ids::PersonId`].
    pub person: Cow<'a, str>,
    /// `exp`: when the ticket ends, leeway not included.
    pub expires_at_ms: UnixMs,
    /// `jti`: the ticket's own id.
    pub ticket_id: Option<Cow<'a, str>>,
    /// `dev`: a hash of the person's device.
    pub device: Option<Cow<'a, str>>,
    /// `region`: where the person is at home.
    pub region: Option<Cow<'a, str>>,
}

impl fmt::Debug for Ticket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("expires_at_ms", &self.expires_at_ms).finish_non_exhaustive()
    }
}

/// Checks tickets. Reads nothing but what it was made with, so that threads may share one.
pub struct TicketVerifier {
    keys: Box<[PreparedKey]>,
    leeway_ms: i64,
}

struct PreparedKey {
    kid: Box<str>,
    algorithm: Algorithm,
    check: Check,
    /// The header segments that JWT libraries write for this key; a ticket with one of them needs no parsing.
    usual_headers: Box<[Box<str>]>,
}

/// How a key's signatures are checked.
enum Check {
    /// HMAC with both key blocks already hashed: a clone saves two of a ticket's compressions.
    Mac(Hmac<Sha256>),
    /// Some 50 µs a ticket, which is why it is not the default.
    Ed25519(UnparsedPublicKey<PublicKey>),
}

impl fmt::Debug for TicketVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketVerifier")
            .field("kids", &self.keys.iter().map(|key| &key.kid).collect::<Vec<_>>())
            .field("leeway_ms", &self.leeway_ms)
            .finish()
    }
}

impl PreparedKey {
    fn new(key: &TicketKey) -> Self {
        let check = if let Some(public) = key.public() {
            Check::Ed25519(UnparsedPublicKey::new(&ED25519, *public))
        } else {
            let secret = key.secret().map_or(&[][..], |secret| secret.bytes());
            #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
            let mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of every length");
            Check::Mac(mac)
        };
        let usual_headers = usual_headers(key.kid(), key.algorithm());
        Self { kid: key.kid().into(), algorithm: key.algorithm(), check, usual_headers }
    }

    /// Whether `signature` belongs to `signed`; a MAC is compared in constant time.
    fn signed(&self, signed: &str, signature: &str) -> bool {
        match &self.check {
            Check::Mac(mac) => exactly::<MAC_BYTES>(signature)
                .is_some_and(|given| mac.clone().chain_update(signed).verify_slice(&given).is_ok()),
            Check::Ed25519(public) => exactly::<ED25519_BYTES>(signature)
                .is_some_and(|given| public.verify(signed.as_bytes(), &given).is_ok()),
        }
    }
}

/// The bytes that a segment stands for, if it has as many and is spelled in the one right way.
fn exactly<const N: usize>(segment: &str) -> Option<[u8; N]> {
    let mut bytes = [0_u8; N];
    let fits = URL_SAFE_NO_PAD.decoded_length(segment.as_bytes()).is_ok_and(|len| len == N);
    (fits && URL_SAFE_NO_PAD.decode(segment.as_bytes(), bytes[..].as_out()).is_ok()).then_some(bytes)
}

/// The compact headers with `alg`, `kid` and, mostly, `typ`, in every order.
fn usual_headers(kid: &str, algorithm: Algorithm) -> Box<[Box<str>]> {
    let alg = format!(r#""alg":"{algorithm}""#);
    let kid = format!(r#""kid":"{kid}""#);
    let typ = r#""typ":"JWT""#;
    let (alg, kid) = (alg.as_str(), kid.as_str());
    let orders: [&[&str]; 8] = [
        &[typ, alg, kid],
        &[alg, typ, kid],
        &[alg, kid, typ],
        &[kid, alg, typ],
        &[kid, typ, alg],
        &[typ, kid, alg],
        &[alg, kid],
        &[kid, alg],
    ];
    orders
        .iter()
        .map(|members| BASE64URL_NOPAD.encode(format!("{{{}}}", members.join(",")).as_bytes()).into())
        .collect()
}

impl TicketVerifier {
    /// Prepares every key of `keys`. `leeway_ms` forgives that much between the minter's clock and this one,
    /// at both ends of a ticket's life; a negative one counts as none.
    #[must_use]
    pub fn new(keys: &KeyFile, leeway_ms: i64) -> Self {
        Self { keys: keys.keys().iter().map(PreparedKey::new).collect(), leeway_ms: leeway_ms.max(0) }
    }

    /// Checks `token` for a claim in `drop` at `now_ms`.
    ///
    /// # Errors
    /// [`TicketRefusal`] names the first thing that is wrong. Claims are judged only when the MAC is right,
    /// so a forged ticket is `ticket_invalid` whatever it says.
    pub fn verify<'a>(
        &self,
        token: &str,
        drop: &str,
        now_ms: UnixMs,
        scratch: &'a mut Scratch,
    ) -> Result<Ticket<'a>, TicketRefusal> {
        self.verify_announcing(token, drop, now_ms, scratch, |_| ())
    }

    /// The same, telling `announce` whom the ticket names *before* it is known to be genuine, so that what will be asked of
    /// that person can be fetched from memory while the MAC is computed. Nothing else may come of it. It is told nothing of a
    /// ticket that names nobody.
    ///
    /// # Errors
    /// Those of [`TicketVerifier::verify`].
    pub fn verify_announcing<'a>(
        &self,
        token: &str,
        drop: &str,
        now_ms: UnixMs,
        scratch: &'a mut Scratch,
        announce: impl FnOnce(&str),
    ) -> Result<Ticket<'a>, TicketRefusal> {
        if token.len() > TICKET_BYTES_MAX {
            return Err(TicketFlaw::TooLong.into());
        }
        let (signed, signature) = rsplit_once(token, b'.').ok_or(TicketFlaw::Segments)?;
        let (header, payload) = split_once(signed, b'.').ok_or(TicketFlaw::Segments)?;
        if memchr(b'.', payload.as_bytes()).is_some() {
            return Err(TicketFlaw::Segments.into());
        }
        let key = self.key_of(header, scratch)?;
        let claims: Option<Claims<'a>> = scratch.decode(payload).and_then(parse_claims);
        if let Some(Text(person)) = claims.as_ref().and_then(|claims| claims.sub.as_ref()) {
            announce(person);
        }
        if !key.signed(signed, signature) {
            return Err(TicketFlaw::Signature.into());
        }
        let claims = claims.ok_or(TicketFlaw::Payload)?;
        self.check_claims(claims, drop, now_ms)
    }

    /// The key that a header segment names, if the header asks for nothing that the key is not for.
    fn key_of(&self, segment: &str, scratch: &mut Scratch) -> Result<&PreparedKey, TicketFlaw> {
        let usual = |key: &&PreparedKey| key.usual_headers.iter().any(|header| **header == *segment);
        if let Some(key) = self.keys.iter().find(usual) {
            return Ok(key);
        }
        let header: Header<'_> = scratch.decode(segment).and_then(parse_object).ok_or(TicketFlaw::Header)?;
        if header.crit.0 {
            return Err(TicketFlaw::Critical);
        }
        if header.typ.is_some_and(|Text(typ)| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(TicketFlaw::Type);
        }
        let Text(kid) = header.kid.ok_or(TicketFlaw::KeyMissing)?;
        let key = self.keys.iter().find(|key| *key.kid == *kid).ok_or(TicketFlaw::KeyUnknown)?;
        if header.alg.is_none_or(|Text(alg)| alg != key.algorithm.name()) {
            return Err(TicketFlaw::Algorithm);
        }
        Ok(key)
    }

    fn check_claims<'a>(
        &self,
        claims: Claims<'a>,
        drop: &str,
        now_ms: UnixMs,
    ) -> Result<Ticket<'a>, TicketRefusal> {
        let Text(person) = claims.sub.ok_or(TicketFlaw::ClaimMissing("sub"))?;
        let Text(ticket_drop) = claims.drop.ok_or(TicketFlaw::ClaimMissing("drop"))?;
        let expires_at_ms = claims.exp.ok_or(TicketFlaw::ClaimMissing("exp"))?.0;
        check_person(&person).map_err(TicketFlaw::Person)?;
        if ticket_drop != drop {
            return Err(TicketFlaw::Drop.into());
        }
        if claims.nbf.is_some_and(|nbf| now_ms.saturating_add(self.leeway_ms) < nbf.0) {
            return Err(TicketFlaw::NotYet.into());
        }
        if now_ms >= expires_at_ms.saturating_add(self.leeway_ms) {
            return Err(TicketRefusal::Expired);
        }
        let text = |Text(text)| text;
        Ok(Ticket {
            person,
            expires_at_ms,
            ticket_id: claims.jti.map(text),
            device: claims.dev.map(text),
            region: claims.region.map(text),
        })
    }
}

/// The ticket in the value of an `Authorization` header.
///
/// # Errors
/// [`TicketRefusal::Missing`] without a header or with an empty ticket, [`TicketFlaw::Scheme`] for anything
/// that is not `Bearer` (in any case) and one ticket.
pub fn bearer(authorization: Option<&[u8]>) -> Result<&str, TicketRefusal> {
    let value = authorization.ok_or(TicketRefusal::Missing)?.trim_ascii();
    if value.is_empty() {
        return Err(TicketRefusal::Missing);
    }
    let value = std::str::from_utf8(value).map_err(|_| TicketFlaw::Scheme)?;
    let (scheme, token) = split_once(value, b' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(TicketFlaw::Scheme.into());
    }
    match token.trim_ascii_start() {
        "" => Err(TicketRefusal::Missing),
        // What is no base64url is refused with the segment that it stands in.
        token if memchr(b' ', token.as_bytes()).is_none() => Ok(token),
        _ => Err(TicketFlaw::Scheme.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_ticket_is_found() {
        assert_eq!(bearer(Some(b"Bearer a.b.c")), Ok("a.b.c"));
        assert_eq!(bearer(Some(b"bearer   a.b.c ")), Ok("a.b.c"));
        for missing in [None, Some(&b""[..]), Some(b"Bearer"), Some(b"Bearer ")] {
            assert_eq!(bearer(missing), Err(TicketRefusal::Missing), "{missing:?}");
        }
        for flawed in [&b"Basic dTpw"[..], b"a.b.c", b"Bearer a.b.c d", b"Bearer \xff", b"Bearer\ta.b.c"] {
            assert_eq!(bearer(Some(flawed)), Err(TicketFlaw::Scheme.into()), "{flawed:?}");
        }
    }

    #[test]
    fn debug_output_names_nobody() {
        let ticket = Ticket {
            person: "310101199003070000".into(),
            expires_at_ms: 5,
            ticket_id: None,
            device: None,
            region: None,
        };
        assert_eq!(format!("{ticket:?}"), "Ticket { expires_at_ms: 5, .. }");
    }
}
