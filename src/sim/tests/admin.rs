//! Scripted faults: which calls they hit, and the rest of the back door.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::{SimOptions, start};
use super::{TestWorld, pay_body};

async fn query(world: &TestWorld, bank: &str, flow_no: &str) -> i64 {
    world
        .status(&format!("/{bank}/query"), json!({"flow_no": flow_no}))
        .await
}

#[tokio::test]
async fn the_first_fault_that_fits_wins() {
    let world = TestWorld::start().await;
    let first = world
        .fault(json!({"op": "QUERY", "flow_no": "F1", "times": 2, "answer": {"status": 2}}))
        .await;
    let second = world
        .fault(json!({"op": "QUERY", "bank": "bank", "answer": {"status": -1}}))
        .await;
    let statuses = [
        query(&world, "bank", "F1").await,
        query(&world, "legacy", "F1").await,
        query(&world, "bank", "F1").await,
        query(&world, "bank", "F2").await,
        query(&world, "legacy", "F1").await,
    ];
    assert_eq!(statuses, [2, 2, -1, -1, 4]);
    let list = world.get("/admin/faults").await;
    let seen: Vec<_> = list["faults"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|fault| {
            (
                fault["id"].as_u64(),
                fault["hits"].as_u64(),
                fault["answer"].clone(),
            )
        })
        .collect();
    let expected = [
        (Some(first), Some(2), json!({"status": 2})),
        (Some(second), Some(2), json!({"status": -1})),
    ];
    assert_eq!(seen, expected);

    let path = format!("/admin/faults/{second}");
    assert_eq!(world.send(Method::DELETE, &path, None).await.0, 200);
    assert_eq!(world.send(Method::DELETE, &path, None).await.0, 404);
    assert_eq!(query(&world, "bank", "F2").await, 4);
    assert_eq!(
        world.send(Method::DELETE, "/admin/faults", None).await.0,
        200
    );
    assert_eq!(world.get("/admin/faults").await, json!({"faults": []}));
}

#[tokio::test]
async fn a_fault_can_be_about_a_bill_or_a_biller() {
    let world = TestWorld::start().await;
    for (payment, biller, bill_no) in [
        ("F1", "bj-power", "1234567890"),
        ("F2", "sh-gas", "120000000012"),
    ] {
        assert_eq!(
            world
                .status("/bank/pay", pay_body(payment, biller, bill_no))
                .await,
            1
        );
    }
    world
        .fault(json!({"op": "QUERY", "biller": "bj-power", "answer": {"status": 2}}))
        .await;
    let spec = json!({"op": "ANY", "bill_no": "120000000012", "effect": "NONE",
                      "answer": {"status": -1}});
    world.fault(spec).await;
    assert_eq!(query(&world, "bank", "F1").await, 2);
    assert_eq!(query(&world, "bank", "F2").await, -1);
    let lookup = json!({"bill_no": "120000000012"});
    assert_eq!(world.status("/billers/sh-gas/lookup", lookup).await, -1);
}

#[tokio::test]
async fn a_fault_comes_before_the_well_known_ending() {
    let world = TestWorld::start().await;
    world
        .fault(json!({"op": "PAY", "effect": "NOW", "times": 1}))
        .await;
    let body = pay_body("F1", "bj-power", "1234569003");
    assert_eq!(world.status("/bank/pay", body).await, 1);
    assert_eq!(query(&world, "bank", "F1").await, -1);
}

#[tokio::test]
async fn a_part_of_the_calls_can_be_hit() {
    let world = TestWorld::start().await;
    world
        .fault(json!({"op": "QUERY", "percent": 50, "answer": {"status": -1}}))
        .await;
    let mut hits = 0;
    for _ in 0..100 {
        hits += usize::from(query(&world, "bank", "F1").await == -1);
    }
    assert!((25..75).contains(&hits), "{hits}");
    let list = world.get("/admin/faults").await;
    assert_eq!(list["faults"][0]["hits"], hits);
    assert_eq!(list["faults"][0]["matched"], 100);
}

#[tokio::test]
async fn unknown_fields_are_refused_by_name() {
    let world = TestWorld::start().await;
    for (path, body, name) in [
        ("/admin/faults", json!({"op": "QUERY", "tmes": 1}), "tmes"),
        ("/admin/latency", json!({"ms": 1, "jitter": 2}), "jitter"),
        ("/admin/heal", json!({"all": true}), "all"),
        ("/webhook", Value::Null, ""),
    ] {
        let (code, answer) = world.post(path, body).await;
        let message = answer["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(code, if name.is_empty() { 200 } else { 400 }, "{path}");
        assert!(message.contains(name), "{path}: {message}");
    }
}

#[tokio::test]
async fn alarms_are_taken_in() {
    let world = TestWorld::start().await;
    for number in 0..1_001 {
        assert_eq!(
            world.post("/webhook", json!({"alarm": number})).await.0,
            200
        );
    }
    let seen = world.get("/admin/webhooks").await;
    let seen = seen["webhooks"].as_array().expect("a list").clone();
    assert_eq!(seen.len(), 1_000);
    assert_eq!(seen[0]["body"], json!({"alarm": 1}));
    assert_eq!(seen[999]["body"], json!({"alarm": 1_000}));
}

#[tokio::test]
async fn the_back_door_shows_what_the_bank_knows() {
    let world = TestWorld::start().await;
    world
        .status("/bank/pay", pay_body("F1", "bj-power", "1234569001"))
        .await;
    let known = world.get("/admin/flows/F1").await["known"][0].clone();
    assert_eq!(
        (&known["state"], &known["code"]),
        (&json!("REFUSED"), &json!(1001))
    );
    assert_eq!(
        (&known["order_no"], &known["bill_no"]),
        (&json!("OF1"), &json!("1234569001"))
    );
    assert_eq!(
        world.send(Method::GET, "/admin/flows/F2", None).await.0,
        404
    );
    let stats = world.get("/admin/stats").await;
    assert_eq!(
        (&stats["calls"]["PAY"], &stats["effects"]["REFUSAL"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_taken_port_or_ledger_is_refused_with_the_flag_that_helps() {
    let world = TestWorld::start().await;
    let taken = world.sim.addr();
    let elsewhere = world.ledger_path().with_extension("other");
    let options = SimOptions {
        listen: taken,
        ledger: elsewhere,
        ..SimOptions::default()
    };
    let error = format!("{:#}", start(options).await.err().expect("refused"));
    assert!(
        error.contains(&taken.to_string()) && error.contains("--listen"),
        "{error}"
    );
    let error = format!(
        "{:#}",
        start(world.options.clone()).await.err().expect("refused")
    );
    assert!(
        error.contains("--ledger") && error.contains("in use"),
        "{error}"
    );
}

#[tokio::test]
async fn merchants_keep_what_they_are_told_and_refuse_when_told_to() {
    let world = TestWorld::start().await;
    let tell = async |n: u32| {
        let told = world.send(Method::POST, "/inbox/portal?a=1", Some(json!({ "n": n })));
        told.await.0
    };
    let fail = async |body: Value| {
        let told = world.send(Method::POST, "/admin/inbox/fail", Some(body));
        told.await.0
    };
    assert_eq!(tell(1).await, 200);
    assert_eq!(fail(json!({ "times": 2, "status": 500 })).await, 200);
    assert_eq!(
        [tell(2).await, tell(3).await, tell(4).await],
        [500, 500, 200]
    );
    assert_eq!(fail(json!({ "times": 1, "status": 204 })).await, 400);
    assert_eq!(fail(json!({ "times": 1 })).await, 200);
    assert_eq!([tell(5).await, tell(6).await], [503, 200]);
    let kept = world.get("/admin/inbox").await;
    let kept = kept["letters"].as_array().expect("a list");
    let answered: Vec<_> = kept.iter().map(|one| one["answered"].as_u64()).collect();
    assert_eq!(answered, [200, 500, 500, 200, 503, 200].map(Some));
    assert_eq!(kept[0]["merchant"], "portal");
    assert_eq!(kept[0]["target"], "/inbox/portal?a=1");
    assert_eq!(kept[0]["body"], "{\"n\":1}");
    assert_eq!(kept[0]["headers"]["content-type"], "application/json");
    assert_eq!(
        world.send(Method::DELETE, "/admin/inbox", None).await.0,
        200
    );
    assert_eq!(world.get("/admin/inbox").await, json!({ "letters": [] }));
}
