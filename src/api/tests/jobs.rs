//! Asking for runs of jobs, and watching one.

use super::support::*;
use crate::api::desk::Caller;
use crate::api::limits::CallerAddress;
use crate::api::request_id::RequestId;
use crate::domain::job::{JobRun, JobRunState, RunProgress};
use crate::domain::time::BusinessDate;
use crate::engine::{Actor, Clock, RunAsk};
use crate::storage::audit;
use async_graphql::{Request, Response};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;

const TRIGGER: &str = "mutation($i: JobTriggerInput!) { jobTrigger(input: $i) {
    run { runId job state businessDate askedBy owner } userErrors { code field message } } }";
const BACKFILL: &str = "mutation($i: JobBackfillInput!) { jobBackfill(input: $i) {
    runs { businessDate scheduledAt state } userErrors { code field } } }";
const WATCH: &str = "subscription($id: ID!) { jobRunChanged(runId: $id) {
    state progress { done total ratePerSecond secondsLeft } report } }";

async fn trigger(world: &World, token: &str, input: Value) -> Value {
    world.field(token, TRIGGER, json!({ "i": input })).await
}

fn code(payload: &Value) -> (&str, &str) {
    let error = &payload["userErrors"][0];
    let word = |name: &str| error[name].as_str().unwrap_or_default();
    (word("code"), word("field"))
}

#[tokio::test]
async fn a_run_that_was_asked_for_waits_and_says_who_asked() {
    let world = World::new().await;
    // It is noon of the 22nd in Shanghai.
    let asked = trigger(&world, OPERATOR, json!({ "job": "watch_runs" })).await;
    let run = &asked["run"];
    assert_eq!(run["state"], "WAITING");
    assert_eq!(run["businessDate"], "2026-11-21");
    assert_eq!(run["askedBy"], "operator:olga");
    assert_eq!(run["owner"], "");
    let again = trigger(&world, ADMIN, json!({ "job": "watch_runs" })).await;
    assert_eq!(again["run"], *run, "one that waits is enough");
    let rows = world
        .store
        .read(|c| audit::about(c, "watch_runs"))
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].entry.actor, "operator:olga");
    assert_eq!(rows[0].entry.action, "RUN_ASKED");
    assert!(rows[0].entry.request_id.is_some());

    let unknown = trigger(&world, OPERATOR, json!({ "job": "nothing" })).await;
    assert_eq!(code(&unknown), ("JOB_NOT_FOUND", "job"));
    let malformed = trigger(&world, OPERATOR, json!({ "job": "a b" })).await;
    assert_eq!(code(&malformed), ("INVALID_ARGUMENT", "job"));
    let early = json!({ "job": "watch_runs", "businessDate": "2026-11-22" });
    let early = trigger(&world, OPERATOR, early).await;
    assert_eq!(code(&early), ("INVALID_ARGUMENT", "businessDate"));
    for token in [VIEWER, REVIEWER, AUDITOR, ALPHA] {
        let refused = trigger(&world, token, json!({ "job": "watch_runs" })).await;
        assert_eq!(code(&refused).0, "NOT_ALLOWED");
    }
}

#[tokio::test]
async fn dates_are_made_up_for_once_and_shown_before() {
    let world = World::new().await;
    let input = |dry_run: bool| {
        let input = json!({ "job": "watch_runs", "from": "2026-11-19", "to": "2026-11-21",
                            "dryRun": dry_run });
        json!({ "i": input })
    };
    let shown = world.field(OPERATOR, BACKFILL, input(true)).await;
    let done = world.field(OPERATOR, BACKFILL, input(false)).await;
    assert_eq!(shown, done);
    let runs = done["runs"].as_array().unwrap();
    let dates: Vec<&str> = runs
        .iter()
        .map(|run| run["businessDate"].as_str().unwrap())
        .collect();
    assert_eq!(dates, ["2026-11-19", "2026-11-20", "2026-11-21"]);
    assert_eq!(runs[0]["scheduledAt"], "2026-11-19T16:05:00+00:00");
    let again = world.field(OPERATOR, BACKFILL, input(false)).await;
    assert_eq!(again["runs"], json!([]));
    let wrong = json!({ "job": "watch_runs", "from": "2026-11-21", "to": "2026-11-19" });
    let wrong = world.field(OPERATOR, BACKFILL, json!({ "i": wrong })).await;
    assert_eq!(code(&wrong), ("INVALID_ARGUMENT", "from"));
    let rows = world
        .store
        .read(|c| audit::about(c, "watch_runs"))
        .await
        .unwrap();
    let told: Vec<_> = rows.iter().map(|row| row.entry.action.as_str()).collect();
    assert_eq!(told, ["BACKFILL_ASKED"]);
    assert_eq!(rows[0].entry.after.as_deref(), Some("3 runs"));
}

fn watch(world: &World, token: &str, run_id: &str) -> BoxStream<'static, Response> {
    let variables = serde_json::from_value(json!({ "id": run_id })).unwrap();
    let tokens = &world.api.0.tokens;
    let principal = tokens.principal(Some(&format!("Bearer {token}"))).unwrap();
    let request = Request::new(WATCH).variables(variables).data(Caller {
        visit: None,
        principal,
        request_id: RequestId::accept(None),
        pass: None,
        address: CallerAddress::NOWHERE,
    });
    world.api.0.schema.execute_stream(request).boxed()
}

fn told(response: Option<Response>) -> Value {
    let response = serde_json::to_value(response.unwrap()).unwrap();
    assert!(response["errors"].is_null(), "{response}");
    response["data"]["jobRunChanged"].clone()
}

async fn asked(world: &World) -> JobRun {
    let ask = RunAsk {
        job: "watch_runs".to_owned(),
        business_date: None::<BusinessDate>,
    };
    let asked = world.engine.ask_for_run(&Book, ask, &Actor::system()).await;
    asked.unwrap()
}

#[tokio::test]
async fn a_run_is_watched_until_it_has_ended() {
    let world = World::new().await;
    let run = asked(&world).await;
    let mut changes = watch(&world, VIEWER, &run.run_id.to_string());
    assert_eq!(told(changes.next().await)["state"], "WAITING");
    assert!(changes.next().now_or_never().is_none());
    let now = world.clock.now();
    let running = JobRun {
        state: JobRunState::Running,
        owner: "a".to_owned(),
        fence: 1,
        progress: Some(RunProgress {
            done: 250,
            total: Some(1_000),
            since: now,
            at: now + chrono::TimeDelta::seconds(5),
        }),
        ..run.clone()
    };
    world.engine.hub().announce_run(&running);
    let seen = told(changes.next().await);
    let progress = json!({ "done": 250, "total": 1000, "ratePerSecond": 50, "secondsLeft": 15 });
    assert_eq!(seen["progress"], progress);
    // What is late to be announced is no news.
    world.engine.hub().announce_run(&run);
    assert!(changes.next().now_or_never().is_none());
    // Another replica ends it: that is found by reading again.
    let claimed = JobRun {
        started_at: now,
        lease_until: now,
        ..running
    };
    let ended = JobRun {
        state: JobRunState::Succeeded,
        finished_at: Some(now),
        report: Some("{}".to_owned()),
        progress: None,
        ..claimed.clone()
    };
    let write = move |tx: &mut crate::storage::Tx<'_>| {
        tx.claim_run(&claimed)?;
        tx.finish_run(&ended)
    };
    assert!(world.store.solo(write).await.unwrap());
    world.clock.advance(Duration::from_secs(2));
    let seen = told(changes.next().await);
    assert_eq!(
        (&seen["state"], &seen["report"]),
        (&json!("SUCCEEDED"), &json!("{}"))
    );
    assert!(changes.next().await.is_none());
}

#[tokio::test]
async fn who_may_not_look_is_not_told() {
    let world = World::new().await;
    let run = asked(&world).await.run_id.to_string();
    for (token, run, words) in [
        (ALPHA, run.as_str(), "forbidden"),
        (VIEWER, "019396a0-0000-7000-8000-000000000000", "refused"),
        (VIEWER, "7", "refused"),
    ] {
        let mut changes = watch(&world, token, run);
        let refused = serde_json::to_value(changes.next().await.unwrap()).unwrap();
        assert!(refused["data"].is_null(), "{refused}");
        let said = refused["errors"][0]["message"].as_str().unwrap();
        assert!(said.contains(words), "{refused}");
        assert!(changes.next().await.is_none());
    }
}
