//! Scenes for tests.

use std::time::Duration;

use super::{
    Stop,
    feed::Feed,
    reading::Reading,
    scene::Scene,
    scrape::{DropState, ServiceState},
};
use crate::engine::PersonaReading;

/// A run of a minute, and what is needed to look at it.
pub(crate) struct Sample {
    feed: Feed,
    pub(crate) service: Option<ServiceState>,
    pub(crate) stop: Stop,
}

impl Sample {
    pub(crate) fn scene(&self) -> Scene<'_> {
        Scene {
            title: "release-10am",
            target: "http://127.0.0.1:8080",
            planned: Duration::from_secs(60),
            feed: &self.feed,
            service: self.service.as_ref(),
            stop: self.stop,
        }
    }

    /// Tells the present reading again, changed, without a second having passed.
    pub(crate) fn tell(&mut self, change: impl FnOnce(&mut Reading)) {
        let mut reading = self.feed.now().clone();
        change(&mut reading);
        self.feed.tell(&reading);
    }
}

/// Nothing has happened, and the service has said nothing.
pub(crate) fn empty() -> Sample {
    Sample { feed: Feed::new().unwrap(), service: None, stop: Stop::No }
}

/// Two seconds of a rush: half the rate in the first.
pub(crate) fn busy() -> Sample {
    let mut reading = Reading::new().unwrap();
    let mut sample = empty();
    for (second, thousands) in [(1, 6), (2, 12)] {
        reading.elapsed = Duration::from_secs(second);
        reading.sent += (thousands + 1) * 1_000;
        reading.answers += thousands * 1_000;
        reading.granted += 2_000 - (2 - second) * 250;
        reading.recent = Reading::new().unwrap().recent;
        (0..80).for_each(|_| reading.recent.note(Duration::from_millis(second)));
        (0..20).for_each(|_| reading.recent.note(Duration::from_millis(9)));
        if second == 2 {
            fill(&mut reading);
        }
        sample.feed.tell(&reading);
    }
    let drop = |id: &str, state: &str, left, total| DropState {
        id: id.into(),
        state: Some(state.into()),
        left: Some(left),
        total: Some(total),
    };
    sample.service = Some(ServiceState {
        drops: vec![
            drop("caiyun-100-25", "open", 12_345, 40_000),
            drop("caiyun-200-50", "sold_out", 0, 10_000),
        ],
        drain_lag_s: Some(0.25),
        journal_entries: Some(37),
        queue_claims: Some(5),
        redis_up: Some(true),
        troubles: vec!["metrics: no answer within 800 ms".into()],
    });
    sample
}

fn fill(reading: &mut Reading) {
    reading.lost = 7;
    reading.connections = 1_000;
    reading.schedule.dropped = 3;
    reading.schedule.late_generator = 1_200;
    reading.counts.add(201, "", 3_750);
    reading.counts.add(410, "sold_out", 13_500);
    reading.counts.add(503, "overloaded", 750);
    let persona = |name: &str, arrivals, answers, granted| {
        let name = name.into();
        PersonaReading { name, arrivals, answers, granted }
    };
    reading.personas = vec![persona("honest", 15_000, 14_000, 3_750), persona("bot farm", 3_000, 4_000, 0)];
}
