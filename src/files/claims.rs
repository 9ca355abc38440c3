//! What head and trailer of a file say of it, and whether it is so.

use super::amount::AmountForm;
use super::profile::Profile;
use super::reader::{Expect, Refusal};
use super::row::Totals;
use super::stop::Stop;
use super::template::{Part, Slot, Template};
use super::values::{Counted, sum_of};
use crate::domain::audit::hex;
use crate::domain::time::BusinessDate;

/// What lines of head and trailer said that only the rows can prove.
#[derive(Debug, Default)]
pub(super) struct Claims {
    counted: Vec<(u64, Slot, Counted)>,
}

impl Claims {
    /// Reads a line of head or trailer. What the line before it says at once is looked at at once.
    /// `digest` is that of everything before the line.
    pub fn read(
        &mut self,
        (profile, expect): (&Profile, &Expect<'_>),
        template: &Template,
        (line, text): (u64, &str),
        digest: Option<[u8; 32]>,
    ) -> Result<(), Stop> {
        let values = template
            .read(text)
            .map_err(|reason| Stop::at(line, reason))?;
        let amounts = AmountForm::new(profile.unit, expect.currency);
        for (slot, value) in values {
            let wrong = |reason: String| Stop::at(line, format!("{slot}: {reason}"));
            if slot.counts() {
                let counted = read_counted(slot, value, amounts).map_err(wrong)?;
                self.counted.push((line, slot, counted));
                continue;
            }
            let BusinessDate(date) = expect.business_date;
            let expected = match slot {
                Slot::BusinessDate => date.format("%Y-%m-%d").to_string(),
                Slot::Date => date.format("%Y%m%d").to_string(),
                Slot::Currency => expect.currency.code().to_owned(),
                // In the second pass nobody hashes again.
                Slot::Sha256 => match digest {
                    Some(digest) => hex(&digest),
                    None => continue,
                },
                _ => continue,
            };
            if value != expected {
                let reason = format!("the file says {value:?}, and it is {expected:?}");
                return Err(wrong(reason));
            }
        }
        Ok(())
    }

    /// Compares what was said with what the rows add up to.
    pub fn hold(&self, profile: &Profile, totals: &Totals) -> Result<(), Refusal> {
        for (line, slot, said) in &self.counted {
            let found = sum_of(totals, *slot, profile.reversals);
            if *said != found {
                let (said, found) = (say(*said), say(found));
                let reason = format!("{slot}: the line says {said}, and the rows make {found}");
                return Err(Refusal {
                    line: *line,
                    reason,
                });
            }
        }
        Ok(())
    }
}

fn read_counted(slot: Slot, value: &str, amounts: AmountForm) -> Result<Counted, String> {
    if let Counted::Minor(_) = sum_of(&Totals::default(), slot, super::profile::Reversals::Word) {
        let read = amounts.read(value).map(i128::from).map(Counted::Minor);
        return read.map_err(|expected| format!("{value:?}: {expected}"));
    }
    let is_count = (1..=18).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    let count = value.parse().ok().filter(|_| is_count);
    count
        .map(Counted::Rows)
        .ok_or_else(|| format!("{value:?} is no count: digits only"))
}

fn say(counted: Counted) -> String {
    match counted {
        Counted::Rows(rows) => format!("{rows} rows"),
        Counted::Minor(minor) => format!("{minor} in minor units"),
    }
}

impl Template {
    /// Takes a line apart.
    fn read<'t>(&self, text: &'t str) -> Result<Vec<(Slot, &'t str)>, String> {
        let expected = || format!("the line is not of the form {self}");
        let mut values = Vec::new();
        let mut rest = text;
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(literal) => {
                    rest = rest.strip_prefix(literal.as_str()).ok_or_else(expected)?;
                }
                Part::Place { slot, .. } => {
                    let end = match parts.peek() {
                        Some(Part::Literal(next)) => rest.find(next.as_str()),
                        _ => Some(rest.len()),
                    };
                    let (value, after) = rest.split_at(end.ok_or_else(expected)?);
                    values.push((*slot, value));
                    rest = after;
                }
            }
        }
        if rest.is_empty() {
            Ok(values)
        } else {
            Err(expected())
        }
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(text) => f.write_str(text)?,
                Part::Place { slot, .. } => write!(f, "{{{slot}}}")?,
            }
        }
        Ok(())
    }
}
