//! What the simulated banks and billers write is read by the profiles that are compiled in. The two were
//! written by different hands from the same description, so each is a check on the other.

use payhall::domain::money::Currency;
use payhall::domain::progress::Silent;
use payhall::domain::time::BusinessDate;
use payhall::files::{Expect, Limits, LineStatus, Lines, Profiles, Row, Verdict, check};
use payhall::sim::{self, Sim, SimOptions};
use serde_json::{Value, json};
use std::io::Cursor;

const PARTNERS: [&str; 7] = [
    "bank",
    "legacy",
    "bj-power",
    "bj-water",
    "sh-gas",
    "sh-telecom",
    "sh-school",
];
const FORMATS: [&str; 5] = ["payhall-csv", "pipe", "wechat", "alipay", "unionpay-zm"];

struct World {
    sim: Sim,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl World {
    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.sim.url()));
        let request = request.header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.unwrap();
        let code = response.status();
        let text = response.text().await.unwrap();
        assert!(code.is_success(), "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn file(&self, partner: &str, format: &str) -> Vec<u8> {
        let path = format!("/files/{partner}/2026-11-28?format={format}");
        let url = format!("{}{path}", self.sim.url());
        let response = self.client.get(url).send().await.unwrap();
        assert!(response.status().is_success(), "{path}");
        response.bytes().await.unwrap().to_vec()
    }

    async fn clock(&self, now: String) {
        self.post("/admin/clock", json!({"now": now, "pace": "STANDS"}))
            .await;
    }

    async fn pay(&self, bank: &str, number: &str, (biller, bill_no): (&str, &str)) {
        let body = json!({
            "flow_no": number,
            "order_no": number.replace("11111", "22222"),
            "item": "a bill",
            "biller": biller,
            "bill_no": bill_no,
            "amount_minor": "5000",
            "currency": "CNY",
            "valid_until": "2100-01-01T00:00:00Z",
        });
        self.post(&format!("/{bank}/pay"), body).await;
    }

    /// A day with payments for every biller, refusals, reversals, and a number that was debited twice.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SimOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            ledger: folder.path().join("ledger.jsonl"),
            ..SimOptions::default()
        };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let world = Self {
            sim: sim::start(options).await.unwrap(),
            client,
            _folder: folder,
        };
        for n in 0..40_u32 {
            let (hour, minute) = (n / 3, n % 3 * 20);
            world
                .clock(format!("2026-11-28T{hour:02}:{minute:02}:00Z"))
                .await;
            let ending = if n % 8 == 1 { 9_001 } else { n };
            let bill = match n % 5 {
                0 => ("bj-power", format!("{n:06}{ending:04}")),
                1 => ("bj-water", format!("{n:05}{ending:04}")),
                2 => ("sh-gas", format!("{n:08}{ending:04}")),
                3 => ("sh-telecom", format!("139{n:04}{ending:04}")),
                _ => ("sh-school", format!("S{n:04}{ending:04}")),
            };
            let bank = if n % 5 == 4 { "legacy" } else { "bank" };
            let number = format!("2026112801234567{n:03}11111");
            let bill = (bill.0, bill.1.as_str());
            world.pay(bank, &number, bill).await;
            match n {
                14 => world.pay(bank, &number, bill).await,
                10 | 12 => {
                    let reverse = json!({
                        "flow_no": format!("2026112801234567{n:03}33333"),
                        "payment_flow_no": number,
                        "order_no": number,
                        "bill_no": bill.1,
                        "amount_minor": "5000",
                        "currency": "CNY",
                    });
                    world.post("/bank/reverse", reverse).await;
                }
                _ => {}
            }
        }
        world.clock("2026-11-29T04:00:00Z".to_owned()).await;
        world
    }
}

/// What the profile of that name makes of a file: its lines, or why it refuses it.
fn read<T>(format: &str, bytes: &[u8], of: impl Fn(&Row<'_>) -> T) -> Result<Vec<T>, String> {
    let profile = Profiles::load([]).unwrap().get(format).unwrap();
    let expect = Expect {
        business_date: BusinessDate("2026-11-28".parse().unwrap()),
        currency: Currency::CNY,
        zone: chrono_tz::Asia::Shanghai,
        digest: None,
        limits: Limits::default(),
    };
    let file = || Cursor::new(bytes);
    let checked = match check(&profile, &expect, file(), &Silent).unwrap() {
        Verdict::Checked(checked) => checked,
        Verdict::Refused(refusal) => return Err(refusal.to_string()),
    };
    let mut lines = Lines::open(&profile, &expect, &checked, file()).unwrap();
    let mut rows = Vec::new();
    while let Some(line) = lines.next().unwrap() {
        rows.push(of(&line.row));
    }
    Ok(rows)
}

/// What all layouts say about a line.
fn told(row: &Row<'_>) -> String {
    let Row {
        flow_no,
        payment_flow_no,
        upstream_ref,
        kind,
        status,
        amount_minor,
        concluded_at,
        ..
    } = row;
    let at = concluded_at.unwrap();
    format!("{flow_no} {payment_flow_no} {upstream_ref} {kind} {status} {amount_minor} {at}")
}

#[tokio::test]
async fn every_partners_file_says_the_same_in_every_layout() {
    let world = World::start().await;
    let mut rows = Vec::new();
    for partner in PARTNERS {
        let bytes = world.file(partner, "payhall-csv").await;
        let all = read("payhall-csv", &bytes, |row| (told(row), row.status)).unwrap();
        rows.push(all.len());
        for format in FORMATS {
            let only_moved = matches!(format, "wechat" | "alipay");
            let expected: Vec<&String> = all
                .iter()
                .filter(|(_, status)| !only_moved || *status == LineStatus::Succeeded)
                .map(|(told, _)| told)
                .collect();
            let bytes = world.file(partner, format).await;
            let found =
                read(format, &bytes, told).unwrap_or_else(|reason| panic!("{format}: {reason}"));
            assert_eq!(
                found.iter().collect::<Vec<_>>(),
                expected,
                "{partner} {format}"
            );
        }
    }
    // 32 calls at the bank and 2 reversals; 8 at the old one, one of them twice. One of the eight of each
    // biller was refused; power and gas gave one back, and the school was paid twice for one.
    assert_eq!(rows, [34, 9, 8, 7, 8, 7, 8]);
}

#[tokio::test]
async fn every_fault_of_a_whole_file_is_found_in_every_layout() {
    let world = World::start().await;
    for format in FORMATS {
        let good = world.file("bank", format).await;
        read(format, &good, told).unwrap();
        let mut faults = vec![json!({"class": "COUNT"}), json!({"class": "SUM"})];
        faults.extend([1, 2, 3, 20, 999].map(|line| json!({"class": "TRUNCATED", "line": line})));
        if format == "payhall-csv" {
            faults.push(json!({"class": "DIGEST"}));
        }
        for fault in faults {
            let plant = json!({"partner": "bank", "date": "2026-11-28", "plants": [fault]});
            world.post("/admin/plants", plant).await;
            let wrong = world.file("bank", format).await;
            let reason = read(format, &wrong, told).expect_err("refused");
            assert!(!reason.is_empty(), "{format} {fault}: {reason}");
            let url = format!("{}/admin/plants/bank/2026-11-28", world.sim.url());
            assert!(
                world
                    .client
                    .delete(url)
                    .send()
                    .await
                    .unwrap()
                    .status()
                    .is_success()
            );
        }
    }
}
