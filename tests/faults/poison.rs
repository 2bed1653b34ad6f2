//! Rows: entries in the journal that nobody can understand.

use std::time::Instant;

use claimrush::domain::ids::Shard;
use claimrush::redis::keys;
use redis::cmd;

use crate::matrix::{After, DROP, Row, Stage};
use crate::scene::Scene;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

#[test]
fn poison_is_put_aside() {
    Row::new("poison entries in the journal").observe(
        Scene::whole,
        |stage: &mut Stage| {
            let foreign = format!("{DROP} 1 1700000000000 1 somebody-else");
            let poison =
                [("nonsense", "x"), ("claims", "never-heard-of 1 1700000000000 1 ann"), ("claims", &foreign)];
            for (field, text) in poison {
                stage.rush.wait_more(20);
                let _: String = stage
                    .scene
                    .ask_redis(cmd("XADD").arg(keys::journal(Shard::FIRST)).arg("*").arg(field).arg(text));
            }
            let after = Instant::now();
            stage.rush.wait_recovered(after);
        },
        |(), after: &mut After| {
            after.everybody_asks_again();
            wait_for("the alarm is up", PATIENCE, || {
                (after.scene.service.metric("claimrush_quarantine_entries")? == 3).then_some(())
            });
            let broken = after.broken();
            assert!(broken.iter().all(|line| line.starts_with("Q: ")), "{broken:#?}");
            assert_eq!(broken.len(), 1, "the audit says so: {broken:#?}");
            "held; 3 of 3 in quarantine".to_owned()
        },
    );
}
