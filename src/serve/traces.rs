//! Where the spans of others' traces go: to a collector, in a build that can speak to one.

use std::sync::Arc;

use crate::config::Config;
use crate::exit::Failure;
use crate::telemetry::trace::SpanSink;

/// The way out for spans, by this configuration.
#[cfg(feature = "otlp")]
pub(super) fn open(config: &Config) -> Result<Option<Arc<dyn SpanSink>>, Failure> {
    let url = config.trace.otlp_url.as_str();
    if url.is_empty() {
        return Ok(None);
    }
    let sink = crate::telemetry::otlp::Otlp::open(url).map_err(|error| {
        Failure::new(crate::exit::Exit::Config, format!("config: trace.otlp_url = \"{url}\": {error}"))
    })?;
    Ok(Some(Arc::new(sink)))
}

/// None: the check of the configuration has refused everything else.
#[cfg(not(feature = "otlp"))]
#[expect(clippy::unnecessary_wraps, reason = "another build may fail here")]
pub(super) fn open(_config: &Config) -> Result<Option<Arc<dyn SpanSink>>, Failure> {
    Ok(None)
}

/// Hands on what was taken.
pub(super) async fn close(spans: Option<Arc<dyn SpanSink>>) {
    if let Some(spans) = spans {
        let _ = tokio::task::spawn_blocking(move || spans.close()).await;
    }
}
