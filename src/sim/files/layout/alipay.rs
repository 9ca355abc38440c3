//! `alipay`: details of business in the manner of Alipay's bills. GBK in a zip, lines that begin with #
//! around the rows, a tab behind every value, amounts with a point, those of refunds negative. There
//! are no lines about what failed.

use super::paper::{gbk, plain, shanghai, yuan};
use super::sums::Sums;
use super::{Sheet, note};
use crate::sim::files::row::{Kind, Row};

const NAMES: &str = "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,\
对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,\
券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注";
const BEGIN: &str = "#-----------------------------------------业务明细列表----------------------------------------";
const OVER: &str = "#-----------------------------------------业务明细列表结束------------------------------------";
const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// The file in the zip.
pub(super) fn write(sheet: &Sheet<'_>) -> Vec<u8> {
    let day = sheet.date.format("%Y年%m月%d日");
    let mut text = String::with_capacity(1_024 + sheet.rows.len() * 300);
    let mut line = |line: &str| text.extend([line, "\r\n"]);
    line("#支付宝业务明细查询");
    line("#账号：[20880000000000000156]");
    line(&format!(
        "#起始日期：[{day} 00:00:00]   终止日期：[{day} 24:00:00]"
    ));
    line(BEGIN);
    line(NAMES);
    for row in sheet.rows {
        line(&cells(sheet, row).map(|cell| cell + "\t").join(","));
    }
    let Sums {
        rows,
        signed_minor,
        payments,
        payment_minor,
        reversals,
        reversal_minor,
        ..
    } = Sums::of(sheet);
    let (paid, back, sum) = (
        yuan(payment_minor),
        yuan(-reversal_minor),
        yuan(signed_minor),
    );
    line(OVER);
    line(&format!(
        "#交易合计：{payments}笔，商家实收共{paid}元，商家优惠共0.00元"
    ));
    line(&format!(
        "#退款合计：{reversals}笔，商家实收退款共{back}元，商家优惠退款共0.00元"
    ));
    line(&format!(
        "#导出时间：[{day} 24:00:00]   {rows}笔，共{sum}元"
    ));
    gbk(&text)
}

fn cells(sheet: &Sheet<'_>, row: &Row) -> [String; 25] {
    let text = |text: &str| plain(text, &[',']);
    let at = shanghai(row.at).format(TIME).to_string();
    let flow_no = text(&row.flow_no);
    let (payment, kind, amount_minor, refund) = match row.kind {
        Kind::Payment => (flow_no, "交易", row.amount_minor, String::new()),
        Kind::Reversal => {
            let payment = row.payment_flow_no.as_deref().unwrap_or_default();
            (text(payment), "退款", -row.amount_minor, flow_no)
        }
    };
    let amount = yuan(amount_minor.into());
    let (nothing, zero) = (String::new, || yuan(0));
    [
        text(&sheet.reference(row)),
        payment,
        kind.to_owned(),
        note(&row.biller).to_owned(),
        at.clone(),
        at,
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        text(&row.bill_no),
        amount.clone(),
        amount,
        zero(),
        zero(),
        zero(),
        zero(),
        zero(),
        nothing(),
        zero(),
        zero(),
        refund,
        zero(),
        zero(),
        nothing(),
    ]
}
