//! The names of all Redis keys. No other file builds one.
//!
//! Every key of a shard carries the tag `{sN}`, so that Redis Cluster keeps the shard in one slot and a script
//! may touch all of it.

use crate::domain::ids::{CampaignId, DropId, Shard};

/// The hash of a drop in a shard: epoch, state, window, limit, stock and counters.
#[must_use]
pub fn drop(shard: Shard, drop: &DropId) -> String {
    named(shard, "drop:", drop.as_str())
}

/// The hash of a drop's holders in a shard: person → claim records.
#[must_use]
pub fn holders(shard: Shard, drop: &DropId) -> String {
    named(shard, "holders:", drop.as_str())
}

/// The stream in which a shard's grants and returns are recorded.
#[must_use]
pub fn journal(shard: Shard) -> String {
    named(shard, "journal", "")
}

/// The key that is written before replicas are waited for. What stands in it tells nothing.
#[must_use]
pub fn fence(shard: Shard) -> String {
    named(shard, "fence", "")
}

/// The hash of what persons of a campaign are known by, as far as the ledger has it: keyed hash → person.
#[must_use]
pub fn bonds(shard: Shard, campaign: &CampaignId) -> String {
    named(shard, "bonds:", campaign.as_str())
}

/// That a challenge was spent. It ends with the challenge.
#[must_use]
pub fn spent(shard: Shard, challenge: &[u8; 16]) -> String {
    named(shard, "spent:", &data_encoding::HEXLOWER.encode(challenge))
}

fn named(shard: Shard, kind: &str, name: &str) -> String {
    format!("cr:{{{shard}}}:{kind}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_shard_share_its_tag() {
        let id = DropId::new("caiyun-100-25").expect("well formed");
        assert_eq!(drop(Shard(0), &id), "cr:{s0}:drop:caiyun-100-25");
        assert_eq!(holders(Shard(12), &id), "cr:{s12}:holders:caiyun-100-25");
        assert_eq!(journal(Shard(0)), "cr:{s0}:journal");
        assert_eq!(fence(Shard(3)), "cr:{s3}:fence");
        assert_eq!(spent(Shard(0), &[0xab; 16]), format!("cr:{{s0}}:spent:{}", "ab".repeat(16)));
    }
}
