//! What is kept: the order or flow as it was committed, under a key that names it.
//!
//! The stored text is `{version}|{JSON}`. The version stands in front so that the fence (a script
//! inside Redis) can compare two values without reading JSON. How one could break this: by writing
//! a value without its version, or by a format in which the version is not the first thing.

use super::settings::Lives;
use crate::domain::bill::Bill;
use crate::domain::flow::{Flow, FlowState};
use crate::domain::ids::{BillNo, BillerCode, FlowNo, OrderNo};
use crate::domain::order::Order;
use crate::domain::time;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The state of an order or a flow right after a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// An order.
    Order(Order),
    /// A flow.
    Flow(Flow),
}

impl From<Order> for Snapshot {
    fn from(order: Order) -> Self {
        Snapshot::Order(order)
    }
}

impl From<Flow> for Snapshot {
    fn from(flow: Flow) -> Self {
        Snapshot::Flow(flow)
    }
}

impl Snapshot {
    /// The key it is kept under.
    pub fn key(&self) -> String {
        match self {
            Snapshot::Order(order) => order_key(&order.order_no),
            Snapshot::Flow(flow) => flow_key(&flow.flow_no),
        }
    }

    /// Counts the changes of the row; the fence goes by it.
    pub fn version(&self) -> i32 {
        match self {
            Snapshot::Order(order) => order.version,
            Snapshot::Flow(flow) => flow.version,
        }
    }

    /// Whether it rests where it is, so that it may live long.
    pub fn is_settled(&self) -> bool {
        match self {
            Snapshot::Order(order) => order.open_since().is_none(),
            Snapshot::Flow(flow) => flow.open_since().is_none(),
        }
    }

    /// How long it may live, counted from the commit.
    pub(super) fn life(&self, lives: &Lives) -> Duration {
        if self.is_settled() {
            lives.settled
        } else {
            lives.open
        }
    }

    /// The stored text.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        match self {
            Snapshot::Order(order) => encode(order.version, order),
            Snapshot::Flow(flow) => encode(flow.version, flow),
        }
    }
}

/// Names an order or a flow in 16 bytes, without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark(u128);

impl Mark {
    /// Of an order: its 24 digits are below 2^80, so the doubled number never wraps.
    pub(super) fn order(order_no: &str) -> Self {
        Self(order_no.parse::<u128>().unwrap_or(0) << 1)
    }

    /// Of a flow; the last bit tells it from an order with the same number.
    pub(super) fn flow(flow_no: &str) -> Self {
        Self(Self::order(flow_no).0 | 1)
    }

    /// Of a snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        match snapshot {
            Snapshot::Order(order) => order.mark(),
            Snapshot::Flow(flow) => flow.mark(),
        }
    }

    /// A place below `places`. The last digits of a number name the instance and the first ones
    /// the day, so the middle ones are mixed in.
    pub(super) fn spread(self, places: usize) -> usize {
        let mixed = self.0 ^ (self.0 >> 21);
        usize::try_from(mixed % places.max(1) as u128).unwrap_or(0)
    }
}

/// A value that the fence guards.
pub(super) trait Fenced: DeserializeOwned {
    /// Counts the changes of the row.
    fn version(&self) -> i32;
    /// Which row it is.
    fn mark(&self) -> Mark;
    /// When it came into a state that it will leave; none where it rests.
    fn open_since(&self) -> Option<time::Instant>;
}

impl Fenced for Order {
    fn version(&self) -> i32 {
        self.version
    }

    fn mark(&self) -> Mark {
        Mark::order(self.order_no.as_str())
    }

    fn open_since(&self) -> Option<time::Instant> {
        (!self.state.is_terminal()).then_some(self.updated_at)
    }
}

impl Fenced for Flow {
    fn version(&self) -> i32 {
        self.version
    }

    fn mark(&self) -> Mark {
        Mark::flow(self.flow_no.as_str())
    }

    fn open_since(&self) -> Option<time::Instant> {
        (self.state == FlowState::Started).then_some(self.started_at)
    }
}

/// The key of an order.
pub(super) fn order_key(order_no: &OrderNo) -> String {
    format!("payhall:order:{order_no}")
}

/// The key of a flow.
pub(super) fn flow_key(flow_no: &FlowNo) -> String {
    format!("payhall:flow:{flow_no}")
}

/// The key of a looked-up bill. A biller's code holds no colon, so no two bills share a key.
pub(super) fn bill_key(biller: &BillerCode, bill_no: &BillNo) -> String {
    format!("payhall:bill:{biller}:{bill_no}")
}

/// The stored text of a bill; a bill has no version because nobody compares two of them.
pub(super) fn encode_bill(bill: &Bill) -> Option<Vec<u8>> {
    encode(0, bill)
}

fn encode<T: Serialize>(version: i32, value: &T) -> Option<Vec<u8>> {
    let mut text = format!("{}|", version.max(0)).into_bytes();
    text.reserve(640);
    serde_json::to_writer(&mut text, value).ok()?;
    Some(text)
}

/// Reads a stored text back; anything that is not one is `None`, whatever is wrong with it.
pub(super) fn decode<T: DeserializeOwned>(text: &[u8]) -> Option<(i32, T)> {
    let bar = text.iter().position(|byte| *byte == b'|')?;
    let digits = text.get(..bar)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let version = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let value = serde_json::from_slice(text.get(bar + 1..)?).ok()?;
    Some((version, value))
}
