//! What runs while the service serves, and the order in which it is stopped.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::seal::Sealer;
use super::traces;
use crate::telemetry::trace::SpanSink;

/// What is told to stop, in this order.
#[derive(Default)]
pub(super) struct Stops {
    pub(super) fronts: CancellationToken,
    pub(super) drain: CancellationToken,
    pub(super) background: CancellationToken,
}

/// What runs, to be waited for when it was told to stop.
pub(super) struct Running {
    pub(super) fronts: Vec<JoinHandle<()>>,
    pub(super) drain: Option<tokio::task::JoinHandle<()>>,
    pub(super) background: TaskTracker,
    pub(super) stops: Stops,
    /// Who seals the shard at the end, where that can be known.
    pub(super) sealer: Option<Sealer>,
    pub(super) spans: Option<Arc<dyn SpanSink>>,
}

impl Running {
    /// Fronts first, so that nothing is decided any more; then the drain, which takes what they decided; then
    /// the rest.
    pub(super) async fn stop(self) {
        self.stops.fronts.cancel();
        let fronts = self.fronts;
        let joined = tokio::task::spawn_blocking(|| fronts.into_iter().all(|front| front.join().is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a core had failed");
        }
        self.stops.drain.cancel();
        if let Some(drain) = self.drain
            && let Err(error) = drain.await
        {
            tracing::error!(%error, "the drain had failed");
        }
        self.stops.background.cancel();
        self.background.close();
        self.background.wait().await;
        traces::close(self.spans).await;
        if let Some(sealer) = self.sealer {
            sealer.seal().await;
        }
    }
}
