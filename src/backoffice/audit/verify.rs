//! `claimrush audit verify`: the audit chain alone, without Redis; from a record on, and against a head that was kept
//! elsewhere.
//!
//! Reads alone. The whole chain is compared with every row that it covers; from a later record on, only each record
//! with the one before.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;

use super::AuditError;
use super::args::AuditVerifyArgs;
use crate::config::Config;
use crate::datadir::DataDir;
use crate::exit::{Exit, Failure, print};
use crate::ledger::chain::{ORIGIN, Walk};
use crate::ledger::{ChainBreak, ChainHead, Ledger, LedgerError, open};
use crate::limits;

/// Verifies and prints; [`Exit::Failed`] when the chain is broken, or does not contain the kept head.
///
/// # Errors
/// [`Failure`] with what could not be reached or read.
pub async fn run(config: &Config, args: &AuditVerifyArgs) -> Result<Exit, Failure> {
    let folder = DataDir::look_at(&config.data.dir, config.ledger.is_in_data_dir())?;
    // A service that runs knows best where its ledger is.
    let place = folder.run_info().map_or_else(
        |_| config.ledger.clone(),
        |info| crate::config::LedgerConfig { url: info.ledger_url, ..config.ledger.clone() },
    );
    let ledger = open::open_read_only(&place, folder.path()).await?;
    let (ok, text) = verify(ledger.as_ref(), args).await.map_err(AuditError::from)?;
    print(&text)?;
    Ok(if ok { Exit::Ok } else { Exit::Failed })
}

/// Whether all is well, and what to say.
async fn verify(ledger: &dyn Ledger, args: &AuditVerifyArgs) -> Result<(bool, String), LedgerError> {
    let from = args.from.unwrap_or(1);
    let verified = if from <= 1 { ledger.verify_chain().await? } else { walk(ledger, from).await? };
    let mut ok = verified.is_ok();
    let mut text = match &verified {
        Ok(head) => {
            let rows = if from <= 1 { " and every row that they cover" } else { "" };
            format!("records {from} to {} hold{rows}\nhead {}\n", head.length, head.hash)
        }
        Err(broken) => format!("{broken}\n"),
    };
    if let Some(kept) = &args.head {
        match record_of(ledger, kept).await? {
            Some(0) => text.push_str("the kept head is from before the first record\n"),
            Some(number) => {
                let _ = writeln!(text, "the kept head is that of record {number}");
            }
            None => {
                ok = false;
                let _ = writeln!(text, "the chain does not contain the head {kept}: it was cut or rewritten");
            }
        }
    }
    Ok((ok, text))
}

/// The number of the record that has a head which was kept; 0 for the head of a chain that had none yet, with which every
/// chain begins.
pub(super) async fn record_of(ledger: &dyn Ledger, kept: &str) -> Result<Option<u64>, LedgerError> {
    let kept = kept.to_lowercase();
    if kept == HEXLOWER.encode(&ORIGIN) {
        return Ok(Some(0));
    }
    ledger.chain_record(&kept).await
}

/// Each record with the one before, from number `from` on.
async fn walk(ledger: &dyn Ledger, from: u64) -> Result<Result<ChainHead, ChainBreak>, LedgerError> {
    let page = |after| ledger.audit_records(after, limits::AUDIT_RECORDS_PAGE);
    let Some(before) = page(from.saturating_sub(2)).await?.into_iter().next() else {
        let what = format!("there is no record {}", from.saturating_sub(1));
        return Ok(Err(ChainBreak { index: from.saturating_sub(1), what }));
    };
    let mut walk = Walk::after(&before);
    loop {
        let records = page(walk.length()).await?;
        if records.is_empty() {
            return Ok(Ok(walk.head()));
        }
        for record in &records {
            if let Err(broken) = walk.step(record) {
                return Ok(Err(broken));
            }
        }
    }
}
