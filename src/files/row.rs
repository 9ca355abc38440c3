//! What a line of a file says, whichever way it is laid out; and the counts and sums of a whole file.

use crate::domain::flow::FlowKind;
use crate::domain::money::Currency;
use crate::domain::named_enum;
use crate::domain::time::{BusinessDate, Instant};

named_enum! {
    /// What a column may hold.
    pub enum Field {
        /// The flow's number, by which all sides know it.
        FlowNo = "FLOW_NO",
        /// The number of the flow's order.
        OrderNo = "ORDER_NO",
        /// Of a reversal: the flow that it undoes.
        PaymentFlowNo = "PAYMENT_FLOW_NO",
        /// The far side's own number.
        UpstreamRef = "UPSTREAM_REF",
        /// The merchant's own number of the order.
        RequestNo = "REQUEST_NO",
        /// The merchant's code.
        Merchant = "MERCHANT",
        /// The biller's code.
        Biller = "BILLER",
        /// The item's code.
        Item = "ITEM",
        /// The number of the bill, the account or the meter.
        BillNo = "BILL_NO",
        /// A text for people, such as the item's name: the only field that may hold more than ASCII.
        Note = "NOTE",
        /// Payment or reversal.
        Kind = "KIND",
        /// What became of it.
        Status = "STATUS",
        /// How much.
        Amount = "AMOUNT",
        /// What is kept of it, by the contract.
        Fee = "FEE",
        /// What is left of it for the party.
        Net = "NET",
        /// The currency's three letters.
        Currency = "CURRENCY",
        /// The day on which it counts.
        BusinessDate = "BUSINESS_DATE",
        /// When it started.
        StartedAt = "STARTED_AT",
        /// When its outcome was known.
        ConcludedAt = "CONCLUDED_AT",
    }
}

named_enum! {
    /// What a line says became of a flow.
    pub enum LineStatus {
        /// The money moved.
        Succeeded = "SUCCEEDED",
        /// It did not.
        Failed = "FAILED",
        /// Whoever wrote the file does not know yet.
        Pending = "PENDING",
    }
}

/// One line. Texts that a file has no column for are empty; so are they written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The flow's number. A partner's file may hold one that is none of ours.
    pub flow_no: &'a str,
    /// The number of its order.
    pub order_no: &'a str,
    /// Of a reversal: the flow that it undoes.
    pub payment_flow_no: &'a str,
    /// The far side's own number.
    pub upstream_ref: &'a str,
    /// The merchant's own number of the order.
    pub request_no: &'a str,
    /// The merchant's code.
    pub merchant: &'a str,
    /// The biller's code.
    pub biller: &'a str,
    /// The item's code.
    pub item: &'a str,
    /// The number of the bill.
    pub bill_no: &'a str,
    /// A text for people.
    pub note: &'a str,
    /// Payment or reversal.
    pub kind: FlowKind,
    /// What became of it.
    pub status: LineStatus,
    /// How much, in minor units: never negative, whatever sign the file gives reversals.
    pub amount_minor: i64,
    /// What is kept of it, in minor units, signed as it counts: what a reversal gives back is negative.
    pub fee_minor: Option<i64>,
    /// What the party gets, in minor units, signed as it counts: a reversal takes it back.
    pub net_minor: Option<i64>,
    /// The currency; the same in the whole file.
    pub currency: Currency,
    /// The day on which it counts.
    pub business_date: Option<BusinessDate>,
    /// When it started. Files know whole seconds.
    pub started_at: Option<Instant>,
    /// When its outcome was known. Files know whole seconds.
    pub concluded_at: Option<Instant>,
}

impl Row<'_> {
    /// A payment that succeeded, of which nothing else is known.
    pub fn payment<'a>(flow_no: &'a str, amount_minor: i64, currency: Currency) -> Row<'a> {
        Row {
            flow_no,
            order_no: "",
            payment_flow_no: "",
            upstream_ref: "",
            request_no: "",
            merchant: "",
            biller: "",
            item: "",
            bill_no: "",
            note: "",
            kind: FlowKind::Payment,
            status: LineStatus::Succeeded,
            amount_minor,
            fee_minor: None,
            net_minor: None,
            currency,
            business_date: None,
            started_at: None,
            concluded_at: None,
        }
    }
}

/// How many lines, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub rows: u64,
    /// Their amounts' sum in minor units; never negative.
    pub amount_minor: i64,
}

/// The counts and sums of a file, by kind and status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    tallies: [[Tally; 3]; 2],
    /// The sum of all fees, in minor units, signed as they count.
    pub fee_minor: i64,
    /// The sum of all net amounts, in minor units, signed as they count.
    pub net_minor: i64,
}

/// A sum that leaves 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sum is larger than an amount can be")]
pub struct SumTooLarge;

impl Totals {
    /// What lines of this kind and status add up to.
    pub fn tally(&self, kind: FlowKind, status: LineStatus) -> Tally {
        self.tallies[kind as usize][status as usize]
    }

    /// Adds many lines of one kind and status at once, as a database sums them up.
    ///
    /// # Errors
    /// When a sum leaves 64 bits.
    pub fn add(
        &mut self,
        kind: FlowKind,
        status: LineStatus,
        more: Tally,
    ) -> Result<(), SumTooLarge> {
        let tally = &mut self.tallies[kind as usize][status as usize];
        tally.rows = tally.rows.checked_add(more.rows).ok_or(SumTooLarge)?;
        let sum = tally.amount_minor.checked_add(more.amount_minor);
        tally.amount_minor = sum.ok_or(SumTooLarge)?;
        Ok(())
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When a sum leaves 64 bits.
    pub fn add_row(&mut self, row: &Row<'_>) -> Result<(), SumTooLarge> {
        let Row {
            kind,
            status,
            amount_minor,
            ..
        } = *row;
        let rows = 1;
        self.add(kind, status, Tally { rows, amount_minor })?;
        let fee = self.fee_minor.checked_add(row.fee_minor.unwrap_or(0));
        self.fee_minor = fee.ok_or(SumTooLarge)?;
        let net = self.net_minor.checked_add(row.net_minor.unwrap_or(0));
        self.net_minor = net.ok_or(SumTooLarge)?;
        Ok(())
    }

    /// How many lines there are.
    pub fn rows(&self) -> u64 {
        self.tallies.iter().flatten().map(|tally| tally.rows).sum()
    }

    /// The amounts of all lines of a kind, whatever became of them; wide enough for every sum.
    pub fn amount(&self, kind: FlowKind) -> i128 {
        let amounts = self.tallies[kind as usize].iter();
        amounts.map(|tally| i128::from(tally.amount_minor)).sum()
    }

    /// Every kind and status that there are lines of, in one order.
    pub fn each(&self) -> impl Iterator<Item = (FlowKind, LineStatus, Tally)> + '_ {
        let kinds = FlowKind::ALL.iter();
        let all = kinds.flat_map(|kind| LineStatus::ALL.iter().map(move |status| (*kind, *status)));
        all.map(|(kind, status)| (kind, status, self.tally(kind, status)))
            .filter(|(.., tally)| tally.rows > 0)
    }
}
