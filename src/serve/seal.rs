//! The seal: that the ledger has everything, from an orderly stop of a service with a Redis of its own to its next start.
//!
//! The ledger has the seal, and the data folder says up to where the ledger went when it was sealed. A ledger that was brought
//! back from a backup of a stopped service is sealed as well, and lacks what came later: the folder knows better.

use std::sync::Arc;

use crate::backoffice::campaigns::Campaigns;
use crate::datadir::DataDir;
use crate::domain::ids::Shard;
use crate::exit::Failure;
use crate::ledger::Ledger;

/// Makes what Redis has lost anew where the seal (or a drop that was never open) proves that it may be. Nobody can be granted anything
/// yet, so the seal stays as it is: a start that comes to nothing behind this leaves it to the next one.
pub(super) async fn use_it(
    campaigns: &Campaigns,
    ledger: &dyn Ledger,
    folder: &DataDir,
    own_redis: bool,
) -> Result<(), Failure> {
    let counts = own_redis && folder.seal() == Some(ledger.position(Shard::FIRST).await?.to_string());
    campaigns.recover_proven(counts).await?;
    Ok(())
}

/// Breaks it: from here on somebody may be granted something that the ledger does not have yet.
pub(super) async fn break_it(ledger: &dyn Ledger, folder: &DataDir) -> Result<(), Failure> {
    folder.break_seal()?;
    Ok(ledger.unseal(Shard::FIRST).await?)
}

/// Who seals the shard at the end.
pub(super) struct Sealer {
    pub(super) campaigns: Arc<Campaigns>,
    pub(super) folder: DataDir,
}

impl Sealer {
    /// Seals it if the ledger has everything.
    pub(super) async fn seal(self) {
        let end = match self.campaigns.seal().await {
            Ok(end) => end,
            Err(error) => return tracing::warn!(%error, "the shard is not sealed"),
        };
        tracing::info!(sealed = end.is_some(), "the ledger was asked whether it has everything");
        if let Some(end) = end
            && let Err(error) = self.folder.write_seal(&end.to_string())
        {
            tracing::warn!(%error, "the shard is not sealed");
        }
    }
}
