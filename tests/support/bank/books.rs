//! The far side's own ledger: what the bank did to the payer's account and the biller's. Lines are
//! only added. It shares no logic with the engine; the two are compared at the end of every test.

use payhall::domain::time::Instant;

/// What a line did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Took money from the payer.
    Debit,
    /// Told the biller that the bill is paid.
    Credit,
    /// Gave the money back.
    Reversal,
    /// Told the biller that the bill is not paid after all.
    Recall,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: Instant,
    /// The number that caused it: a payment's, or a reversal's.
    pub number: String,
    /// The payment that it is about.
    pub payment: String,
    /// The bill.
    pub bill_no: String,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// What it did.
    pub effect: Effect,
}

/// The ledger.
#[derive(Clone, Debug, Default)]
pub struct Books {
    lines: Vec<Line>,
}

impl Books {
    /// Writes a line.
    pub fn add(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Every line, oldest first.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The lines about a payment, oldest first.
    pub fn about(&self, payment: &str) -> impl Iterator<Item = &Line> {
        self.lines
            .iter()
            .filter(move |line| line.payment == payment)
    }

    /// How often something was done about a payment.
    pub fn count(&self, payment: &str, effect: Effect) -> usize {
        self.about(payment)
            .filter(|line| line.effect == effect)
            .count()
    }

    /// Whether the biller believes at present that a bill is paid.
    pub fn is_credited(&self, bill_no: &str) -> bool {
        let of_bill = self.lines.iter().filter(|line| line.bill_no == bill_no);
        of_bill.fold(0_i32, |sum, line| match line.effect {
            Effect::Credit => sum + 1,
            Effect::Recall => sum - 1,
            Effect::Debit | Effect::Reversal => sum,
        }) > 0
    }
}
