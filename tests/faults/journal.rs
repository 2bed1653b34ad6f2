//! Rows: the way from the journal to the ledger is disturbed.

use std::time::Instant;

use claimrush::domain::ids::Shard;
use claimrush::redis::keys;
use redis::cmd;

use crate::checker;
use crate::matrix::{DROP, Row, Stage};
use crate::scene::Scene;
use crate::support::drainer::Drainer;

/// A journal entry: its fields with their texts.
pub(crate) type Entry = Vec<(String, String)>;

/// All that stands in the journal.
pub(crate) fn entries(scene: &Scene) -> Vec<Entry> {
    let reply: redis::streams::StreamRangeReply =
        scene.ask_redis(cmd("XRANGE").arg(keys::journal(Shard::FIRST)).arg("-").arg("+"));
    let fields = |entry: &redis::streams::StreamId| {
        let pairs = entry.map.iter();
        pairs.map(|(name, value)| (name.clone(), redis::from_redis_value_ref(value).unwrap())).collect()
    };
    reply.ids.iter().map(fields).collect()
}

/// Writes entries again, under ids of their own.
pub(crate) fn deliver_again(scene: &Scene, entries: &[Entry]) {
    for fields in entries {
        let mut add = cmd("XADD");
        add.arg(keys::journal(Shard::FIRST)).arg("*");
        for (name, text) in fields {
            add.arg(name).arg(text);
        }
        let _: String = scene.ask_redis(&add);
    }
}

#[test]
fn entries_come_twice() {
    let row =
        Row::new("every journal entry delivered twice, before and after it is in the ledger").two_each();
    row.run(Scene::with_drain(), |stage: &mut Stage| {
        stage.scene.drain.as_mut().expect("a drain").kill();
        stage.rush.wait_more(200);
        let taken = entries(stage.scene);
        assert!(taken.len() > 10, "nobody drains");
        deliver_again(stage.scene, &taken);
        stage.scene.drain = Some(Drainer::start(&stage.scene.service));
        stage.rush.wait_more(50);
        let before = checker::rows_with_ids(stage.scene, DROP);
        deliver_again(stage.scene, &taken);
        stage.rush.wait_more(50);
        let after = checker::rows_with_ids(stage.scene, DROP);
        assert!(before.is_subset(&after), "what stands in the ledger stays");
        Instant::now()
    });
}

#[test]
fn two_drains_at_once() {
    Row::new("three drains at once").run(Scene::whole(), |stage: &mut Stage| {
        let (one, other) = (Drainer::start(&stage.scene.service), Drainer::start(&stage.scene.service));
        stage.rush.wait_more(300);
        assert!(one.stop().success() && other.stop().success(), "both end in order");
        Instant::now()
    });
}
