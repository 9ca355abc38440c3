//! One row of a side, cut down to what a comparison looks at.

use crate::domain::flow::{FlowKind, FlowState};
use crate::domain::money::Money;
use crate::domain::named_enum;

named_enum! {
    /// What a row says became of the money.
    pub enum RowState {
        /// It moved.
        Succeeded = "SUCCEEDED",
        /// It did not move and will not.
        Failed = "FAILED",
        /// Not known.
        Pending = "PENDING",
    }
}

impl From<FlowState> for RowState {
    /// A payment that was undone has moved money all the same: its reversal is a flow of its own, of its
    /// own day, so that the payment's row never changes.
    fn from(state: FlowState) -> Self {
        match state {
            FlowState::Succeeded | FlowState::Reversed => RowState::Succeeded,
            FlowState::Failed => RowState::Failed,
            FlowState::Started => RowState::Pending,
        }
    }
}

/// Whether a row lies so near to the edge of its day that the other side may have it on the neighbour
/// day. `Rules::edge_of` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Within the cut-off window of the day's beginning or end.
    Near,
    /// Well inside the day.
    Far,
}

/// Which partners have to list a flow of ours. One whose file has not come takes no part, and that a
/// flow is not listed by it means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// The bank and the biller.
    Both,
    /// The bank; there is no file of the biller's.
    Bank,
    /// The biller; there is no file of the bank's.
    Biller,
    /// Nobody: there is no file at all.
    Nobody,
}

impl Asked {
    /// From whether there is a file of each.
    pub fn of(has_bank: bool, has_biller: bool) -> Self {
        match (has_bank, has_biller) {
            (true, true) => Asked::Both,
            (true, false) => Asked::Bank,
            (false, true) => Asked::Biller,
            (false, false) => Asked::Nobody,
        }
    }

    /// Whether the bank has to list it.
    pub fn bank(self) -> bool {
        matches!(self, Asked::Both | Asked::Bank)
    }

    /// Whether the biller has to list it.
    pub fn biller(self) -> bool {
        matches!(self, Asked::Both | Asked::Biller)
    }
}

/// Whether a partner's row names the bill that our flow of the number is for. `Matching` has no room for the
/// bills themselves: whoever reads a side compares them on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bill {
    /// It names the same, or none at all, or there is nothing to hold it against.
    Agrees,
    /// It names another.
    Other,
}

/// One row of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Payment or reversal; none where the side's file does not tell, which agrees with both.
    pub kind: Option<FlowKind>,
    /// What the side says became of the money.
    pub state: RowState,
    /// How much; never negative, also of a reversal.
    pub amount: Money,
    /// Whether it may stand on the neighbour day elsewhere.
    pub edge: Edge,
    /// Who has to list it. Looked at in our rows only; a partner's rows say `Both`.
    pub asked: Asked,
    /// Whether it is about our bill. Looked at in partners' rows only; ours say `Agrees`.
    pub bill: Bill,
    /// Which of the rules it falls under, as a place in the list that the comparison is given: of a
    /// partner's row the partner's, of ours those of the bank that it went to.
    pub rules: u8,
    /// Where it stands in its side's list, counted from 1; 0 where nobody counts. For people and for the
    /// sequence of a number's rows: it decides nothing.
    pub line: u32,
}

impl Row {
    /// A row in the plain middle of its day, under the first rules.
    pub fn new(kind: FlowKind, state: RowState, amount: Money) -> Self {
        Self {
            kind: Some(kind),
            state,
            amount,
            edge: Edge::Far,
            asked: Asked::Both,
            bill: Bill::Agrees,
            rules: 0,
            line: 0,
        }
    }

    /// The same row at a line of its side's list.
    pub fn at_line(self, line: u32) -> Self {
        Self { line, ..self }
    }

    /// The least and the most that the row may have moved, away from the payer: a reversal moves back.
    pub(super) fn moved(&self) -> (i128, i128) {
        let amount = i128::from(self.amount.amount_minor);
        let signed = match self.kind {
            Some(FlowKind::Reversal) => -amount,
            Some(FlowKind::Payment) | None => amount,
        };
        match self.state {
            RowState::Succeeded => (signed, signed),
            RowState::Failed => (0, 0),
            RowState::Pending => (signed.min(0), signed.max(0)),
        }
    }
}

/// The rows of one flow number, side by side: none, one, or several a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides<'a> {
    /// Ours.
    pub ours: &'a [Row],
    /// The bank's.
    pub bank: &'a [Row],
    /// The biller's.
    pub biller: &'a [Row],
}

impl Sides<'_> {
    /// All rows, ours first.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.ours.iter().chain(self.bank).chain(self.biller)
    }
}
