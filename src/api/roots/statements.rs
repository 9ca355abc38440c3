//! Statements and what is settled: reading them, and issuing one once more.

use super::overview::forward;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::paging::{Kind, SettlementConnection, StatementConnection, cost};
use crate::api::types::invalid;
use crate::api::types::refusal::UserError;
use crate::api::types::scalars::Date;
use crate::api::types::statement::{PartyKind, Statement};
use crate::domain::ids::{BillerCode, MerchantCode};
use crate::domain::money::Currency;
use crate::domain::refusal::Refusal;
use crate::domain::statement::{self, Party, StatementKey};
use crate::engine::Reissued;
use crate::storage::{settlement_summaries, statements};
use async_graphql::{Context, InputObject, Object, Result, SimpleObject};

/// Which statements a listing holds; what is left out does not narrow it.
#[derive(Default, InputObject)]
pub struct StatementFilter {
    /// Only those of merchants, or of billers.
    party_kind: Option<PartyKind>,
    /// Only those of this merchant or biller; say which by `partyKind`. A merchant sees its own in any case.
    party: Option<String>,
    /// Only those of this day or later.
    from: Option<Date>,
    /// Only those of this day or earlier.
    to: Option<Date>,
    /// Only the last version of each; true if not given.
    latest_only: Option<bool>,
}

/// Which summaries a listing holds; what is left out does not narrow it.
#[derive(Default, InputObject)]
pub struct SettlementFilter {
    /// Only those of this day.
    business_date: Option<Date>,
    /// Only those of this merchant; a merchant sees its own in any case.
    merchant: Option<String>,
    /// Only those of this biller.
    biller: Option<String>,
}

/// Which statement, whatever its version.
#[derive(InputObject)]
pub struct StatementKeyInput {
    /// The kind of party.
    party_kind: PartyKind,
    /// The merchant's or biller's code.
    party: String,
    /// The day.
    business_date: Date,
    /// ISO 4217 code; CNY if not given.
    currency: Option<String>,
}

/// Which statement is issued once more.
#[derive(InputObject)]
pub struct StatementReissueInput {
    /// The statement.
    key: StatementKeyInput,
}

/// What became of `statementReissue`.
#[derive(SimpleObject)]
pub struct StatementReissuePayload {
    /// The last version as it is now; none if it was refused.
    statement: Option<Statement>,
    /// Whether there is a further version. There is none where the bytes would be those of the last one.
    is_new: Option<bool>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct StatementQuery;

#[Object]
impl StatementQuery {
    /// One statement: its last version, or a certain one. None where there is none, where the day is not
    /// closed and stated yet, or where it is not the caller's.
    #[graphql(complexity = "2 + child_complexity")]
    async fn statement(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which statement.")] key: StatementKeyInput,
        #[graphql(desc = "The version; the last one if not given.")] version: Option<i32>,
    ) -> Result<Option<Statement>> {
        let desk = Desk::open(ctx, Right::StatementRead)?;
        let key = key.read().map_err(Problem::from)?;
        let found = desk.engine.statement(&key, version, &desk.scope()?).await;
        Ok(found.map_err(Problem::from)?.map(Statement))
    }

    /// Statements, newest day first. A merchant sees its own only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn statements(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only such statements.")] filter: Option<StatementFilter>,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<StatementConnection> {
        let desk = Desk::open(ctx, Right::StatementRead)?;
        let page = forward(Kind::Statement, first, after)?;
        let filter = filter.unwrap_or_default().read().map_err(Problem::from)?;
        let place = page.after.as_deref().and_then(Kind::statement_place);
        let scope = desk.scope()?;
        let listing = desk.engine.statements(filter, place, page.limit, &scope);
        let listing = listing.await.map_err(Problem::from)?;
        Ok(StatementConnection::new(&page, listing))
    }

    /// 结算汇总: what is settled between merchants and billers, newest day first. A merchant sees its own only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn settlements(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only such summaries.")] filter: Option<SettlementFilter>,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<SettlementConnection> {
        let desk = Desk::open(ctx, Right::StatementRead)?;
        let page = forward(Kind::Settlement, first, after)?;
        let filter = filter.unwrap_or_default();
        let filter = settlement_summaries::Filter {
            date: filter.business_date.map(|date| date.0),
            merchant: filter.merchant,
            biller: filter.biller,
        };
        let place = page.after.as_deref().and_then(Kind::settlement_place);
        let scope = desk.scope()?;
        let listing = desk
            .engine
            .settlement_summaries(filter, place, page.limit, &scope);
        let listing = listing.await.map_err(Problem::from)?;
        Ok(SettlementConnection::new(&page, listing))
    }
}

#[derive(Default)]
pub struct StatementMutation;

#[Object]
impl StatementMutation {
    /// Issues a statement once more, by the profile that the settings name for its party now. Where its bytes
    /// would be those of the last version, that one stands; otherwise there is a further version.
    #[graphql(complexity = "50 + child_complexity")]
    async fn statement_reissue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which statement.")] input: StatementReissueInput,
    ) -> Result<StatementReissuePayload> {
        let (done, user_errors) = outcome(reissue(ctx, input).await)?;
        Ok(StatementReissuePayload {
            is_new: done.as_ref().map(|done| done.is_new),
            statement: done.map(|done| Statement(done.statement)),
            user_errors,
        })
    }
}

async fn reissue(ctx: &Context<'_>, input: StatementReissueInput) -> Result<Reissued, Problem> {
    let desk = Desk::open(ctx, Right::StatementReissue)?;
    let key = input.key.read()?;
    Ok(desk.engine.reissue_statement(key, &desk.actor()).await?)
}

impl StatementFilter {
    fn read(self) -> Result<statements::Filter, Refusal> {
        let kind = self.party_kind.map(statement::PartyKind::from);
        let party = match (self.party, kind) {
            (Some(code), Some(kind)) => Some(Party { kind, code }),
            (Some(_), None) => {
                let message = "partyKind has to say whether party is a merchant or a biller";
                return Err(invalid("filter", message));
            }
            (None, _) => None,
        };
        Ok(statements::Filter {
            party,
            kind,
            from: self.from.map(|date| date.0),
            to: self.to.map(|date| date.0),
            latest_only: self.latest_only.unwrap_or(true),
        })
    }
}

impl StatementKeyInput {
    fn read(self) -> Result<StatementKey, Refusal> {
        let currency = self.currency.as_deref().unwrap_or(Currency::CNY.code());
        let currency = Currency::try_new(currency).map_err(|_| {
            invalid(
                "currency",
                "currency has to be an ISO 4217 code such as CNY",
            )
        })?;
        let kind = statement::PartyKind::from(self.party_kind);
        let fits = match kind {
            statement::PartyKind::Merchant => MerchantCode::try_new(self.party.as_str()).is_ok(),
            statement::PartyKind::Biller => BillerCode::try_new(self.party.as_str()).is_ok(),
        };
        if !fits {
            let message = "party has to be a merchant's or biller's code";
            return Err(invalid("party", message));
        }
        Ok(StatementKey {
            party: Party {
                kind,
                code: self.party,
            },
            date: self.business_date.0,
            currency,
        })
    }
}
