//! `wechat`: all trades in the manner of WeChat Pay's bills. A byte order mark, a backtick before every
//! value, amounts with a point, and the totals under names of their own at the end. A refund's line
//! names the payment where a payment's line names itself. There are no lines about what failed.

use super::paper::{plain, shanghai, yuan};
use super::sums::Sums;
use super::{Sheet, note};
use crate::sim::files::row::{Kind, Row};

const MARK: &str = "\u{feff}";
const NAMES: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,\
付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,\
退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注";
const TOTALS: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";
const END: &str = "\r\n";

pub(super) fn write(sheet: &Sheet<'_>) -> Vec<u8> {
    let mut text = String::with_capacity(1_024 + sheet.rows.len() * 400);
    text.extend([MARK, NAMES, END]);
    for row in sheet.rows {
        values(&mut text, &cells(sheet, row));
    }
    let Sums {
        rows,
        payment_minor,
        reversal_minor,
        ..
    } = Sums::of(sheet);
    let (paid, back) = (yuan(payment_minor), yuan(reversal_minor));
    text.extend([TOTALS, END]);
    let totals = [
        rows.to_string(),
        paid.clone(),
        back.clone(),
        yuan(0),
        yuan(0),
        paid,
        back,
    ];
    values(&mut text, &totals);
    text.into_bytes()
}

fn values(text: &mut String, cells: &[String]) {
    for (at, cell) in cells.iter().enumerate() {
        text.push_str(if at == 0 { "`" } else { ",`" });
        text.push_str(cell);
    }
    text.push_str(END);
}

fn cells(sheet: &Sheet<'_>, row: &Row) -> [String; 27] {
    let text = |text: &str| plain(text, &[',', '`']);
    let at = shanghai(row.at).format("%Y-%m-%d %H:%M:%S").to_string();
    let amount = yuan(row.amount_minor.into());
    let (nothing, zero) = (String::new, || yuan(0));
    let own = (text(&sheet.reference(row)), text(&row.flow_no));
    let none = || "0".to_owned();
    let (payment, kind, paid, refund, back) = match row.kind {
        Kind::Payment => (own, "SUCCESS", amount.clone(), (none(), none()), zero()),
        Kind::Reversal => {
            let flow_no = row.payment_flow_no.as_deref().unwrap_or_default();
            let payment = (text(&sheet.reference_of(flow_no)), text(flow_no));
            (payment, "REFUND", zero(), own, amount.clone())
        }
    };
    let is_refund = row.kind == Kind::Reversal;
    let refund_word = |word: &str| {
        if is_refund {
            word.to_owned()
        } else {
            String::new()
        }
    };
    [
        at,
        "wx00000000000000".to_owned(),
        "1900000109".to_owned(),
        "0".to_owned(),
        nothing(),
        payment.0,
        payment.1,
        "o0000000000000000000000000000".to_owned(),
        "JSAPI".to_owned(),
        kind.to_owned(),
        "OTHERS".to_owned(),
        row.currency.clone(),
        paid.clone(),
        zero(),
        refund.0,
        refund.1,
        back.clone(),
        zero(),
        refund_word("ORIGINAL"),
        refund_word("SUCCESS"),
        note(&row.biller).to_owned(),
        text(&row.bill_no),
        zero(),
        "0.60%".to_owned(),
        paid,
        back,
        nothing(),
    ]
}
