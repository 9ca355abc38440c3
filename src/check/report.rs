//! What a check found: for people, and for machines.

use crate::domain::named_enum;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

named_enum! {
    /// The rule that is broken.
    pub enum Invariant {
        /// The bank and the biller moved what the order's state says, never more than its amount.
        Money = "I1",
        /// One number a step, one effect a number, and no number that is not ours.
        OneEffect = "I2",
        /// Who is not settled is being worked on.
        NothingLost = "I3",
        /// Only allowed moves, and none out of a terminal state but a decided one.
        TerminalIsFinal = "I4",
        /// The flow is written down before the bank is called.
        IntentFirst = "I5",
        /// Who reverses has asked before.
        ReverseLast = "I6",
        /// What we believe is what was answered, about the same thing.
        Match = "I7",
        /// One audit row a move, in chains that hold.
        Audit = "I8",
        /// The cache shows what the database says, and nothing newer.
        Cache = "I9",
        /// What was acknowledged is there and can be read.
        Durable = "I10",
        /// One order a request, with the content that it was made with.
        OneRequest = "I11",
        /// Statements and what is settled say what the day's flows say, and their files are there.
        Statements = "I12",
        /// Every flow of a reconciled day is in exactly one class, and the result adds up.
        OneClass = "I13",
        /// Once faults stop, every order settles or has a case.
        Progress = "I14",
        /// One open payment a bill.
        OnePayment = "LAW3",
        /// Two people decide.
        TwoPeople = "LAW8",
        /// What counts against a merchant's day is what was confirmed on it.
        DayLimit = "DAY",
        /// No payment is sent twice to a bank that would pay twice.
        Budget = "BUDGET",
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that is broken.
    pub invariant: Invariant,
    /// The order it is about; none where it is about no single order.
    pub order_no: Option<String>,
    /// What is wrong, in a sentence.
    pub problem: String,
    /// What shows it: rows, numbers and lines of the ledger.
    pub evidence: String,
}

/// Money that moved although the order says it did not, with people at work on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Known {
    /// The order.
    pub order_no: String,
    /// The open case about it.
    pub case_no: String,
    /// What moved, in minor units.
    pub amount_minor: i64,
}

/// The orders of one state and currency, at both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateFigures {
    /// The state.
    pub state: String,
    /// The currency of the sums.
    pub currency: String,
    /// How many orders.
    pub orders: u64,
    /// The sum of their amounts, by our database; minor units.
    #[serde(serialize_with = "as_text")]
    pub ours_minor: i128,
    /// What the bank took from payers for them and did not give back; minor units.
    #[serde(serialize_with = "as_text")]
    pub bank_minor: i128,
    /// What the billers got for them and did not give back; minor units.
    #[serde(serialize_with = "as_text")]
    pub biller_minor: i128,
}

/// What was called, by the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallFigures {
    /// Whether the ledger keeps calls at all.
    pub logged: bool,
    /// Payments sent.
    pub pay: u64,
    /// Questions about payments.
    pub query: u64,
    /// Reversals sent.
    pub reverse: u64,
    /// Bill lookups.
    pub lookup: u64,
    /// Orders for which a payment was sent.
    pub orders_paid: u64,
    /// The most payments that were sent for one order.
    pub pay_per_order_max: u64,
    /// Payments sent for an order on average, in thousandths.
    pub pay_per_order_milli: u64,
    /// Calls of any kind but lookups made for an order on average, in thousandths.
    pub calls_per_order_milli: u64,
}

/// How much was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Orders.
    pub orders: u64,
    /// Flows.
    pub flows: u64,
    /// Exceptions, open and closed.
    pub exceptions: u64,
    /// Cases, open and closed.
    pub cases: u64,
    /// Audit rows.
    pub audit_rows: u64,
    /// Audit chains.
    pub audit_streams: u64,
    /// Lines of the ledger.
    pub ledger_lines: u64,
    /// Whether the ledger's last line is torn; it counts as never written.
    pub ledger_torn: bool,
    /// Copies in the cache; none where no Redis was named, so that nobody could look at any.
    pub copies: Option<u64>,
    /// Orders that the bank was busy with while the check began: only their ceiling is judged.
    pub moving: u64,
    /// Orders by state and currency.
    pub by_state: Vec<StateFigures>,
    /// Calls.
    pub calls: CallFigures,
}

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How many things are wrong.
    pub findings_total: u64,
    /// How many of each rule.
    pub findings_by_invariant: BTreeMap<Invariant, u64>,
    /// The first of them.
    pub findings: Vec<Finding>,
    /// How many late successes people are at work on.
    pub known_total: u64,
    /// The first of them.
    pub known: Vec<Known>,
    /// How much was looked at.
    pub figures: Figures,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings_total == 0
    }

    /// The report as a JSON object. Sums are strings, because they may not fit a JSON reader's
    /// numbers.
    ///
    /// # Errors
    /// None that this type can bring about; serde's signature asks for it.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

/// Collects what is wrong; counts everything, keeps the first.
pub(super) struct Findings {
    most: usize,
    total: u64,
    by_invariant: BTreeMap<Invariant, u64>,
    list: Vec<Finding>,
    known_total: u64,
    known: Vec<Known>,
}

impl Findings {
    /// Keeps at most so many.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            total: 0,
            by_invariant: BTreeMap::new(),
            list: Vec::new(),
            known_total: 0,
            known: Vec::new(),
        }
    }

    /// Takes a finding about an order.
    pub fn about(
        &mut self,
        order_no: impl fmt::Display,
        invariant: Invariant,
        problem: impl Into<String>,
        evidence: impl Into<String>,
    ) {
        let order_no = Some(order_no.to_string());
        self.add(invariant, order_no, problem.into(), evidence.into());
    }

    /// Takes a finding that is about no single order.
    pub fn general(
        &mut self,
        invariant: Invariant,
        problem: impl Into<String>,
        evidence: impl Into<String>,
    ) {
        self.add(invariant, None, problem.into(), evidence.into());
    }

    /// Takes a late success that people are at work on.
    pub fn known(&mut self, known: Known) {
        self.known_total += 1;
        if self.known.len() < self.most {
            self.known.push(known);
        }
    }

    fn add(
        &mut self,
        invariant: Invariant,
        order_no: Option<String>,
        problem: String,
        evidence: String,
    ) {
        self.total += 1;
        *self.by_invariant.entry(invariant).or_default() += 1;
        if self.list.len() < self.most {
            self.list.push(Finding {
                invariant,
                order_no,
                problem,
                evidence,
            });
        }
    }

    /// The report.
    pub fn report(self, figures: Figures) -> Report {
        Report {
            findings_total: self.total,
            findings_by_invariant: self.by_invariant,
            findings: self.list,
            known_total: self.known_total,
            known: self.known,
            figures,
        }
    }
}

fn as_text<S: serde::Serializer>(sum: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(sum)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.invariant)?;
        if let Some(order_no) = &self.order_no {
            write!(f, " order {order_no}")?;
        }
        write!(f, ": {} ({})", self.problem, self.evidence)
    }
}

/// How many findings people are shown.
const SHOWN_MAX: usize = 50;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        writeln!(
            f,
            "looked at {} orders, {} flows, {} exceptions, {} cases, {} audit rows in {} chains, \
             {} ledger lines",
            figures.orders,
            figures.flows,
            figures.exceptions,
            figures.cases,
            figures.audit_rows,
            figures.audit_streams,
            figures.ledger_lines,
        )?;
        figures.write_states(f)?;
        figures.calls.write(f)?;
        match figures.copies {
            Some(copies) => writeln!(f, "looked at {copies} copies in the cache")?,
            None => writeln!(
                f,
                "no Redis is named (cache.url): copies in the cache (I9) were not looked at"
            )?,
        }
        if figures.ledger_torn {
            writeln!(f, "the ledger's last line is torn and was left out")?;
        }
        if figures.moving > 0 {
            writeln!(
                f,
                "{} orders were on the move and are judged by their ceiling only",
                figures.moving
            )?;
        }
        for known in self.known.iter().take(SHOWN_MAX) {
            writeln!(
                f,
                "known: order {} moved {} minor units late, case {} is open",
                known.order_no, known.amount_minor, known.case_no
            )?;
        }
        write_more(f, self.known_total, self.known.len().min(SHOWN_MAX))?;
        match self.findings_total {
            0 => return writeln!(f, "no findings"),
            1 => writeln!(f, "1 finding")?,
            many => writeln!(f, "{many} findings")?,
        }
        let counts: Vec<String> = self
            .findings_by_invariant
            .iter()
            .map(|(invariant, count)| format!("{invariant} {count}"))
            .collect();
        writeln!(f, "by rule: {}", counts.join(", "))?;
        for finding in self.findings.iter().take(SHOWN_MAX) {
            writeln!(f, "{finding}")?;
        }
        write_more(f, self.findings_total, self.findings.len().min(SHOWN_MAX))
    }
}

fn write_more(f: &mut fmt::Formatter<'_>, total: u64, shown: usize) -> fmt::Result {
    let shown = u64::try_from(shown).unwrap_or(u64::MAX);
    match total.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(f, "... and {more} more"),
    }
}

impl Figures {
    fn write_states(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["state", "orders", "ours, minor", "bank", "billers"];
        let [state, orders, ours, bank, billers] = head;
        writeln!(
            f,
            "{state:<10} {orders:>9} {ours:>16} {bank:>16} {billers:>16}"
        )?;
        for row in &self.by_state {
            writeln!(
                f,
                "{:<10} {:>9} {:>16} {:>16} {:>16} {}",
                row.state,
                row.orders,
                row.ours_minor,
                row.bank_minor,
                row.biller_minor,
                row.currency
            )?;
        }
        Ok(())
    }
}

impl CallFigures {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.logged {
            return writeln!(
                f,
                "the ledger keeps no calls: what was asked cannot be judged"
            );
        }
        writeln!(
            f,
            "calls: {} pay, {} query, {} reverse, {} lookup; {} orders were paid, with {} pay \
             calls each on average ({} at most) and {} calls of any kind",
            self.pay,
            self.query,
            self.reverse,
            self.lookup,
            self.orders_paid,
            thousandths(self.pay_per_order_milli),
            self.pay_per_order_max,
            thousandths(self.calls_per_order_milli),
        )
    }
}

fn thousandths(milli: u64) -> String {
    format!("{}.{:03}", milli / 1_000, milli % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_all_counted_and_the_first_are_kept() {
        let mut findings = Findings::new(2);
        for number in 0..5 {
            findings.about(number, Invariant::Money, "too much", "line 1");
        }
        findings.general(Invariant::Audit, "a gap", "row 3");
        let report = findings.report(Figures::default());
        assert_eq!((report.findings_total, report.findings.len()), (6, 2));
        assert_eq!(report.findings_by_invariant[&Invariant::Money], 5);
        assert!(!report.is_clean());
        let text = report.to_string();
        assert!(text.contains("I1 order 0: too much (line 1)"), "{text}");
        assert!(text.contains("by rule: I1 5, I8 1"), "{text}");
        assert!(text.contains("... and 4 more"), "{text}");
    }

    #[test]
    fn the_json_keeps_sums_as_text() {
        let mut figures = Figures::default();
        figures.by_state.push(StateFigures {
            ours_minor: i128::from(i64::MAX) * 10,
            ..StateFigures::default()
        });
        let mut findings = Findings::new(9);
        findings.general(Invariant::OnePayment, "two", "both");
        let json = findings.report(figures).to_json().unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["findings"][0]["invariant"], "LAW3");
        assert_eq!(json["findings_by_invariant"]["LAW3"], 1);
        let sum = &json["figures"]["by_state"][0]["ours_minor"];
        assert_eq!(sum, "92233720368547758070");
    }

    #[test]
    fn a_clean_report_says_so() {
        let report = Findings::new(1).report(Figures::default());
        assert!(report.is_clean());
        assert!(report.to_string().ends_with("no findings\n"));
    }
}
