//! Reconciliation: what partners sent, what comparing it with our flows came to, and what differs.

use super::case::Case;
use super::money::Money;
use super::scalars::Date;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::domain::money::{self, Currency};
use crate::domain::partner;
use crate::domain::reconciled;
use crate::domain::reconciliation::{self, Tally};
use crate::domain::time::Instant;
use crate::engine::{self, Heard, LinkError, ResultName};
use async_graphql::{Context, Description, Enum, Object, Result, SimpleObject};

/// Which side of the money chain a partner stands on.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "partner::PartnerSide")]
pub enum PartnerSide {
    /// It moved the money.
    Bank,
    /// It was to get the money.
    Biller,
}

/// What became of a partner's file.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "partner::PartnerFileState")]
pub enum PartnerFileState {
    /// It was checked whole and counts, until a later version is accepted.
    Accepted,
    /// Something in it is wrong; nothing of it counts.
    Refused,
}

/// What became of a flow number when the sides were compared. Every number on any side has exactly one.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "reconciliation::Class")]
pub enum ReconciliationClass {
    /// The sides agree.
    Matched,
    /// 长款: money moved, and our record does not have it.
    Long,
    /// 短款: our record says that money moved, and a side that has to list it does not.
    Short,
    /// All say that money moved, and not how much, or not in the same currency.
    Amount,
    /// The sides list it and say different things about it, or nobody says anything final in time.
    Status,
    /// One side lists it more than once.
    Duplicate,
    /// Not due yet: it waits in the pool for some business days, then is LONG, SHORT or STATUS.
    Expected,
}

/// Whose rows are counted.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(name = "ReconciliationCounted")]
pub enum Counted {
    /// Our flows.
    Ours,
    /// The bank's lines.
    Bank,
    /// The billers' lines.
    Biller,
    /// The flow numbers themselves, with the amount at risk.
    Flows,
}

/// Whether a run may change anything.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
pub enum ReconciliationMode {
    /// It settles what lines prove, and publishes the result.
    Publish,
    /// It shows what it would come to and writes nothing.
    DryRun,
}

/// A file that a bank or a biller sent for a business date. It counts as a whole or not at all.
#[derive(Description)]
pub struct PartnerFile(pub partner::PartnerFile);

#[Object(use_type_description)]
impl PartnerFile {
    /// Its id, a UUID.
    async fn file_id(&self) -> String {
        self.0.file_id.to_string()
    }

    /// Who sent it, by the name in the settings.
    async fn partner(&self) -> &str {
        self.0.partner.as_str()
    }

    /// Which side it speaks for.
    async fn side(&self) -> PartnerSide {
        self.0.side.into()
    }

    /// The date that it is about.
    async fn business_date(&self) -> Date {
        Date(self.0.business_date)
    }

    /// Counts the different files of the date, from 1. The highest accepted one counts.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// As it was called where it came from.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// By which profile it was read.
    async fn profile(&self) -> &str {
        &self.0.profile
    }

    /// SHA-256 of its bytes, hexadecimal.
    async fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// Its length in bytes, as digits.
    async fn bytes(&self) -> String {
        self.0.bytes.to_string()
    }

    /// How many rows it has, as digits; 0 of a refused one.
    async fn rows(&self) -> String {
        self.0.row_count.to_string()
    }

    /// Whether it counts.
    async fn state(&self) -> PartnerFileState {
        self.0.state.into()
    }

    /// Of a refused file: the line where it goes wrong, as digits, where it is one line's fault.
    async fn line(&self) -> Option<String> {
        self.0.line.map(|line| line.to_string())
    }

    /// Of a refused file: why.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// When it came.
    async fn received_at(&self) -> Instant {
        self.0.received_at
    }
}

/// A file that went into a result.
#[derive(SimpleObject)]
pub struct ReconciliationInput {
    /// Who sent it.
    partner: String,
    /// Which version.
    version: i32,
    /// SHA-256 of its bytes, hexadecimal.
    sha256: String,
    /// How many rows it has, as digits.
    rows: String,
}

/// A count and a sum.
#[derive(SimpleObject)]
pub struct ReconciliationTally {
    /// How many, as digits.
    count: String,
    /// How much.
    sum: Money,
}

/// The rows of one side, partner, class and currency. Of a side, every row is in exactly one of these, so
/// they add up to what the side listed.
#[derive(SimpleObject)]
pub struct ReconciliationSum {
    /// Whose rows.
    counted: Counted,
    /// The partner whose rows they are; of ours, the bank's that carried them. Empty of flow numbers.
    partner: String,
    /// The class of their flows.
    class: ReconciliationClass,
    /// Payments that succeeded. Of flow numbers: how many, and what is at risk.
    paid: ReconciliationTally,
    /// Reversals that succeeded.
    returned: ReconciliationTally,
    /// What failed or is pending.
    unmoved: ReconciliationTally,
}

fn tally(sum: reconciliation::Sum, currency: Currency) -> ReconciliationTally {
    // What is stored has 64 bits; a dry run's sum may have more, and is then shown as the most.
    let minor = i64::try_from(sum.minor).unwrap_or(i64::MAX);
    ReconciliationTally {
        count: sum.count.to_string(),
        sum: Money(money::Money::new(minor, currency)),
    }
}

impl From<reconciled::SideSum> for ReconciliationSum {
    fn from(of: reconciled::SideSum) -> Self {
        use reconciliation::Side;
        let Tally {
            paid,
            returned,
            unmoved,
        } = of.tally;
        Self {
            counted: match of.counted {
                reconciled::Counted::Rows(Side::Ours) => Counted::Ours,
                reconciled::Counted::Rows(Side::Bank) => Counted::Bank,
                reconciled::Counted::Rows(Side::Biller) => Counted::Biller,
                reconciled::Counted::Flows => Counted::Flows,
            },
            partner: of.partner,
            class: of.class.into(),
            paid: tally(paid, of.currency),
            returned: tally(returned, of.currency),
            unmoved: tally(unmoved, of.currency),
        }
    }
}

/// A result of reconciling (对账) a business date: our flows beside the files of the bank and the billers.
/// The one with the highest version counts; those before it are kept.
#[derive(Description)]
pub struct Reconciliation {
    run: reconciled::ReconciliationRun,
    standing: Standing,
}

/// Whether there is anything of a result but what is shown of it.
enum Standing {
    /// It is kept, with its file.
    Published,
    /// A dry run came to it; another result may get its number.
    Shown,
}

impl Reconciliation {
    /// A result that a dry run came to.
    pub fn shown(run: reconciled::ReconciliationRun) -> Self {
        Self {
            run,
            standing: Standing::Shown,
        }
    }
}

impl From<reconciled::ReconciliationRun> for Reconciliation {
    fn from(run: reconciled::ReconciliationRun) -> Self {
        Self {
            run,
            standing: Standing::Published,
        }
    }
}

#[Object(use_type_description)]
impl Reconciliation {
    /// Its id, a UUID.
    async fn run_id(&self) -> String {
        self.run.run_id.to_string()
    }

    /// The date.
    async fn business_date(&self) -> Date {
        Date(self.run.business_date)
    }

    /// Counts the results of the date, from 1.
    async fn version(&self) -> i32 {
        self.run.version
    }

    /// Whether it is the one that counts.
    async fn is_current(&self) -> bool {
        self.run.state == reconciled::RunState::Current
    }

    /// The id of the result whose place it took.
    async fn replaces(&self) -> Option<String> {
        self.run.replaces.map(|id| id.to_string())
    }

    /// The files that went in.
    async fn inputs(&self) -> Vec<ReconciliationInput> {
        let files = self.run.inputs.files.iter();
        files
            .map(|file| ReconciliationInput {
                partner: file.partner.to_string(),
                version: file.version,
                sha256: file.sha256.clone(),
                rows: file.rows.to_string(),
            })
            .collect()
    }

    /// SHA-256 over every flow's line of the result. The same inputs give the same.
    async fn result_hash(&self) -> &str {
        &self.run.result_hash
    }

    /// How many flow numbers were compared, as digits.
    async fn flow_count(&self) -> String {
        self.run.flow_count.to_string()
    }

    /// How many of them are not MATCHED, as digits.
    async fn difference_count(&self) -> String {
        self.run.difference_count.to_string()
    }

    /// SHA-256 of the result file, which has the class of every flow.
    async fn file_sha256(&self) -> &str {
        &self.run.file_sha256
    }

    /// The result file's place in the store.
    async fn file_path(&self) -> &str {
        &self.run.file_path
    }

    /// A path on this server at which its file is downloaded for five minutes, without further proof; none
    /// of a dry run, and where the center has no master key. An operator may always get it at the same path
    /// without what stands behind the question mark.
    async fn link(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        if matches!(self.standing, Standing::Shown) {
            return Ok(None);
        }
        match desk.engine.result_link(&ResultName::of(&self.run)) {
            Ok((link, _)) => Ok(Some(link)),
            Err(LinkError::NoMaster) => Ok(None),
            Err(_) => Err(Problem::NotWired.into()),
        }
    }

    /// Who ran it.
    async fn actor(&self) -> &str {
        &self.run.actor
    }

    /// When it was made.
    async fn made_at(&self) -> Instant {
        self.run.made_at
    }
}

/// A row of a partner's file.
#[derive(SimpleObject)]
pub struct PartnerRow {
    /// Where the file is kept; its name has partner, date and version.
    file: String,
    /// The line, as digits.
    line: String,
    /// SUCCEEDED, FAILED or PENDING.
    status: String,
    /// How much.
    amount: Money,
}

fn partner_row(row: &reconciled::PartnerRow, currency: Currency) -> PartnerRow {
    PartnerRow {
        file: row.file.clone(),
        line: row.line.to_string(),
        status: row.status.as_str().to_owned(),
        amount: Money(money::Money::new(row.amount_minor, currency)),
    }
}

/// A flow number that a result found not plainly matched (差异).
#[derive(Description)]
pub struct Discrepancy(pub reconciled::Discrepancy);

#[Object(use_type_description)]
impl Discrepancy {
    /// Its id, a UUID.
    async fn discrepancy_id(&self) -> String {
        self.0.discrepancy_id.to_string()
    }

    /// The date that was reconciled.
    async fn business_date(&self) -> Date {
        Date(self.0.business_date)
    }

    /// The number, as it stands in the files; a partner may list one that is none of ours.
    async fn flow_no(&self) -> &str {
        &self.0.flow_no
    }

    /// Our order, where there is one.
    async fn order_no(&self) -> Option<&str> {
        self.0.order_no.as_ref().map(|number| number.as_str())
    }

    /// The class that it has by now.
    async fn class(&self) -> ReconciliationClass {
        self.0.class_now().into()
    }

    /// The class that the result gave it.
    async fn class_at_first(&self) -> ReconciliationClass {
        self.0.class.into()
    }

    /// The rule that decided; docs/RECONCILIATION.md has them all.
    async fn rule(&self) -> &'static str {
        let rule = self
            .0
            .ended
            .as_ref()
            .map_or(self.0.rule, |ended| ended.rule);
        rule.as_str()
    }

    /// What we say became of the money: SUCCEEDED, FAILED or PENDING; none where we have no such flow.
    async fn our_state(&self) -> Option<&'static str> {
        self.0.our_state.map(reconciliation::RowState::as_str)
    }

    /// How much, by us.
    async fn our_amount(&self) -> Option<Money> {
        let minor = self.0.our_minor?;
        Some(Money(money::Money::new(minor, self.0.currency)))
    }

    /// What the bank's file says; none where it says nothing.
    async fn bank(&self) -> Option<PartnerRow> {
        let row = self.0.bank.as_ref();
        row.map(|row| partner_row(row, self.0.currency))
    }

    /// What the biller's file says; none where it says nothing.
    async fn biller(&self) -> Option<PartnerRow> {
        let row = self.0.biller_row.as_ref();
        row.map(|row| partner_row(row, self.0.currency))
    }

    /// How far the sides are apart.
    async fn at_risk(&self) -> Money {
        Money(money::Money::new(self.0.risk_minor, self.0.currency))
    }

    /// Of one that is EXPECTED: the last date on which its other side may come.
    async fn due_on(&self) -> Option<Date> {
        self.0.due_on.map(Date)
    }

    /// The later date that ended it.
    async fn ended_on(&self) -> Option<Date> {
        self.0.ended.as_ref().map(|ended| Date(ended.on))
    }

    /// The case about it.
    async fn case_no(&self) -> Option<&str> {
        self.0.case_no.as_ref().map(|number| number.as_str())
    }
}

/// What a side says of a flow.
#[derive(SimpleObject)]
pub struct ReconciliationRow {
    /// OURS, BANK or BILLER.
    side: &'static str,
    /// Where the file is kept; none of our own flow.
    file: Option<String>,
    /// The line, as digits; none of our own flow.
    line: Option<String>,
    /// What it says.
    status: &'static str,
    /// How much.
    amount: Money,
    /// The number of the bill; none where the file does not tell.
    bill_no: Option<String>,
}

/// Why a flow has the class that it has.
#[derive(Description)]
pub struct ReconciliationExplanation(pub engine::Explained);

#[Object(use_type_description)]
impl ReconciliationExplanation {
    /// The number.
    async fn flow_no(&self) -> &str {
        &self.0.flow_no
    }

    /// Our order, where there is one.
    async fn order_no(&self) -> Option<&str> {
        self.0.ours.as_ref().map(|flow| flow.order_no.as_str())
    }

    /// Its class, judged anew by everything that is known now.
    async fn class(&self) -> ReconciliationClass {
        self.0.verdict.class.into()
    }

    /// The rule that decides.
    async fn rule(&self) -> &'static str {
        self.0.verdict.rule.as_str()
    }

    /// How far the sides are apart.
    async fn at_risk(&self) -> Money {
        Money(self.0.verdict.at_risk)
    }

    /// What each side says, in which line of which file.
    async fn rows(&self) -> Vec<ReconciliationRow> {
        let heard = self.0.heard.iter().map(heard_row);
        let of_flow = self.0.our_row.iter().zip(&self.0.ours);
        let ours = of_flow.map(|(row, flow)| ReconciliationRow {
            side: "OURS",
            file: None,
            line: None,
            status: row.state.as_str(),
            amount: Money(row.amount),
            bill_no: Some(flow.bill_no.clone()),
        });
        ours.chain(heard).collect()
    }

    /// The results that it was looked at in, by date.
    async fn results(&self) -> Vec<Reconciliation> {
        self.0
            .runs
            .iter()
            .cloned()
            .map(Reconciliation::from)
            .collect()
    }

    /// What they found of it where it was not plainly matched, by date.
    async fn found(&self) -> Vec<Discrepancy> {
        self.0.found.iter().cloned().map(Discrepancy).collect()
    }

    /// The cases about it, oldest first.
    async fn cases(&self) -> Vec<Case> {
        self.0.cases.iter().cloned().map(Case).collect()
    }
}

fn heard_row(heard: &Heard) -> ReconciliationRow {
    ReconciliationRow {
        side: heard.file.side.as_str(),
        file: Some(heard.file.path.clone()),
        line: Some(heard.row.line.to_string()),
        status: heard.row.state.as_str(),
        amount: Money(heard.row.amount),
        bill_no: Some(heard.bill_no.clone()).filter(|bill_no| !bill_no.is_empty()),
    }
}

/// What a line of the bank's file proves of a flow that had no outcome, or was taken for failed.
#[derive(SimpleObject)]
pub struct LineProof {
    /// The flow.
    flow_no: String,
    /// SUCCEEDED or FAILED.
    says: &'static str,
    /// The file and the line.
    line: String,
}

impl From<&engine::Proof> for LineProof {
    fn from(proof: &engine::Proof) -> Self {
        Self {
            flow_no: proof.flow_no.clone(),
            says: proof.says.as_str(),
            line: proof.line.clone(),
        }
    }
}
