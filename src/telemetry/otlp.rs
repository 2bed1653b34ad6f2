//! Spans to an OpenTelemetry collector, by OTLP over HTTP; in builds with the feature `otlp`.
//!
//! A request makes a span only if its caller records the trace. A thread of the SDK's own gathers and sends them; what does
//! not fit its queue is lost, and nobody waits.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};

use super::trace::{EndedSpan, SpanSink};
use crate::limits;

/// How long a collector may take over one batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long spans are gathered for one.
const GATHERED: Duration = Duration::from_secs(1);
/// How long the last ones may take when the service stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The way to a collector.
#[derive(Debug)]
pub struct Otlp {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Otlp {
    /// Opens the way; the collector need not be there yet.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn open(url: &str) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(limits::SPANS_QUEUE)
            .with_max_export_batch_size(limits::SPANS_BATCH)
            .with_scheduled_delay(GATHERED)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let version = env!("CARGO_PKG_VERSION");
        let resource = Resource::builder()
            .with_service_name("claimrush")
            .with_attribute(KeyValue::new("service.version", version));
        processor.set_resource(&resource.build());
        let scope = InstrumentationScope::builder("claimrush").with_version(version).build();
        Ok(Self { processor, scope })
    }
}

impl SpanSink for Otlp {
    fn ended(&self, ended: EndedSpan) {
        let EndedSpan { span, call, drop, outcome, refused, ended_ms, took } = ended;
        let end_time = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ended_ms).unwrap_or(0));
        let mut attributes = vec![KeyValue::new("claimrush.outcome", outcome)];
        attributes.extend(drop.map(|drop| KeyValue::new("claimrush.drop", drop)));
        let trace_id = TraceId::from_bytes(span.parent.trace_id());
        let span_id = SpanId::from_bytes(span.span_id());
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: SpanId::from_bytes(span.parent.parent_id()),
            parent_span_is_remote: true,
            span_kind: SpanKind::Server,
            name: if call.is_empty() { "request".into() } else { call.into() },
            start_time: end_time.checked_sub(took).unwrap_or(end_time),
            end_time,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            // What a client is refused for its own sake is no error of this program's.
            status: if refused && outcome == "unavailable" { Status::error(outcome) } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        });
    }

    fn close(&self) {
        let _ = self.processor.shutdown_with_timeout(CLOSE_TIMEOUT);
    }
}
