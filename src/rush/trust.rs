//! Which server may be asked for claims: the one whose content was last compared with what is known of it.
//!
//! A Redis that was started again, failed over or swapped may have lost what it had, and could give it away a second
//! time before anybody looks. So a lane sends claims to no server but the trusted one, which it knows by its run id:
//! another with every start, and another on every server. Knows no Redis; [`crate::backoffice::campaigns`] compares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

/// The trusted server of one shard, and whether a comparison is asked for.
#[derive(Debug, Default)]
pub struct Trust {
    run_id: ArcSwapOption<String>,
    /// A lane has met another server.
    doubted: AtomicBool,
    asked: Notify,
}

impl Trust {
    /// Whether the server with this run id is the one that was compared last.
    #[must_use]
    pub fn is_for(&self, run_id: &str) -> bool {
        self.run_id.load().as_ref().is_some_and(|trusted| **trusted == *run_id)
    }

    /// The server that was compared last.
    #[must_use]
    pub fn run_id(&self) -> Option<Arc<String>> {
        self.run_id.load_full()
    }

    /// Whether a comparison was asked for and has not come to its end.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Acquire)
    }

    /// Asks for a comparison. Asking twice before it begins is asking once.
    pub fn ask(&self) {
        self.doubted.store(true, Ordering::Release);
        self.asked.notify_one();
    }

    /// Waits until a comparison is asked for that nobody has made meanwhile.
    pub async fn asked(&self) {
        loop {
            self.asked.notified().await;
            if self.is_doubted() {
                return;
            }
        }
    }

    /// The server with this run id is not to be given claims any more, if it was: a comparison is asked for.
    pub fn withdraw(&self, run_id: &str) {
        if self.is_for(run_id) {
            self.run_id.store(None);
            self.ask();
        }
    }

    /// The server with this run id was compared: what it has, and what it may not sell, is known.
    pub fn set(&self, run_id: &str) {
        if !self.is_for(run_id) {
            self.run_id.store(Some(Arc::new(run_id.to_owned())));
        }
        self.doubted.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    /// Whether whoever makes the comparisons would begin one now.
    fn is_asked(trust: &Trust) -> bool {
        pin!(trust.asked()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn only_the_server_that_was_compared_last_is_trusted() {
        let trust = Trust::default();
        assert!(!trust.is_for("a") && !trust.is_for(""), "nobody at first");
        assert_eq!(trust.run_id(), None);
        trust.set("a");
        assert!(trust.is_for("a") && !trust.is_for("b"));
        trust.set("b");
        assert!(trust.is_for("b") && !trust.is_for("a"), "the one before is not trusted any more");
        assert_eq!(trust.run_id().as_deref().map(String::as_str), Some("b"));
    }

    #[test]
    fn one_that_is_not_fit_any_more_is_compared_again() {
        let trust = Trust::default();
        trust.set("a");
        trust.withdraw("b");
        assert!(trust.is_for("a") && !trust.is_doubted(), "another one");
        trust.withdraw("a");
        assert!(!trust.is_for("a") && trust.is_doubted() && is_asked(&trust));
        trust.withdraw("a");
        assert!(!is_asked(&trust), "asked once");
    }

    #[test]
    fn a_comparison_that_came_meanwhile_is_not_asked_for_again() {
        let trust = Trust::default();
        trust.ask();
        trust.ask();
        assert!(trust.is_doubted());
        assert!(is_asked(&trust));
        trust.ask();
        trust.set("a");
        assert!(!trust.is_doubted());
        assert!(!is_asked(&trust));
        trust.ask();
        assert!(is_asked(&trust));
    }
}
