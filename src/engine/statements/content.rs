//! What a statement tells, in one digest: how many flows of each kind and outcome there are, what they sum
//! up to, which changes they went through, and by which contract their fees go.

use crate::domain::audit::hex;
use crate::domain::contract::Contracts;
use crate::domain::money::Currency;
use crate::domain::statement::{PartyKind, StatementKey, date_of_number};
use crate::storage::day_flows::DayLine;
use sha2::{Digest, Sha256};

/// A statement, and what it has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Which one.
    pub key: StatementKey,
    /// How many flows it lists.
    pub flows: u64,
    /// The digest of what it tells.
    pub content: String,
}

/// What a statement tells, from the lines of its day.
pub(super) fn told(key: StatementKey, lines: &[DayLine], contracts: &Contracts) -> Told {
    let mut hash = Sha256::new();
    hash.update(b"payhall statement 1\n");
    let mut flows = 0;
    for line in lines.iter().filter(|line| is_of(line, &key)) {
        flows += u64::try_from(line.flows).unwrap_or(0);
        let paid_on = date_of_number(&line.paid_on).unwrap_or(key.date);
        let between = (line.merchant.as_str(), line.biller.as_str());
        let contract = contracts.in_force(between, key.currency, paid_on);
        let (points, fixed) = contract.map_or((0, 0), |c| (c.basis_points, c.fixed_minor));
        let DayLine {
            merchant,
            biller,
            currency: _,
            kind,
            state,
            paid_on,
            flows,
            amount_minor,
            versions,
        } = line;
        hash.update(format!(
            "{merchant}|{biller}|{kind}|{state}|{paid_on}|{flows}|{amount_minor}|{versions}|{points}|\
             {fixed}\n"
        ));
    }
    Told {
        key,
        flows,
        content: hex(&hash.finalize()),
    }
}

/// Whether a line belongs to a statement.
fn is_of(line: &DayLine, key: &StatementKey) -> bool {
    code_of(line, key.party.kind) == key.party.code && line.currency == key.currency.code()
}

/// The party of a kind that a line is about.
pub(super) fn code_of(line: &DayLine, kind: PartyKind) -> &str {
    match kind {
        PartyKind::Merchant => &line.merchant,
        PartyKind::Biller => &line.biller,
    }
}

/// The currency of a line, where it is one.
pub(super) fn currency_of(line: &DayLine) -> Option<Currency> {
    Currency::try_new(&line.currency).ok()
}
