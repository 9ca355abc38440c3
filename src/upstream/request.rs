//! The bodies that are sent, written straight from borrowed values.
//!
//! Amounts are strings of digits in minor units, so that no reader on the way can make a float of
//! them. The field names are the wire protocol's; renaming one breaks every bank at once.

use super::{PayCall, QueryCall, ReverseCall};
use crate::domain::ids::BillNo;
use crate::domain::time::Instant;
use secrecy::ExposeSecret;
use serde::{Serialize, Serializer};

/// `POST {url}/pay`. It has no debug form on purpose: the credential stands in it in clear.
#[derive(Serialize)]
pub(super) struct PayBody<'a> {
    flow_no: &'a str,
    order_no: &'a str,
    item: &'a str,
    biller: &'a str,
    bill_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bill_ref: Option<&'a str>,
    amount_minor: Digits,
    currency: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    valid_until: Instant,
}

impl<'a> PayBody<'a> {
    pub(super) fn of(call: &PayCall<'a>) -> Self {
        Self {
            flow_no: call.flow_no.as_str(),
            order_no: call.order_no.as_str(),
            item: call.item.as_str(),
            biller: call.biller.as_str(),
            bill_no: call.bill_no.as_str(),
            bill_ref: call.bill_ref,
            amount_minor: Digits(call.amount.amount_minor),
            currency: call.amount.currency.code(),
            credential: call.credential.map(ExposeSecret::expose_secret),
            valid_until: call.valid_until,
        }
    }
}

/// `POST {url}/query`.
#[derive(Serialize)]
pub(super) struct QueryBody<'a> {
    flow_no: &'a str,
}

impl<'a> QueryBody<'a> {
    pub(super) fn of(call: &QueryCall<'a>) -> Self {
        Self {
            flow_no: call.flow_no.as_str(),
        }
    }
}

/// `POST {url}/reverse`.
#[derive(Serialize)]
pub(super) struct ReverseBody<'a> {
    flow_no: &'a str,
    payment_flow_no: &'a str,
    order_no: &'a str,
    bill_no: &'a str,
    amount_minor: Digits,
    currency: &'a str,
}

impl<'a> ReverseBody<'a> {
    pub(super) fn of(call: &ReverseCall<'a>) -> Self {
        Self {
            flow_no: call.flow_no.as_str(),
            payment_flow_no: call.payment_flow_no.as_str(),
            order_no: call.order_no.as_str(),
            bill_no: call.bill_no.as_str(),
            amount_minor: Digits(call.amount.amount_minor),
            currency: call.amount.currency.code(),
        }
    }
}

/// `POST {biller_url}/{biller}/lookup`.
#[derive(Serialize)]
pub(super) struct LookupBody<'a> {
    bill_no: &'a str,
}

impl<'a> LookupBody<'a> {
    pub(super) fn of(bill_no: &'a BillNo) -> Self {
        Self {
            bill_no: bill_no.as_str(),
        }
    }
}

/// Minor units, written as a string of digits.
struct Digits(i64);

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
