//! The wire protocol, as the simulated banks and billers understand it.
//!
//! Written a second time on purpose: if it shared its types with Payhall's adapter, a mistake in
//! them would be invisible, because both sides would make it.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::billers::Bill;
use super::ledger::{BankName, Movement, Op};

/// The numbers in an answer's `status`.
pub(super) mod status {
    pub const SUCCESS: i32 = 1;
    pub const UNKNOWN: i32 = -1;
    pub const PENDING: i32 = 2;
    pub const NOT_FOUND: i32 = 4;
    pub const REVERSED: i32 = 5;
    pub const STANDS: i32 = 4001;
    pub const NOT_NOW: i32 = 4002;

    pub const INSUFFICIENT_FUNDS: u16 = 1001;
    pub const ALREADY_PAID: u16 = 2001;
    pub const WRONG_AMOUNT: u16 = 2002;
    pub const BILL_NOT_FOUND: u16 = 2003;
    pub const BILLER_CLOSED: u16 = 2004;
    pub const EXPIRED: u16 = 3001;
    pub const REVERSED_BEFORE: u16 = 3002;

    /// The refusal that this status is, if it is one.
    pub fn refusal(status: i32) -> Option<u16> {
        match status {
            1001..=1004 | 2001..=2004 | 3001..=3002 => u16::try_from(status).ok(),
            _ => None,
        }
    }

    /// A few words for a person who reads the answer.
    pub fn message(status: i32) -> Option<&'static str> {
        Some(match status {
            UNKNOWN => "unknown",
            PENDING => "being worked on",
            NOT_FOUND => "not found",
            REVERSED => "reversed",
            1001 => "insufficient funds",
            1002 => "wrong credential",
            1003 => "account blocked",
            1004 => "limit exceeded",
            2001 => "bill already paid",
            2002 => "wrong amount",
            2003 => "bill not found",
            2004 => "biller closed",
            3001 => "request expired",
            3002 => "number was reversed before",
            STANDS => "payment stands, too late to reverse",
            NOT_NOW => "reversal not possible now",
            _ => return None,
        })
    }
}

/// A call that was understood.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Pay(Pay),
    Query { bank: BankName, flow_no: String },
    Reverse(Reverse),
    Lookup { biller: String, bill_no: String },
}

/// A payment, as it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Pay {
    pub bank: BankName,
    pub movement: Movement,
    pub bill_ref: Option<String>,
    pub valid_until: DateTime<Utc>,
}

/// A reversal, as it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Reverse {
    pub bank: BankName,
    pub flow_no: String,
    pub payment_flow_no: String,
    pub order_no: String,
    pub bill_no: String,
    pub amount_minor: i64,
    pub currency: String,
}

impl Call {
    /// What is asked.
    pub fn op(&self) -> Op {
        match self {
            Self::Pay(_) => Op::Pay,
            Self::Query { .. } => Op::Query,
            Self::Reverse(_) => Op::Reverse,
            Self::Lookup { .. } => Op::Lookup,
        }
    }

    /// The bank that is called; none for a lookup.
    pub fn bank(&self) -> Option<BankName> {
        match self {
            Self::Pay(pay) => Some(pay.bank),
            Self::Query { bank, .. } => Some(*bank),
            Self::Reverse(reverse) => Some(reverse.bank),
            Self::Lookup { .. } => None,
        }
    }
}

/// Understands a request to a bank; `Err` says in words what is wrong with it.
pub(super) fn parse_bank_call(bank: BankName, op: Op, body: &[u8]) -> Result<Call, String> {
    match op {
        Op::Pay => {
            let body: PayBody = decode(body)?;
            Ok(Call::Pay(Pay {
                bank,
                movement: Movement {
                    flow_no: number(body.flow_no, "flow_no")?,
                    order_no: number(body.order_no, "order_no")?,
                    biller: number(body.biller, "biller")?,
                    bill_no: number(body.bill_no, "bill_no")?,
                    amount_minor: amount(&body.amount_minor)?,
                    currency: currency(body.currency)?,
                },
                bill_ref: body.bill_ref,
                valid_until: body.valid_until,
            }))
        }
        Op::Query => {
            let body: QueryBody = decode(body)?;
            Ok(Call::Query {
                bank,
                flow_no: number(body.flow_no, "flow_no")?,
            })
        }
        Op::Reverse => {
            let body: ReverseBody = decode(body)?;
            Ok(Call::Reverse(Reverse {
                bank,
                flow_no: number(body.flow_no, "flow_no")?,
                payment_flow_no: number(body.payment_flow_no, "payment_flow_no")?,
                order_no: number(body.order_no, "order_no")?,
                bill_no: number(body.bill_no, "bill_no")?,
                amount_minor: amount(&body.amount_minor)?,
                currency: currency(body.currency)?,
            }))
        }
        Op::Lookup => Err("a bank has no lookup".into()),
    }
}

/// Understands a lookup at a biller.
pub(super) fn parse_lookup(biller: &str, body: &[u8]) -> Result<Call, String> {
    let body: LookupBody = decode(body)?;
    let bill_no = number(body.bill_no, "bill_no")?;
    Ok(Call::Lookup {
        biller: biller.to_owned(),
        bill_no,
    })
}

#[derive(Deserialize)]
struct PayBody {
    flow_no: String,
    order_no: String,
    #[serde(rename = "item")]
    _item: String,
    biller: String,
    bill_no: String,
    bill_ref: Option<String>,
    amount_minor: String,
    currency: String,
    /// Neither looked at nor kept.
    #[serde(rename = "credential")]
    _credential: Option<String>,
    valid_until: DateTime<Utc>,
}

#[derive(Deserialize)]
struct QueryBody {
    flow_no: String,
}

#[derive(Deserialize)]
struct ReverseBody {
    flow_no: String,
    payment_flow_no: String,
    order_no: String,
    bill_no: String,
    amount_minor: String,
    currency: String,
}

#[derive(Deserialize)]
struct LookupBody {
    bill_no: String,
}

fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// The numbers are other people's: any short text that can stand in a line and in a path.
fn number(text: String, name: &str) -> Result<String, String> {
    let good = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good {
        Ok(text)
    } else {
        Err(format!("{name}: 1 to 64 visible ASCII characters"))
    }
}

fn amount(text: &str) -> Result<i64, String> {
    let digits = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = if digits { text.parse().ok() } else { None };
    value.ok_or_else(|| "amount_minor: a string of 1 to 18 digits".to_owned())
}

fn currency(text: String) -> Result<String, String> {
    let good = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if good {
        Ok(text)
    } else {
        Err("currency: three capital letters".into())
    }
}

/// What a bank answers.
#[derive(Serialize)]
pub(super) struct BankAnswer<'a> {
    pub status: i32,
    pub flow_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bill_no: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'static str>,
}

/// What a biller answers to a lookup.
#[derive(Serialize)]
pub(super) struct LookupAnswer<'a> {
    pub status: i32,
    pub bill_no: Cow<'a, str>,
    #[serde(flatten)]
    pub bill: Option<OpenBill<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'static str>,
}

/// The part of it that only an open bill has.
#[derive(Serialize)]
pub(super) struct OpenBill<'a> {
    amount_minor: String,
    currency: &'static str,
    period: &'a str,
    holder: &'a str,
    bill_ref: &'a str,
}

impl<'a> From<&'a Bill> for OpenBill<'a> {
    fn from(bill: &'a Bill) -> Self {
        Self {
            amount_minor: bill.amount_minor.to_string(),
            currency: CURRENCY,
            period: &bill.period,
            holder: &bill.holder,
            bill_ref: &bill.bill_ref,
        }
    }
}

/// The one currency of the simulated world.
pub(super) const CURRENCY: &str = "CNY";
