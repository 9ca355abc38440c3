//! One part of a comparison: its rows sorted, and walked along side by side.

use super::class::{Class, Side};
use super::judge::classify;
use super::matching::{Difference, Matching, sides_of};
use super::packed::{Number, PURSES, Packed, Value};
use super::row::{RowState, Sides};
use super::rules::{Rules, Waited};
use super::totals::{Overflow, Sum, Tally, Totals};

/// So many differences are kept beside the counts.
pub(super) const DIFFERENCES_MAX: usize = 100_000;

/// From so many runs on, rows count as shuffled.
const RUNS_MAX: usize = 16;

/// Lays the pieces of a side out in one stack, sorted by number and line, and back into the pieces.
pub(super) fn sort(pieces: &mut [&mut [Packed]], stack: &mut Vec<Packed>) {
    stack.clear();
    for piece in &*pieces {
        stack.extend_from_slice(piece);
    }
    // No two rows of a side have one number and one line, so nothing depends on the sort being stable. Our
    // side mostly comes sorted, in as many runs as threads have read it: the stable sort lays runs
    // together; the other one is quicker where there is nothing to see, and needs no memory.
    let breaks = stack.windows(2).filter(|two| two[0].key() > two[1].key());
    match breaks.take(RUNS_MAX).count() {
        0 => {}
        RUNS_MAX => stack.sort_unstable_by_key(Packed::key),
        _ => stack.sort_by_key(Packed::key),
    }
    let mut sorted = &stack[..];
    for piece in pieces {
        let (these, rest) = sorted.split_at(piece.len());
        piece.copy_from_slice(these);
        sorted = rest;
    }
}

/// Walks along three sorted stacks.
pub(super) fn walk(
    stacks: &[Vec<Packed>; 3],
    matching: &Matching,
    found: &mut Found,
) -> Result<(), Overflow> {
    let [mut ours, mut bank, mut biller] = [&stacks[0][..], &stacks[1][..], &stacks[2][..]];
    let mut rows = [Vec::new(), Vec::new(), Vec::new()];
    while let Some(number) = least([ours, bank, biller]) {
        let taken = [
            take(&mut ours, number),
            take(&mut bank, number),
            take(&mut biller, number),
        ];
        if let Some(value) = all_moved(taken) {
            found.purses[value.purse()].put(value, taken[2].len())?;
            continue;
        }
        for (rows, taken) in rows.iter_mut().zip(taken) {
            rows.clear();
            rows.extend(taken.iter().map(|packed| matching.row(packed)));
        }
        let digits = number.digits();
        let flow_no = std::str::from_utf8(&digits).unwrap_or_default();
        found.see(flow_no, sides_of(&rows), &matching.rules)?;
    }
    Ok(())
}

/// The least number that lies on top of a stack.
pub(super) fn least(stacks: [&[Packed]; 3]) -> Option<Number> {
    let tops = stacks.into_iter().filter_map(|stack| stack.first());
    tops.map(Packed::number).min()
}

/// Takes the rows of a number from the top of a stack.
pub(super) fn take<'a>(stack: &mut &'a [Packed], number: Number) -> &'a [Packed] {
    let others = stack.iter().position(|row| row.number() != number);
    let (taken, rest) = stack.split_at(others.unwrap_or(stack.len()));
    *stack = rest;
    taken
}

/// The short way through the table of classes for nearly all flows: one row of ours, one of the bank's,
/// one of the biller's if it has to list it, and all say to the last unit that the money moved. The
/// table would say ALL_AGREE; a test holds that it does.
fn all_moved([ours, bank, biller]: [&[Packed]; 3]) -> Option<Value> {
    let ([ours], [bank]) = (ours, bank) else {
        return None;
    };
    let value = ours.value();
    let agree = value.both_moved(bank.value())
        && match biller {
            [] => !value.asks_biller(),
            [biller] => value.both_moved(biller.value()),
            _ => false,
        };
    agree.then_some(value)
}

/// What was found in some parts.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) totals: Totals,
    pub(super) differences: Vec<Difference>,
    pub(super) differences_all: u64,
    purses: [Purse; PURSES],
}

impl Default for Found {
    fn default() -> Self {
        Self {
            totals: Totals::default(),
            differences: Vec::new(),
            differences_all: 0,
            purses: [Purse::default(); PURSES],
        }
    }
}

impl Found {
    /// Judges one flow number, counts it, and keeps it if it is something to look at.
    pub(super) fn see(
        &mut self,
        flow_no: &str,
        sides: Sides<'_>,
        rules: &[Rules],
    ) -> Result<(), Overflow> {
        let verdict = classify(sides, rules, Waited(0));
        self.totals.count(sides, &verdict)?;
        if verdict.class != Class::Matched || verdict.proves.is_some() {
            self.differences.push(Difference {
                flow_no: flow_no.into(),
                ours: sides.ours.to_vec(),
                bank: sides.bank.to_vec(),
                biller: sides.biller.to_vec(),
                verdict,
            });
            self.differences_all += 1;
            if self.differences.len() >= 2 * DIFFERENCES_MAX {
                self.keep_first_differences();
            }
        }
        Ok(())
    }

    /// Keeps no more differences than anybody looks at, the least numbers: whoever compares two files of
    /// different days gets as many as there are flows.
    pub(super) fn keep_first_differences(&mut self) {
        self.differences.sort_by(|a, b| a.flow_no.cmp(&b.flow_no));
        self.differences.truncate(DIFFERENCES_MAX);
    }

    /// Counts what went the short way.
    pub(super) fn put_purses_away(&mut self) -> Result<(), Overflow> {
        for purse in std::mem::replace(&mut self.purses, [Purse::default(); PURSES]) {
            let Some(value) = purse.value else { continue };
            let tally = |sum| {
                let mut tally = Tally::default();
                tally.count(value.kind(), RowState::Succeeded, sum)?;
                Ok::<_, Overflow>(tally)
            };
            let tallies = [
                (Side::Ours, tally(purse.flows)?),
                (Side::Bank, tally(purse.flows)?),
                (Side::Biller, tally(purse.billers)?),
            ];
            let (flows, currency) = (purse.flows.count, value.currency());
            self.totals
                .count_tallied(Class::Matched, currency, flows, tallies)?;
        }
        Ok(())
    }

    /// Takes over what was found in other parts.
    pub(super) fn add(&mut self, other: Found) -> Result<(), Overflow> {
        self.totals.add(&other.totals)?;
        self.differences.extend(other.differences);
        self.differences_all += other.differences_all;
        Ok(())
    }
}

/// Flows of one kind and currency that went the short way.
#[derive(Clone, Copy, Debug, Default)]
struct Purse {
    /// One of them, for their kind and currency.
    value: Option<Value>,
    /// The flows, as we and the bank list them.
    flows: Sum,
    /// Those of them that the biller lists.
    billers: Sum,
}

impl Purse {
    fn put(&mut self, value: Value, billers: usize) -> Result<(), Overflow> {
        let one = Sum {
            count: 1,
            minor: i128::from(value.amount_minor()),
        };
        self.value = Some(value);
        self.flows = self.flows.plus(one)?;
        if billers > 0 {
            self.billers = self.billers.plus(one)?;
        }
        Ok(())
    }
}
