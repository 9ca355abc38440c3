//! The five layouts, byte for byte: a payment, a reversal of it and, where there are words for it, a
//! payment that was refused.

use std::io::{Cursor, Read};

use encoding_rs::GBK;
use serde_json::json;

use super::{TestWorld, pay_body, reverse_body};

const PAID: &str = "202611281000000000012345";
const REFUSED: &str = "202611281000000000023456";
const UNDONE: &str = "202611281000000000034567";

async fn a_day() -> TestWorld {
    let world = TestWorld::start().await;
    for (at, number, bill_no) in [
        ("2026-11-28T02:00:00Z", PAID, "1000000001"),
        ("2026-11-28T03:00:00Z", REFUSED, "1000009001"),
    ] {
        world.clock(at).await;
        world
            .status("/bank/pay", pay_body(number, "bj-power", bill_no))
            .await;
    }
    world.clock("2026-11-28T04:05:06.789Z").await;
    let undo = reverse_body(UNDONE, PAID, "1000000001");
    assert_eq!(world.status("/bank/reverse", undo).await, 1);
    world.clock("2026-11-29T00:00:00Z").await;
    world
}

async fn bytes(world: &TestWorld, partner: &str, format: &str) -> Vec<u8> {
    let path = format!("/files/{partner}/2026-11-28?format={format}");
    let (code, bytes) = world.fetch(&path).await;
    assert_eq!(code, 200, "{}", String::from_utf8_lossy(&bytes));
    bytes
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[tokio::test]
async fn payhall_csv() {
    let world = a_day().await;
    let text = text(&bytes(&world, "bank", "payhall-csv").await);
    let (rows, end) = text.split_once("#END,").expect("an end");
    assert_eq!(
        rows,
        format!(
            "flow_no,order_no,payment_flow_no,request_no,upstream_ref,merchant,biller,item,bill_no,\
             kind,status,amount_minor,fee_minor,net_minor,currency,started_at,concluded_at\n\
             {PAID},O{PAID},,,B{PAID},,bj-power,,1000000001,PAYMENT,SUCCEEDED,5000,,,CNY,,\
             2026-11-28T10:00:00+08:00\n\
             {REFUSED},O{REFUSED},,,B{REFUSED},,bj-power,,1000009001,PAYMENT,FAILED,5000,,,CNY,,\
             2026-11-28T11:00:00+08:00\n\
             {UNDONE},O{PAID},{PAID},,B{UNDONE},,bj-power,,1000000001,REVERSAL,SUCCEEDED,-5000,,,CNY,,\
             2026-11-28T12:05:06+08:00\n"
        )
    );
    assert_eq!(
        end,
        format!("3,5000,{}\n", super::files::sha256(rows.as_bytes()))
    );
}

#[tokio::test]
async fn pipe() {
    let world = a_day().await;
    assert_eq!(
        text(&bytes(&world, "bank", "pipe").await),
        format!(
            "3|5000\n\
             {PAID}|B{PAID}||1000000001|P|5000||1|20261128100000\n\
             {REFUSED}|B{REFUSED}||1000009001|P|5000||0|20261128110000\n\
             {UNDONE}|B{UNDONE}|{PAID}|1000000001|R|-5000||1|20261128120506\n"
        )
    );
}

#[tokio::test]
async fn wechat() {
    let world = a_day().await;
    let text = text(&bytes(&world, "bj-power", "wechat").await);
    let text = text.strip_prefix('\u{feff}').expect("a mark");
    let lines: Vec<&str> = text.split("\r\n").collect();
    let [names, paid, undone, totals, sums, ""] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert!(names.starts_with("交易时间,") && names.ends_with(",费率备注"));
    let cells = |line: &str| -> Vec<String> {
        let cells = line
            .split(',')
            .map(|cell| cell.strip_prefix('`').expect("a guard").to_owned());
        cells.collect()
    };
    for (line, expected) in [
        (
            paid,
            [
                "2026-11-28 10:00:00",
                &format!("C{PAID}"),
                PAID,
                "SUCCESS",
                "50.00",
                "0",
                "0",
                "0.00",
            ],
        ),
        (
            undone,
            [
                "2026-11-28 12:05:06",
                &format!("C{PAID}"),
                PAID,
                "REFUND",
                "0.00",
                &format!("C{UNDONE}"),
                UNDONE,
                "50.00",
            ],
        ),
    ] {
        let cells = cells(line);
        assert_eq!(cells.len(), names.split(',').count());
        assert_eq!(
            [0, 5, 6, 9, 12, 14, 15, 16].map(|at| cells[at].as_str()),
            expected
        );
    }
    assert!(totals.starts_with("总交易单数,"));
    assert_eq!(cells(sums)[..3], ["2", "50.00", "50.00"]);
}

#[tokio::test]
async fn alipay() {
    let world = a_day().await;
    let zip = bytes(&world, "bj-power", "alipay").await;
    let mut zip = zip::ZipArchive::new(Cursor::new(zip)).expect("a zip");
    assert_eq!(zip.len(), 1);
    let mut packed = Vec::new();
    let mut entry = zip.by_index(0).expect("an entry");
    assert_eq!(entry.name().expect("a name"), "bj-power_20261128_1.csv");
    entry.read_to_end(&mut packed).expect("unpacked");
    let (text, _, broken) = GBK.decode(&packed);
    assert!(!broken);
    let lines: Vec<&str> = text.split("\r\n").collect();
    let [
        _,
        account,
        _,
        _,
        names,
        paid,
        undone,
        _,
        payments,
        refunds,
        end,
        "",
    ] = lines.as_slice()
    else {
        panic!("{lines:?}")
    };
    assert!(account.starts_with("#账号：["));
    for (line, expected) in [
        (
            paid,
            [
                &*format!("C{PAID}"),
                PAID,
                "交易",
                "北京電力 電費",
                "2026-11-28 10:00:00",
                "50.00",
                "",
            ],
        ),
        (
            undone,
            [
                &format!("C{UNDONE}"),
                PAID,
                "退款",
                "北京電力 電費",
                "2026-11-28 12:05:06",
                "-50.00",
                UNDONE,
            ],
        ),
    ] {
        let cells: Vec<&str> = line
            .split(',')
            .map(|cell| cell.strip_suffix('\t').expect("a guard"))
            .collect();
        assert_eq!(cells.len(), names.split(',').count());
        assert_eq!([0, 1, 2, 3, 5, 11, 21].map(|at| cells[at]), expected);
    }
    assert!(payments.starts_with("#交易合计：1笔，商家实收共50.00元"));
    assert!(refunds.starts_with("#退款合计：1笔，商家实收退款共-50.00元"));
    assert!(end.ends_with("]   2笔，共0.00元"), "{end}");
}

#[tokio::test]
async fn unionpay_zm() {
    let world = a_day().await;
    let file = bytes(&world, "bank", "unionpay-zm").await;
    let line = |code: &str, (flow, payment): (&str, &str), at: &str, bill: &str, state: &str| {
        let (note, _, _) = GBK.encode("北京電力 電費");
        let columns: [(&[u8], usize); 10] = [
            (code.as_bytes(), 3),
            (flow.as_bytes(), 32),
            (payment.as_bytes(), 32),
            (&[b"B", flow.as_bytes()].concat(), 32),
            (at.as_bytes(), 14),
            (bill.as_bytes(), 64),
            (&note, 40),
            (b"000000005000", 12),
            (b"CNY", 3),
            (state.as_bytes(), 2),
        ];
        let mut line = columns
            .map(|(value, width)| [value, &b" ".repeat(width - value.len())].concat())
            .join(&b' ');
        line.extend_from_slice(b"\r\n");
        assert_eq!(line.len(), 245);
        line
    };
    let expected = [
        line("S22", (PAID, ""), "20261128100000", "1000000001", "00"),
        line("S22", (REFUSED, ""), "20261128110000", "1000009001", "01"),
        line("S32", (UNDONE, PAID), "20261128120506", "1000000001", "00"),
        b"TRL 0000000003 0000000000015000\r\n".to_vec(),
    ];
    assert!(file == expected.concat(), "{}", GBK.decode(&file).0);

    let long = "F".repeat(33);
    world.clock("2026-11-29T01:00:00Z").await;
    world
        .status("/bank/pay", pay_body(&long, "bj-power", "1000000007"))
        .await;
    world.clock("2026-11-30T01:00:00Z").await;
    let (code, answer) = world.fetch("/files/bank/2026-11-29").await;
    let answer = text(&answer);
    assert!(
        code == 400 && answer.contains("row 1") && answer.contains("32 bytes"),
        "{answer}"
    );
}

#[tokio::test]
async fn no_word_for_failure_no_plant_of_one() {
    let world = a_day().await;
    let plant =
        json!({"partner": "bj-power", "date": "2026-11-28", "plants": [{"class": "STATUS"}]});
    let (code, answer) = world.post("/admin/plants", plant).await;
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(
        code == 400 && message.contains("alipay has no word"),
        "{answer}"
    );
}
