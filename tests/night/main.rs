//! The night, on real days: bills are paid on days that are over, and a daemon that starts afterwards
//! closes them, states them and reconciles them.

#[path = "../support/mod.rs"]
mod support;

mod past;

use past::{Bills, Past};
use payhall::domain::time::Instant;
use std::time::Duration;
use support::database::TestDatabase;
use support::world::Setup;

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_lived_through_in_the_past() {
    for database in TestDatabase::all() {
        let setup = Setup::on(database)
            .set("adapters.bank.tries_s", vec![0, 0])
            .set("adapters.legacy.tries_s", vec![0, 0])
            .sim(&["--ignore-valid-until"]);
        let world = setup.start().await;
        let at = |text: &str| -> Instant { text.parse().unwrap() };
        let started = std::time::Instant::now();
        let past = Past::open(&world, at("2026-11-24T01:00:00Z")).await;
        past.pay(Bills {
            first: 0,
            count: 1500,
            bad_every: 50,
        })
        .await;
        eprintln!("{:?}", started.elapsed());
        past.poll_until(at("2026-11-24T18:00:00Z"), Duration::from_secs(300))
            .await;
        eprintln!("{:?}", started.elapsed());
        past.close().await;
        eprintln!("{}", world.check());
    }
}
