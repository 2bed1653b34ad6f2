//! Who may do what: roles, permissions and the one table between them; and API keys.
//!
//! Owns the words of both and the form of a key. To add a permission, add a row to the table: code, tests and the page
//! in `docs/BACKOFFICE.md` follow it.

use std::fmt;

use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::limits;

/// Whose work a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Holds the admin token of the service. May do everything; no key has this role.
    Admin,
    /// Drafts campaigns, enters merchants, keeps a rush going.
    Operator,
    /// Approves what operators drafted or entered.
    Approver,
    /// Sees the money and closes the books.
    Finance,
    /// Sees everything and changes nothing.
    Auditor,
    /// Helps the people who claim.
    Support,
    /// A merchant's till: redeems vouchers for that merchant.
    Merchant,
}

impl Role {
    /// The roles that a key can have.
    pub const OF_KEYS: [Self; 6] =
        [Self::Operator, Self::Approver, Self::Finance, Self::Auditor, Self::Support, Self::Merchant];

    /// The word of the API and of the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Finance => "finance",
            Self::Auditor => "auditor",
            Self::Support => "support",
            Self::Merchant => "merchant",
        }
    }

    /// Whether this role may do it.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        self == Self::Admin || permission.roles().contains(&self)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = Self::OF_KEYS.map(Self::as_str).join(", ");
        let found = Self::OF_KEYS.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("must be one of {words}"))
    }
}

macro_rules! permissions {
    ($($(#[doc = $doc:literal])* $variant:ident = $word:literal => [$($role:ident),* $(,)?],)*) => {
        /// Something that a role may do, or may not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Who has it, beside the admin token.
            #[must_use]
            pub const fn roles(self) -> &'static [Role] {
                match self { $(Self::$variant => &[$(Role::$role),*]),* }
            }

            /// What it is, in a sentence.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii()),* }
            }
        }
    };
}

permissions! {
    /// See campaigns and their drafts.
    ReadCampaigns = "read_campaigns" => [Operator, Approver, Finance, Auditor, Support],
    /// Draft campaigns, and copy them into drafts.
    DraftCampaigns = "draft_campaigns" => [Operator],
    /// Approve what somebody else drafted, which applies it.
    ApproveCampaigns = "approve_campaigns" => [Approver],
    /// End campaigns, for good.
    EndCampaigns = "end_campaigns" => [Approver],
    /// Apply a campaign file in one step, where the configuration lets anybody.
    ApplyCampaigns = "apply_campaigns" => [Operator],
    /// Pause and resume campaigns.
    SwitchCampaigns = "switch_campaigns" => [Operator, Approver],
    /// See codes that people showed and no store knows.
    ReadReceipts = "read_receipts" => [Operator, Approver, Finance, Auditor, Support],
    /// Honour such a code, or find it void.
    SettleReceipts = "settle_receipts" => [Operator, Support],
    /// See payments that came for a unit which could not be had any more.
    ReadLatePayments = "read_late_payments" => [Operator, Finance, Auditor, Support],
    /// Note that such a payment was refunded.
    RefundLatePayments = "refund_late_payments" => [Finance],
    /// See whom staff keep out.
    ReadBans = "read_bans" => [Operator, Approver, Auditor, Support],
    /// Keep a person out, and let them in again.
    Ban = "ban" => [Operator, Support],
    /// See what Redis has lost.
    ReadRecovery = "read_recovery" => [Operator, Approver, Auditor],
    /// Have what Redis has lost made anew from the ledger.
    Recover = "recover" => [Operator],
    /// See journal entries that were put in quarantine.
    ReadQuarantine = "read_quarantine" => [Operator, Approver, Auditor],
    /// Say what was found of such an entry, which settles it.
    SettleQuarantine = "settle_quarantine" => [Approver],
    /// See merchants and shops.
    ReadMerchants = "read_merchants" => [Operator, Approver, Finance, Auditor, Support],
    /// Enter merchants and shops from files.
    EnterMerchants = "enter_merchants" => [Operator],
    /// Review what somebody else entered of merchants, and activate them.
    ReviewMerchants = "review_merchants" => [Approver],
    /// Suspend merchants.
    SuspendMerchants = "suspend_merchants" => [Operator, Approver],
    /// See vouchers with everything that has happened to them.
    ReadVouchers = "read_vouchers" => [Operator, Approver, Finance, Auditor, Support],
    /// Hold vouchers for review.
    FreezeVouchers = "freeze_vouchers" => [Operator, Support],
    /// Release vouchers, and declare them worthless.
    JudgeVouchers = "judge_vouchers" => [Approver, Finance],
    /// Take the money of a redemption from its merchant.
    RecoverVouchers = "recover_vouchers" => [Finance],
    /// See the books of campaigns.
    ReadBooks = "read_books" => [Operator, Approver, Finance, Auditor],
    /// Note payments to merchants and by them, move money between accounts, and reverse what was noted.
    MoveMoney = "move_money" => [Finance],
    /// Close periods of the books.
    CloseBooks = "close_books" => [Finance],
    /// See who has keys.
    ReadKeys = "read_keys" => [Operator, Approver, Auditor],
    /// Add, rotate and revoke keys of merchants.
    ManageMerchantKeys = "manage_merchant_keys" => [Operator],
    /// Add, rotate and revoke keys of every role.
    ManageKeys = "manage_keys" => [],
}

/// Who does something, as the audit chain names them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The key's id; nothing for the admin token.
    pub key: Option<String>,
    /// The person or system that the key was made for.
    pub name: String,
}

impl Actor {
    /// Whoever holds the admin token.
    #[must_use]
    pub fn admin_token() -> Self {
        Self { key: None, name: "admin token".to_owned() }
    }

    /// Whether two actors are one person, as far as can be told: the same key, or keys that were made for the same name,
    /// whatever its case, and its blanks and signs.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let letters = |name: &str| -> String {
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
        };
        let same_key = self.key.is_some() && self.key == other.key;
        same_key || letters(&self.name) == letters(&other.name)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{} (crk_{key})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Whether `name` can be that of a key's holder.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = !name.trim().is_empty() && name.len() <= limits::KEY_NAME_BYTES_MAX;
    if fits && !name.chars().any(char::is_control) && name.trim() == name {
        return Ok(());
    }
    let max = limits::KEY_NAME_BYTES_MAX;
    Err(format!("a name must have 1 to {max} bytes, no control characters and no blanks around it"))
}

const PREFIX: &str = "crk_";
const ID_BYTES: usize = 5;
const SECRET_BYTES: usize = 32;

/// The two parts of a key, `crk_<id>_<secret>`: the id is public, the secret has 256 random bits.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText {
    id: String,
    secret: String,
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyText").field("id", &self.id).finish_non_exhaustive()
    }
}

impl KeyText {
    /// A new secret under a new id.
    #[must_use]
    pub fn random() -> Self {
        Self::random_for(HEXLOWER.encode(&rand::random::<[u8; ID_BYTES]>()))
    }

    /// A new secret under a known id.
    #[must_use]
    pub fn random_for(id: String) -> Self {
        Self { id, secret: HEXLOWER.encode(&rand::random::<[u8; SECRET_BYTES]>()) }
    }

    /// Reads a key; nothing when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_hex = |part: &str, bytes: usize| {
            part.len() == bytes * 2 && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        (is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES))
            .then(|| Self { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole key, for the one time that it is shown.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, self.secret)
    }

    /// What is stored in its place. The secret has as many random bits as the hash, so no slow hash is needed.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        let digest = Sha256::new().chain_update(b"claimrush key\0").chain_update(&self.id);
        KeyHash(HEXLOWER.encode(&digest.chain_update(b"\0").chain_update(&self.secret).finalize()))
    }
}

/// A key's hash, lower-case hex.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(String);

impl PartialEq for KeyHash {
    /// Takes the same time wherever two hashes differ.
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.0.as_bytes().ct_eq(other.0.as_bytes()))
    }
}

impl Eq for KeyHash {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_others_are_not() {
        let key = KeyText::random();
        let text = key.expose();
        let read = KeyText::parse(&text).unwrap();
        assert_eq!((read.id(), read.hash()), (key.id(), key.hash()));
        let other = KeyText::random_for(key.id().to_owned());
        assert_ne!(other.hash(), key.hash());
        for wrong in
            ["", "crk_", "crk_ab_cd", &text.to_uppercase(), &text[1..], &format!("{text}0"), &text[..70]]
        {
            assert!(KeyText::parse(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{key:?}").contains(&text[15..]), "a secret is not shown");
    }

    #[test]
    fn the_auditor_changes_nothing_and_the_admin_token_may_all() {
        for permission in Permission::ALL.iter().copied() {
            let reads = permission.as_str().starts_with("read_");
            assert!(reads || !Role::Auditor.may(permission), "{permission:?}");
            assert!(!reads || Role::Auditor.may(permission), "{permission:?}");
            assert!(Role::Admin.may(permission));
            assert!(!permission.describe().is_empty());
            assert!(!permission.roles().contains(&Role::Admin), "it has all without being named");
        }
    }

    #[test]
    fn keys_of_one_name_are_one_person() {
        let actor =
            |key: Option<&str>, name: &str| Actor { key: key.map(str::to_owned), name: name.to_owned() };
        let ann = actor(Some("01"), "Ann");
        assert!(ann.is_same_as(&actor(Some("02"), "ann")));
        let wang = actor(Some("03"), "Wang Li");
        for same in ["Wang  Li", "WANG\u{3000}LI", "wang-li", "Wang\u{200b} Li", "WangLi"] {
            assert!(wang.is_same_as(&actor(Some("04"), same)), "{same:?}");
        }
        assert!(!wang.is_same_as(&actor(Some("04"), "Wang Lin")));
        assert!(!actor(Some("03"), "王丽").is_same_as(&actor(Some("04"), "王莉")));
        assert!(ann.is_same_as(&actor(Some("01"), "Bob")));
        assert!(!ann.is_same_as(&actor(Some("02"), "Bob")));
        assert!(Actor::admin_token().is_same_as(&Actor::admin_token()));
        assert_eq!(ann.to_string(), "Ann (crk_01)");
    }

    #[test]
    fn a_name_has_no_surprises() {
        assert!(check_name("王 掌柜").is_ok());
        for wrong in ["", " ", " a", "a\n", &"x".repeat(limits::KEY_NAME_BYTES_MAX + 1)] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
