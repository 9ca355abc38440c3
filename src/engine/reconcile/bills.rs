//! The bill numbers of our flows, held against those that partners' lines name. A line with our number and our
//! amount that names another bill says that somebody else was paid.
//!
//! The numbers are kept as they are, one behind the other in one text: a day of five million flows is some
//! 200 MB. Where no profile of the day has a column for the bill, nothing is kept at all.

use super::plan::Plan;
use crate::domain::ids::NUMBER_DIGITS;
use crate::domain::reconciliation::Bill;
use crate::engine::Engine;
use crate::engine::partner_files::FileFault;
use crate::files::Field;

/// The bills of the flows of one day.
#[derive(Debug, Default)]
pub(super) struct Bills {
    /// The number of a flow and that of its bill, and so on, in the sequence of the flows' numbers.
    text: String,
    /// Where each flow begins.
    starts: Vec<usize>,
}

impl Bills {
    /// Takes the next flow: they come in the sequence of their numbers.
    pub(super) fn push(&mut self, flow_no: &str, bill_no: &str) {
        // All numbers of ours have one length; so it needs nothing between them and what follows.
        if flow_no.len() == NUMBER_DIGITS {
            self.starts.push(self.text.len());
            self.text.push_str(flow_no);
            self.text.push_str(bill_no);
        }
    }

    /// Whether a line about a flow of the day names its bill.
    pub(super) fn hold(&self, flow_no: &str, line_says: &str) -> Bill {
        if line_says.is_empty() {
            return Bill::Agrees;
        }
        hold(self.of(flow_no), line_says)
    }

    /// The bill of a flow; none where it is no flow of the day.
    fn of(&self, flow_no: &str) -> Option<&str> {
        let number = |start: usize| &self.text[start..start + NUMBER_DIGITS];
        let place = self
            .starts
            .partition_point(|start| number(*start) < flow_no);
        let start = *self.starts.get(place)?;
        let next = self.starts.get(place + 1).copied();
        let bill_no = &self.text[start + NUMBER_DIGITS..next.unwrap_or(self.text.len())];
        (number(start) == flow_no).then_some(bill_no)
    }
}

/// Whether a line names the bill of our flow. One that names none agrees, and so does one about no flow of ours.
pub(super) fn hold(ours: Option<&str>, line_says: &str) -> Bill {
    match ours {
        Some(ours) if !line_says.is_empty() && ours != line_says => Bill::Other,
        _ => Bill::Agrees,
    }
}

impl Engine {
    /// Whether a file of the day may name bills.
    pub(super) fn bills_are_named(&self, plan: &Plan) -> Result<bool, FileFault> {
        for party in &plan.parties {
            let profile = self.0.options.profiles.get(&party.file.profile)?;
            if profile.has(Field::BillNo) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_held_against_the_bill_of_its_flow() {
        let number = |n: u32| format!("20261122{n:016}");
        let mut bills = Bills::default();
        for (n, bill_no) in [(1, "13800000001"), (3, ""), (5, "1380000000")] {
            bills.push(&number(n), bill_no);
        }
        for (n, says, found) in [
            (1, "13800000001", Bill::Agrees),
            (1, "13800000002", Bill::Other),
            (1, "1380000000", Bill::Other),
            (1, "", Bill::Agrees),
            (3, "1", Bill::Other),
            (5, "1380000000", Bill::Agrees),
            (5, "13800000001", Bill::Other),
            (0, "1", Bill::Agrees),
            (2, "1", Bill::Agrees),
            (9, "1", Bill::Agrees),
        ] {
            assert_eq!(bills.hold(&number(n), says), found, "{n} {says}");
        }
        assert_eq!(bills.hold("not-ours", "1"), Bill::Agrees);
        assert_eq!(Bills::default().hold(&number(1), "1"), Bill::Agrees);
    }
}
