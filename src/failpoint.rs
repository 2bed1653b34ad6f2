//! Fail points: named steps at which a test can have the process killed, as by `kill -9`.
//!
//! Owns the names of the steps and what happens there. Only in builds with debug assertions or with the cargo feature
//! `failpoints`; in any other, [`Step::reached`] is nothing. Nobody sets `FAILPOINT` but a test:
//!
//! ```text
//!  FAILPOINT=drain.committed      killed when the step is reached for the first time
//!  FAILPOINT=drain.committed:3    … for the third time, all threads counted together
//! ```

/// A step of the way from a claim to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A batch was taken from the queue and is not sent yet.
    BatchTaken,
    /// The script has run, and nobody has been told.
    BatchCalled,
    /// Everybody's answer is decided; connections may not have written it yet.
    BatchAnswered,
    /// Redis does not know the script, and it is not loaded yet.
    ScriptMissing,
    /// The script was loaded, and not called again yet.
    ScriptLoaded,
    /// A group of entries was read from the journal.
    DrainRead,
    /// The group's rows are written in an open transaction.
    DrainWritten,
    /// The transaction is complete but for its commit.
    DrainTestified,
    /// The transaction is committed, and the journal not trimmed.
    DrainCommitted,
    /// The journal is trimmed.
    DrainTrimmed,
    /// A lost drop stands in Redis empty, under its new epoch.
    RecoveryBegun,
    /// Some of its claims are there.
    RecoveryHeld,
    /// All are, and the ledger knows the new epoch; Redis does not say that it is complete.
    RecoveryNoted,
    /// It is complete, and nobody may claim yet.
    RecoveryFinished,
    /// What a batch of voucher steps has to know was read.
    LifeRead,
    /// The batch's rows are written in an open transaction.
    LifeWritten,
    /// The transaction is complete but for its commit.
    LifeTestified,
    /// The transaction is committed, and nobody has been told.
    LifeCommitted,
    /// A page of expired vouchers is written, and the transaction not committed.
    ExpiryWritten,
    /// The ledger has given holds up, and no unit is back in stock.
    HoldDecided,
    /// A unit is back in stock, and the journal says so.
    HoldReturned,
}

impl Step {
    /// Every step, in the order of the way.
    pub const ALL: [Self; 21] = [
        Self::BatchTaken,
        Self::BatchCalled,
        Self::BatchAnswered,
        Self::ScriptMissing,
        Self::ScriptLoaded,
        Self::DrainRead,
        Self::DrainWritten,
        Self::DrainTestified,
        Self::DrainCommitted,
        Self::DrainTrimmed,
        Self::RecoveryBegun,
        Self::RecoveryHeld,
        Self::RecoveryNoted,
        Self::RecoveryFinished,
        Self::LifeRead,
        Self::LifeWritten,
        Self::LifeTestified,
        Self::LifeCommitted,
        Self::ExpiryWritten,
        Self::HoldDecided,
        Self::HoldReturned,
    ];

    /// Its name in `FAILPOINT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BatchTaken => "batch.taken",
            Self::BatchCalled => "batch.called",
            Self::BatchAnswered => "batch.answered",
            Self::ScriptMissing => "script.missing",
            Self::ScriptLoaded => "script.loaded",
            Self::DrainRead => "drain.read",
            Self::DrainWritten => "drain.written",
            Self::DrainTestified => "drain.testified",
            Self::DrainCommitted => "drain.committed",
            Self::DrainTrimmed => "drain.trimmed",
            Self::RecoveryBegun => "recovery.begun",
            Self::RecoveryHeld => "recovery.held",
            Self::RecoveryNoted => "recovery.noted",
            Self::RecoveryFinished => "recovery.finished",
            Self::LifeRead => "life.read",
            Self::LifeWritten => "life.written",
            Self::LifeTestified => "life.testified",
            Self::LifeCommitted => "life.committed",
            Self::ExpiryWritten => "expiry.written",
            Self::HoldDecided => "hold.decided",
            Self::HoldReturned => "hold.returned",
        }
    }

    /// Kills the process if a test wants it to end here.
    #[inline]
    pub fn reached(self) {
        #[cfg(any(debug_assertions, feature = "failpoints"))]
        armed::reached(self);
    }
}

#[cfg(any(debug_assertions, feature = "failpoints"))]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use super::Step;

    /// The step at which to end, and how often it has to be reached before.
    struct Fuse {
        step: Step,
        left: AtomicU64,
    }

    static FUSE: LazyLock<Option<Fuse>> = LazyLock::new(|| {
        let text = std::env::var("FAILPOINT").ok()?;
        let fuse = parse(&text);
        if fuse.is_none() {
            tracing::error!("FAILPOINT={text} names no step, or not how often; nothing is killed");
        }
        fuse.map(|(step, count)| Fuse { step, left: AtomicU64::new(count) })
    });

    fn parse(text: &str) -> Option<(Step, u64)> {
        let (name, count) = text.split_once(':').unwrap_or((text, "1"));
        let step = Step::ALL.into_iter().find(|step| step.name() == name)?;
        Some((step, count.parse().ok().filter(|count| *count > 0)?))
    }

    pub(super) fn reached(step: Step) {
        let Some(fuse) = FUSE.as_ref().filter(|fuse| fuse.step == step) else { return };
        // At 1 it is this one; below, somebody else's kill is on its way.
        if fuse.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // It does not return: the signal cannot be caught, and is delivered before the call is over.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::{Step, parse};

        #[test]
        fn a_step_is_named_with_its_count() {
            for step in Step::ALL {
                assert_eq!(parse(step.name()), Some((step, 1)));
                assert_eq!(parse(&format!("{}:12", step.name())), Some((step, 12)));
            }
            for wrong in ["", "drain", "drain.read:", "drain.read:0", "drain.read:x", "drain.read:1:2"] {
                assert_eq!(parse(wrong), None, "{wrong}");
            }
        }
    }
}
