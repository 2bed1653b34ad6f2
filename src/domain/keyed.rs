//! Keys that are derived from one secret, each for one purpose, and the MAC of several fields.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

/// HMAC-SHA-256 with the key that a secret gives for `purpose`: what is signed for one purpose is nothing for another.
#[must_use]
pub fn derived(secret: &[u8], purpose: &[u8]) -> Hmac<Sha256> {
    keyed(&keyed(secret).chain_update(purpose).finalize().into_bytes())
}

/// Adds fields, each after its length: no two lists of fields are one text.
pub fn add_fields(mac: &mut Hmac<Sha256>, fields: &[&str]) {
    for field in fields {
        mac.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(field.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(fields: &[&str]) -> Vec<u8> {
        let mut mac = derived(b"secret", b"purpose");
        add_fields(&mut mac, fields);
        mac.finalize().into_bytes().to_vec()
    }

    #[test]
    fn fields_and_purposes_are_told_apart() {
        assert_eq!(mac(&["ab", "c"]), mac(&["ab", "c"]));
        assert_ne!(mac(&["ab", "c"]), mac(&["a", "bc"]));
        assert_ne!(mac(&["abc"]), mac(&["abc", ""]));
        let other = derived(b"secret", b"another").finalize().into_bytes().to_vec();
        assert_ne!(mac(&[]), other);
    }
}
