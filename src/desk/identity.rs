//! Identity tokens: what the sponsor's login says of a person.
//!
//! Owns the keys that such tokens are checked with and what is believed of a token. The algorithm is fixed by the key,
//! never by the token; the clock is passed in. jsonwebtoken checks the signatures: this is the cold path.

use std::collections::BTreeMap;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use crate::clock::UnixMs;
use crate::limits;

/// The keys of one set, by their names.
pub struct IdentityKeys {
    keys: Vec<(String, Algorithm, DecodingKey)>,
}

impl std::fmt::Debug for IdentityKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(kid, algorithm, _)| (kid, algorithm))).finish()
    }
}

/// Why a set of keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFlaw {
    /// It is not the JSON of a key set, or too long.
    #[error("is no JSON Web Key Set: {0}")]
    Syntax(String),
    /// A key cannot be used.
    #[error("key {kid:?}: {what}")]
    Key {
        /// Its `kid`.
        kid: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There are more keys that sign than are kept.
    #[error("has more than {} keys for signatures", limits::IDENTITY_KEYS_MAX)]
    TooMany,
    /// There is no key that signs.
    #[error("has no key for signatures that has a kid (HS256, RS256, ES256 or EdDSA)")]
    Empty,
}

impl IdentityKeys {
    /// Reads a JSON Web Key Set (RFC 7517). Keys for encryption, and kinds that nothing here is signed with, are passed
    /// over: a set may be everybody's. The algorithm of a key is its `alg`, or the only one of its kind.
    ///
    /// # Errors
    /// [`KeySetFlaw`] names the key and quotes none.
    pub fn read(text: &str) -> Result<Self, KeySetFlaw> {
        if text.len() > limits::KEY_SET_BYTES_MAX {
            return Err(KeySetFlaw::Syntax(format!("it is longer than {} bytes", limits::KEY_SET_BYTES_MAX)));
        }
        // The parser's message could quote a secret: only where it stands is told.
        let set: JwkSet = serde_json::from_str(text).map_err(|error| {
            KeySetFlaw::Syntax(format!("line {} column {}", error.line(), error.column()))
        })?;
        let mut keys: Vec<(String, Algorithm, DecodingKey)> = Vec::new();
        for jwk in &set.keys {
            let Some((kid, algorithm)) = signs(jwk)? else { continue };
            if keys.len() == limits::IDENTITY_KEYS_MAX {
                return Err(KeySetFlaw::TooMany);
            }
            if keys.iter().any(|(other, ..)| *other == kid) {
                return Err(KeySetFlaw::Key { kid, what: "the kid is used twice" });
            }
            let key = DecodingKey::from_jwk(jwk)
                .map_err(|_| KeySetFlaw::Key { kid: kid.clone(), what: "its numbers cannot be read" })?;
            keys.push((kid, algorithm, key));
        }
        if keys.is_empty() { Err(KeySetFlaw::Empty) } else { Ok(Self { keys }) }
    }

    /// Whether there is a key of this name: if not, it may have come since.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|(known, ..)| known == kid)
    }
}

/// Name and algorithm of a key for signatures; nothing for one that is for something else.
fn signs(jwk: &Jwk) -> Result<Option<(String, Algorithm)>, KeySetFlaw> {
    let common = &jwk.common;
    let Some(kid) = common.key_id.clone() else { return Ok(None) };
    if common.public_key_use.as_ref().is_some_and(|what| *what != PublicKeyUse::Signature) {
        return Ok(None);
    }
    let flaw = |what| KeySetFlaw::Key { kid: kid.clone(), what };
    let decoded = |text: &str| data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let of_kind = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let bytes = decoded(&rsa.n).ok_or_else(|| flaw("n is not base64url"))?;
            let bits = bytes.iter().skip_while(|byte| **byte == 0).count() * 8;
            if bits < limits::RSA_BITS_MIN {
                return Err(flaw("an RSA key needs 2048 bits or more"));
            }
            (Algorithm::RS256, KeyAlgorithm::RS256)
        }
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(secret) => {
            let bytes = decoded(&secret.value).ok_or_else(|| flaw("k is not base64url"))?;
            if bytes.len() < limits::SECRET_BYTES_MIN {
                return Err(flaw("a secret needs 32 bytes or more"));
            }
            (Algorithm::HS256, KeyAlgorithm::HS256)
        }
        _ => return Ok(None),
    };
    match common.key_algorithm {
        Some(named) if named != of_kind.1 => Ok(None),
        _ => Ok(Some((kid, of_kind.0))),
    }
}

/// What has to be right beside the signature.
#[derive(Debug, Clone, Default)]
pub struct IdentityRules {
    /// `iss` must be this; anything where it is empty.
    pub issuer: String,
    /// `aud` must name this; anything where it is empty.
    pub audience: String,
    /// How much another machine's clock may differ.
    pub leeway_ms: i64,
}

/// What an accepted token says of a person. Its `Debug` names nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// `iss`, or nothing.
    pub issuer: String,
    /// `sub`: the account.
    pub subject: String,
    /// `dims`: what else the person is known by, hashed by the sponsor: `phone`, `id_card`, `payment`, `device`, `login`.
    pub dimensions: BTreeMap<String, String>,
    /// `region`: where the person is at home, a code of GB/T 2260.
    pub region: Option<String>,
    /// `account_since`: how old the account is.
    pub account_since_ms: Option<UnixMs>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// Why an identity is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityRefusal {
    /// There is none.
    #[error("an identity token is needed")]
    Missing,
    /// It has ended.
    #[error("the identity token has expired")]
    Expired,
    /// Its key is not known (now).
    #[error("the identity token's key is not known")]
    UnknownKey,
    /// Anything else.
    #[error("the identity token is not valid: {0}")]
    Invalid(&'static str),
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    iss: Option<String>,
    sub: String,
    #[serde(default)]
    aud: Option<Audience>,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    dims: BTreeMap<String, String>,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    account_since: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

/// The `kid` that a token names, before anything of it is believed: to see whether the key has to be fetched.
#[must_use]
pub fn kid_of(token: &str) -> Option<String> {
    if token.len() > limits::IDENTITY_BYTES_MAX {
        return None;
    }
    jsonwebtoken::decode_header(token).ok()?.kid
}

/// Checks a token at `now_ms`.
///
/// # Errors
/// [`IdentityRefusal`] names the first thing that is wrong; claims are looked at only when the signature is right.
pub fn check(
    token: &str,
    keys: &IdentityKeys,
    rules: &IdentityRules,
    now_ms: UnixMs,
) -> Result<Identity, IdentityRefusal> {
    use IdentityRefusal::{Expired, Invalid, Missing, UnknownKey};
    if token.is_empty() {
        return Err(Missing);
    }
    if token.len() > limits::IDENTITY_BYTES_MAX {
        return Err(Invalid("it is too long"));
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Invalid("its header cannot be read"))?;
    if header.crit.is_some() {
        return Err(Invalid("its header asks for an extension"));
    }
    let kid = header.kid.ok_or(Invalid("its header has no kid"))?;
    let (_, algorithm, key) = keys.keys.iter().find(|(known, ..)| *known == kid).ok_or(UnknownKey)?;
    if header.alg != *algorithm {
        return Err(Invalid("its algorithm is not the key's"));
    }
    let mut signature_alone = Validation::new(*algorithm);
    signature_alone.required_spec_claims.clear();
    signature_alone.validate_exp = false;
    signature_alone.validate_nbf = false;
    signature_alone.validate_aud = false;
    let claims = jsonwebtoken::decode::<Claims>(token, key, &signature_alone).map_err(|error| {
        Invalid(match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => "its signature is wrong",
            _ => "its claims cannot be read",
        })
    })?;
    believe(claims.claims, rules, now_ms, Expired)
}

fn believe(
    claims: Claims,
    rules: &IdentityRules,
    now_ms: UnixMs,
    expired: IdentityRefusal,
) -> Result<Identity, IdentityRefusal> {
    use IdentityRefusal::Invalid;
    let exp_ms = millis(claims.exp).ok_or(Invalid("exp is no date"))?;
    if now_ms >= exp_ms.saturating_add(rules.leeway_ms) {
        return Err(expired);
    }
    if let Some(nbf) = claims.nbf {
        let nbf_ms = millis(nbf).ok_or(Invalid("nbf is no date"))?;
        if now_ms.saturating_add(rules.leeway_ms) < nbf_ms {
            return Err(Invalid("it is not valid yet"));
        }
    }
    let issuer = claims.iss.unwrap_or_default();
    if !rules.issuer.is_empty() && issuer != rules.issuer {
        return Err(Invalid("it is another issuer's"));
    }
    let for_us = claims.aud.as_ref().is_some_and(|audience| audience.names(&rules.audience));
    if !rules.audience.is_empty() && !for_us {
        return Err(Invalid("it is for another audience"));
    }
    if claims.sub.is_empty() || claims.sub.len() > limits::IDENTITY_TEXT_BYTES_MAX {
        return Err(Invalid("sub must have 1 to 256 bytes"));
    }
    let fits = |(name, value): (&String, &String)| {
        let named =
            !name.is_empty() && name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        named && !value.is_empty() && value.len() <= limits::IDENTITY_TEXT_BYTES_MAX
    };
    if claims.dims.len() > limits::DIMENSIONS_MAX || !claims.dims.iter().all(fits) {
        return Err(Invalid("dims must be up to 8 names with texts of 1 to 256 bytes"));
    }
    let region = claims.region.filter(|region| !region.is_empty());
    if region
        .as_ref()
        .is_some_and(|region| region.len() > 16 || !region.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        return Err(Invalid("region must be a code of up to 16 letters and digits"));
    }
    let account_since_ms = match claims.account_since {
        None => None,
        Some(since) => Some(millis(since).ok_or(Invalid("account_since is no date"))?),
    };
    Ok(Identity { issuer, subject: claims.sub, dimensions: claims.dims, region, account_since_ms })
}

/// A date of RFC 7519 in milliseconds, from 1970 to 9999.
fn millis(seconds: f64) -> Option<UnixMs> {
    #[expect(clippy::cast_possible_truncation, reason = "checked: between 0 and the year 9999")]
    (0.0..=253_402_300_799.0).contains(&seconds).then_some((seconds * 1_000.0).floor() as UnixMs)
}

#[cfg(test)]
mod tests;
