//! The kinds of instrument that a metric can be, and the macro that declares them.
//!
//! Owns the registry and how a declared field becomes a registered series with its help text. Knows no
//! metric by name: those stand in [`super::metrics`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram, IntoF64, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};

/// Upper bounds for everything that ends in `_seconds`: the promise is milliseconds, so resolution is spent on
/// 100 µs – 2 s; two more buckets tell "slow" from "lost".
const SECONDS_BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Upper bounds for everything that ends in `_claims`: a batch holds up to 1,000, a drain's group up to 20,000.
const CLAIMS_BUCKETS: [f64; 14] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 20000.0];

const METADATA: Metadata<'static> = Metadata::new("claimrush", Level::INFO, None);

/// Where series are registered. Not the process' global recorder, so that a test can have several.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) recorder: Arc<PrometheusRecorder>,
}

impl Registry {
    pub(super) fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
            .set_buckets_for_metric(Matcher::Suffix("_claims".to_owned()), &CLAIMS_BUCKETS)?
            .build_recorder();
        Ok(Self { recorder: Arc::new(recorder) })
    }

    pub(super) fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.recorder.describe_counter(name.into(), None, help.trim().into());
        self.recorder.register_counter(&Key::from_static_name(name), &METADATA)
    }

    pub(super) fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.recorder.describe_gauge(name.into(), None, help.trim().into());
        self.recorder.register_gauge(&Key::from_static_name(name), &METADATA)
    }

    pub(super) fn histogram(&self, name: &'static str, help: &'static str) -> Histogram {
        self.recorder.describe_histogram(name.into(), None, help.trim().into());
        self.recorder.register_histogram(&Key::from_static_name(name), &METADATA)
    }

    pub(super) fn counters(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: &'static [&'static str],
    ) -> Counters {
        self.recorder.describe_counter(name.into(), None, help.trim().into());
        let series = values
            .iter()
            .map(|value| self.recorder.register_counter(&labelled(name, label, *value), &METADATA));
        Counters(series.collect())
    }

    pub(super) fn per_core(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        cores: usize,
    ) -> PerCore {
        self.recorder.describe_histogram(name.into(), None, help.trim().into());
        let register = |core: usize| {
            self.recorder.register_histogram(&labelled(name, label, core.to_string()), &METADATA)
        };
        PerCore { first: register(0), others: (1..cores).map(register).collect() }
    }

    pub(super) fn gauges(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        series_max: usize,
    ) -> Gauges {
        self.recorder.describe_gauge(name.into(), None, help.trim().into());
        Gauges { name, label, series_max, recorder: Arc::clone(&self.recorder), series: Mutex::default() }
    }
}

fn labelled(name: &'static str, label: &'static str, value: impl Into<metrics::SharedString>) -> Key {
    Key::from_parts(name, vec![Label::new(label, value)])
}

/// A counter for each word of a list that is fixed when the program starts: counting is an array index.
#[derive(Debug)]
pub struct Counters(Box<[Counter]>);

impl Counters {
    /// Adds one to the series of the `index`-th word. An index beyond the list is a mistake in the program
    /// and counts nothing.
    pub fn increment(&self, index: usize) {
        self.add(index, 1);
    }

    /// Adds `count` to the series of the `index`-th word; see [`Counters::increment`].
    pub fn add(&self, index: usize, count: u64) {
        debug_assert!(index < self.0.len(), "no series {index} among {}", self.0.len());
        if let Some(counter) = self.0.get(index) {
            counter.increment(count);
        }
    }
}

/// A histogram of which each core has its own series.
///
/// Recording from two cores into one series costs up to ten times as much as into two, as the cores then fight
/// for its tail; the label is summed away by any query, and shows when the kernel spreads connections unevenly.
#[derive(Debug)]
pub struct PerCore {
    first: Histogram,
    others: Box<[Histogram]>,
}

impl PerCore {
    /// Records a sample in the series of one core.
    pub fn record<T: IntoF64>(&self, core: usize, sample: T) {
        self.of(core).record(sample);
    }

    /// The series of one core, from 0; a core beyond the announced number shares the first one's.
    pub fn core(&self, core: usize) -> Histogram {
        self.of(core).clone()
    }

    fn of(&self, core: usize) -> &Histogram {
        core.checked_sub(1).and_then(|index| self.others.get(index)).unwrap_or(&self.first)
    }
}

/// A gauge for each value of a label that is learnt while running, up to a cap.
pub struct Gauges {
    name: &'static str,
    label: &'static str,
    series_max: usize,
    recorder: Arc<PrometheusRecorder>,
    series: Mutex<HashMap<String, Gauge>>,
}

impl Gauges {
    /// The series of one label value; it starts at zero when it is new. Look it up once and keep it: this takes
    /// a lock. Beyond the cap the gauge that comes back is connected to nothing.
    pub fn of(&self, value: &str) -> Gauge {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gauge) = series.get(value) {
            return gauge.clone();
        }
        if series.len() >= self.series_max {
            return Gauge::noop();
        }
        let key = labelled(self.name, self.label, value.to_owned());
        let gauge = self.recorder.register_gauge(&key, &METADATA);
        series.insert(value.to_owned(), gauge.clone());
        gauge
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Declares a struct of instruments. A field's name with the prefix is the metric's name, its doc the help text;
/// kinds are `Counter`, `Gauge`, `Histogram`, `Counters["label": words]`, `Gauges["label": most series]` and
/// `PerCore["label": cores]`. The parameters after the struct's name are those of `register`.
macro_rules! instruments {
    (
        $(#[$about:meta])*
        pub struct $name:ident($($arg:ident: $arg_type:ty),*) {
            $($(#[doc = $help:literal])+ $field:ident: $kind:ident $([$label:literal: $values:expr])?,)+
        }
    ) => {
        $(#[$about])*
        pub struct $name {
            $($(#[doc = $help])+ pub $field: $kind,)+
        }

        impl $name {
            /// Every declared metric's name, in order of declaration.
            pub const NAMES: &[&str] = &[$(concat!("claimrush_", stringify!($field))),+];

            fn register(registry: &Registry, $($arg: $arg_type),*) -> Self {
                Self {
                    $($field: instruments!(
                        @register $kind registry,
                        concat!("claimrush_", stringify!($field)),
                        concat!($($help),+)
                        $(, $label, $values)?
                    ),)+
                }
            }
        }
    };
    (@register Counter $registry:ident, $($given:expr),+) => { $registry.counter($($given),+) };
    (@register Gauge $registry:ident, $($given:expr),+) => { $registry.gauge($($given),+) };
    (@register Histogram $registry:ident, $($given:expr),+) => { $registry.histogram($($given),+) };
    (@register Counters $registry:ident, $($given:expr),+) => { $registry.counters($($given),+) };
    (@register Gauges $registry:ident, $($given:expr),+) => { $registry.gauges($($given),+) };
    (@register PerCore $registry:ident, $($given:expr),+) => { $registry.per_core($($given),+) };
}
pub(super) use instruments;
