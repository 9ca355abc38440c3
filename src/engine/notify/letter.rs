//! What a merchant is sent: the same bytes in every try, because they are made from what never changes
//! of the order and from what the notification itself tells.

use crate::domain::notification::Notification;
use crate::domain::order::Order;
use chrono::SecondsFormat;
use serde::Serialize;

/// The body. Its fields are described in `docs/NOTIFICATIONS.md`; more may come, none goes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    notification_id: String,
    order_no: &'a str,
    order_version: i32,
    merchant: &'a str,
    request_no: &'a str,
    item: &'a str,
    bill_no: &'a str,
    amount: Amount<'a>,
    state: &'a str,
    reason: Option<&'a str>,
    business_date: String,
    at: String,
}

/// Money as the API writes it: a text, so that no reader makes a float of it.
#[derive(Serialize)]
struct Amount<'a> {
    minor: String,
    currency: &'a str,
}

/// The body of a notification about an order.
pub(super) fn body_of(of: &Notification, order: &Order) -> Vec<u8> {
    let body = Body {
        notification_id: of.notification_id.to_string(),
        order_no: of.order_no.as_str(),
        order_version: of.order_version,
        merchant: of.merchant.as_str(),
        request_no: order.request_no.as_str(),
        item: order.item.as_str(),
        bill_no: order.bill_no.as_str(),
        amount: Amount {
            minor: order.amount.amount_minor.to_string(),
            currency: order.amount.currency.code(),
        },
        state: of.order_state.as_str(),
        reason: of.order_reason.as_deref(),
        business_date: order.business_date.to_string(),
        at: of.created_at.to_rfc3339_opts(SecondsFormat::Micros, true),
    };
    // Texts and numbers only: it cannot fail.
    serde_json::to_vec(&body).unwrap_or_default()
}
