//! Statements and what is settled.

use super::flow::{FlowKind, FlowState};
use super::money::Money;
use super::scalars::Date;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::domain::settlement;
use crate::domain::statement;
use crate::domain::time::Instant;
use crate::engine::{DocumentName, LinkError, Part};
use async_graphql::{Context, Description, Enum, Object, Result, SimpleObject};

/// For whom a statement is.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "statement::PartyKind")]
pub enum PartyKind {
    /// The merchant whose orders the flows paid.
    Merchant,
    /// The biller whose bills they paid.
    Biller,
}

/// A file of a statement, and a link to it.
#[derive(SimpleObject)]
pub struct StatementFile {
    /// Its path on this server. Whoever proves who calls (a merchant by its signature) may always get it there.
    path: String,
    /// A path that needs no further proof, until `linkUntil`; none where the center has no master key.
    link: Option<String>,
    /// Until when the link counts.
    link_until: Option<Instant>,
    /// The name that it is saved under.
    file_name: String,
    /// How long it is, in bytes, as digits.
    bytes: String,
    /// Its SHA-256, in lower-case hexadecimal digits.
    sha256: String,
}

/// The flows of one kind and outcome on a statement.
#[derive(SimpleObject)]
pub struct StatementSum {
    /// Pay or reverse.
    kind: FlowKind,
    /// SUCCEEDED, or FAILED for flows that are listed and moved no money.
    state: FlowState,
    /// How many.
    flows: i32,
    /// What they sum up to.
    amount: Money,
    /// What is kept of it by the contracts; what reversals give back is negative.
    fee: Money,
}

/// 对账单: what a merchant or a biller is told of a closed business day: every flow that started on that day and
/// has concluded. A version is never changed; where flows conclude later or a case is decided, there is a
/// further one.
#[derive(Description)]
pub struct Statement(pub statement::Statement);

#[Object(use_type_description)]
impl Statement {
    /// For whom it is: the kind of party.
    async fn party_kind(&self) -> PartyKind {
        self.0.key.party.kind.into()
    }

    /// For whom it is: the merchant's or biller's code.
    async fn party(&self) -> &str {
        &self.0.key.party.code
    }

    /// Of which day.
    async fn business_date(&self) -> Date {
        Date(self.0.key.date)
    }

    /// ISO 4217 code of all its amounts; who has flows in several currencies has a statement in each.
    async fn currency(&self) -> &'static str {
        self.0.key.currency.code()
    }

    /// Counts from 1.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The profile that the file was written by.
    async fn profile(&self) -> &str {
        &self.0.profile
    }

    /// How many flows it lists; an empty day has none.
    async fn flows(&self) -> i32 {
        i32::try_from(self.0.flows).unwrap_or(i32::MAX)
    }

    /// What they come to, by kind and outcome; those that no flow has are left out.
    async fn sums(&self) -> Vec<StatementSum> {
        let currency = self.0.key.currency;
        let money = |minor| Money(crate::domain::money::Money::new(minor, currency));
        let sums = self.0.sums.iter().map(|sum| StatementSum {
            kind: sum.kind.into(),
            state: sum.state.into(),
            flows: i32::try_from(sum.flows).unwrap_or(i32::MAX),
            amount: money(sum.amount_minor),
            fee: money(sum.fee_minor),
        });
        sums.collect()
    }

    /// When it was made.
    async fn made_at(&self) -> Instant {
        self.0.made_at
    }

    /// The file for programs.
    async fn file(&self, ctx: &Context<'_>) -> Result<StatementFile> {
        self.file_of(ctx, Part::File, &self.0.file)
    }

    /// The workbook for people; none where the day is too large or workbooks are switched off.
    async fn workbook(&self, ctx: &Context<'_>) -> Result<Option<StatementFile>> {
        let workbook = self.0.xlsx.as_ref();
        workbook
            .map(|kept| self.file_of(ctx, Part::Workbook, kept))
            .transpose()
    }

    /// The signed sidecar: what the file is, what it adds up to and its digest, as JSON. Its length is not told.
    async fn sidecar(&self, ctx: &Context<'_>) -> Result<StatementFile> {
        let kept = statement::KeptFile {
            object: self.0.sidecar_object.clone(),
            bytes: 0,
            sha256: self.0.sidecar_sha256.clone(),
        };
        self.file_of(ctx, Part::Sidecar, &kept)
    }
}

impl Statement {
    fn file_of(
        &self,
        ctx: &Context<'_>,
        part: Part,
        kept: &statement::KeptFile,
    ) -> Result<StatementFile> {
        let desk = Desk::open(ctx, Right::StatementRead)?;
        let name = DocumentName::of(&self.0, part);
        let (link, link_until) = match desk.engine.statement_link(&name) {
            Ok((link, until)) => (Some(link), Some(until)),
            Err(LinkError::NoMaster) => (None, None),
            Err(_) => return Err(Problem::NotWired.into()),
        };
        Ok(StatementFile {
            path: name.to_string(),
            link,
            link_until,
            file_name: kept
                .object
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            bytes: kept.bytes.to_string(),
            sha256: kept.sha256.clone(),
        })
    }
}

/// 结算汇总: what is settled between a merchant and a biller for a closed business day.
#[derive(Description)]
pub struct Settlement(pub settlement::SettlementSummary);

impl Settlement {
    fn money(&self, minor: i64) -> Money {
        Money(crate::domain::money::Money::new(minor, self.0.currency))
    }
}

#[Object(use_type_description)]
impl Settlement {
    /// Of which day.
    async fn business_date(&self) -> Date {
        Date(self.0.date)
    }

    /// The merchant's code.
    async fn merchant(&self) -> &str {
        &self.0.merchant
    }

    /// The biller's code.
    async fn biller(&self) -> &str {
        &self.0.biller
    }

    /// How many payments succeeded.
    async fn payments(&self) -> i32 {
        i32::try_from(self.0.payments).unwrap_or(i32::MAX)
    }

    /// What they sum up to.
    async fn gross(&self) -> Money {
        self.money(self.0.gross_minor)
    }

    /// How many reversals succeeded.
    async fn reversals(&self) -> i32 {
        i32::try_from(self.0.reversals).unwrap_or(i32::MAX)
    }

    /// What they sum up to.
    async fn reversed(&self) -> Money {
        self.money(self.0.reversed_minor)
    }

    /// What is kept by the contract: the fees of the payments without those of the reversals.
    async fn fees(&self) -> Money {
        self.money(self.0.fees_minor)
    }

    /// Gross without what was reversed and without the fees.
    async fn net(&self) -> Money {
        self.money(self.0.net_minor())
    }

    /// When it was made.
    async fn made_at(&self) -> Instant {
        self.0.made_at
    }

    /// Counts its changes, from 1.
    async fn version(&self) -> i32 {
        self.0.version
    }
}
