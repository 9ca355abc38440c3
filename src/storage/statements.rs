//! Statements as rows. A row publishes the files that it names: they are durable before it is written.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema::{statement_sums, statements};
use super::{Tx, either};
use crate::domain::statement::{KeptFile, Party, Statement, StatementKey, StatementSum};
use crate::domain::time::BusinessDate;
use chrono::NaiveDate;
use diesel::prelude::*;

#[derive(Clone, Queryable, Insertable)]
#[diesel(table_name = statements)]
struct StatementRow {
    party_kind: String,
    party: String,
    business_date: NaiveDate,
    currency: String,
    version: i32,
    profile: String,
    content: String,
    flows: i64,
    object: String,
    media_type: String,
    bytes: i64,
    sha256: String,
    xlsx_object: Option<String>,
    xlsx_bytes: Option<i64>,
    xlsx_sha256: Option<String>,
    sidecar_object: String,
    sidecar_sha256: String,
    made_at: i64,
    made_by: String,
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = statement_sums)]
struct SumRow {
    party_kind: String,
    party: String,
    business_date: NaiveDate,
    currency: String,
    version: i32,
    kind: String,
    state: String,
    flows: i64,
    amount_minor: i64,
    fee_minor: i64,
}

impl From<&Statement> for StatementRow {
    fn from(statement: &Statement) -> Self {
        let xlsx = statement.xlsx.as_ref();
        Self {
            party_kind: statement.key.party.kind.as_str().to_owned(),
            party: statement.key.party.code.clone(),
            business_date: statement.key.date.0,
            currency: statement.key.currency.code().to_owned(),
            version: statement.version,
            profile: statement.profile.clone(),
            content: statement.content.clone(),
            flows: statement.flows,
            object: statement.file.object.clone(),
            media_type: statement.media_type.clone(),
            bytes: statement.file.bytes,
            sha256: statement.file.sha256.clone(),
            xlsx_object: xlsx.map(|file| file.object.clone()),
            xlsx_bytes: xlsx.map(|file| file.bytes),
            xlsx_sha256: xlsx.map(|file| file.sha256.clone()),
            sidecar_object: statement.sidecar_object.clone(),
            sidecar_sha256: statement.sidecar_sha256.clone(),
            made_at: micros(statement.made_at),
            made_by: statement.made_by.clone(),
        }
    }
}

fn read(row: StatementRow, sums: Vec<SumRow>) -> Result<Statement, StoreError> {
    let key = format!(
        "{} {} {} v{}",
        row.party_kind, row.party, row.business_date, row.version
    );
    let of = RowOf {
        table: "statements",
        key: &key,
    };
    let sums = sums.into_iter().map(|sum| {
        Ok(StatementSum {
            kind: of.word(&sum.kind)?,
            state: of.word(&sum.state)?,
            flows: sum.flows,
            amount_minor: sum.amount_minor,
            fee_minor: sum.fee_minor,
        })
    });
    let xlsx = match (row.xlsx_object, row.xlsx_bytes, row.xlsx_sha256) {
        (Some(object), Some(bytes), Some(sha256)) => Some(KeptFile {
            object,
            bytes,
            sha256,
        }),
        (None, None, None) => None,
        _ => return Err(of.corrupt("half a workbook")),
    };
    Ok(Statement {
        sums: sums.collect::<Result<_, StoreError>>()?,
        key: StatementKey {
            party: Party {
                kind: of.word(&row.party_kind)?,
                code: row.party,
            },
            date: BusinessDate(row.business_date),
            currency: of.money(0, &row.currency)?.currency,
        },
        version: row.version,
        profile: row.profile,
        content: row.content,
        flows: row.flows,
        file: KeptFile {
            object: row.object,
            bytes: row.bytes,
            sha256: row.sha256,
        },
        media_type: row.media_type,
        xlsx,
        sidecar_object: row.sidecar_object,
        sidecar_sha256: row.sidecar_sha256,
        made_at: of.instant(row.made_at)?,
        made_by: row.made_by,
    })
}

/// Statements with their sums.
fn with_sums(c: &mut AnyConnection, rows: Vec<StatementRow>) -> Result<Vec<Statement>, StoreError> {
    rows.into_iter()
        .map(|row| {
            let sums: Vec<SumRow> = statement_sums::table
                .filter(statement_sums::party_kind.eq(&row.party_kind))
                .filter(statement_sums::party.eq(&row.party))
                .filter(statement_sums::business_date.eq(row.business_date))
                .filter(statement_sums::currency.eq(&row.currency))
                .filter(statement_sums::version.eq(row.version))
                .order((statement_sums::kind, statement_sums::state.desc()))
                .load(c)?;
            read(row, sums)
        })
        .collect()
}

/// Which statements.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one party, or of all parties of a kind.
    pub party: Option<Party>,
    /// Of merchants or billers alone.
    pub kind: Option<crate::domain::statement::PartyKind>,
    /// From this day on.
    pub from: Option<BusinessDate>,
    /// Up to this day.
    pub to: Option<BusinessDate>,
    /// Only the last version of each.
    pub latest_only: bool,
}

/// The place of a statement in the listing: newest day first, then by party and currency, newest version
/// first.
pub type Place = (NaiveDate, String, String, String, i32);

/// Where a statement stands in the listing.
pub fn place_of(statement: &Statement) -> Place {
    (
        statement.key.date.0,
        statement.key.party.kind.as_str().to_owned(),
        statement.key.party.code.clone(),
        statement.key.currency.code().to_owned(),
        statement.version,
    )
}

/// A page of statements after a place.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<Statement>, StoreError> {
    use statements as s;
    let mut query = s::table.into_boxed();
    if let Some(party) = &filter.party {
        query = query
            .filter(s::party_kind.eq(party.kind.as_str()))
            .filter(s::party.eq(party.code.clone()));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(s::party_kind.eq(kind.as_str()));
    }
    if let Some(from) = filter.from {
        query = query.filter(s::business_date.ge(from.0));
    }
    if let Some(to) = filter.to {
        query = query.filter(s::business_date.le(to.0));
    }
    if filter.latest_only {
        query = query.filter(diesel::dsl::sql::<diesel::sql_types::Bool>(
            "NOT EXISTS (SELECT 1 FROM statements later WHERE later.party_kind = \
             statements.party_kind AND later.party = statements.party AND later.business_date = \
             statements.business_date AND later.currency = statements.currency AND later.version > \
             statements.version)",
        ));
    }
    if let Some((date, kind, party, currency, version)) = after.cloned() {
        let older = s::currency
            .gt(currency.clone())
            .or(s::currency.eq(currency).and(s::version.lt(version)));
        let same_kind = s::party.gt(party.clone()).or(s::party.eq(party).and(older));
        let same_day = s::party_kind
            .gt(kind.clone())
            .or(s::party_kind.eq(kind).and(same_kind));
        query = query.filter(
            s::business_date
                .lt(date)
                .or(s::business_date.eq(date).and(same_day)),
        );
    }
    let rows: Vec<StatementRow> = query
        .order((
            s::business_date.desc(),
            s::party_kind,
            s::party,
            s::currency,
            s::version.desc(),
        ))
        .limit(limit)
        .load(c)?;
    with_sums(c, rows)
}

/// The last version of a statement, or a certain one; none where there is none.
pub fn find(
    c: &mut AnyConnection,
    key: &StatementKey,
    version: Option<i32>,
) -> Result<Option<Statement>, StoreError> {
    use statements as s;
    let mut query = s::table
        .filter(s::party_kind.eq(key.party.kind.as_str()))
        .filter(s::party.eq(key.party.code.clone()))
        .filter(s::business_date.eq(key.date.0))
        .filter(s::currency.eq(key.currency.code()))
        .order(s::version.desc())
        .limit(1)
        .into_boxed();
    if let Some(version) = version {
        query = query.filter(s::version.eq(version));
    }
    let rows: Vec<StatementRow> = query.load(c)?;
    Ok(with_sums(c, rows)?.pop())
}

/// All versions of all statements of a day, oldest version first.
pub fn of_day(c: &mut AnyConnection, date: BusinessDate) -> Result<Vec<Statement>, StoreError> {
    use statements as s;
    let rows: Vec<StatementRow> = s::table
        .filter(s::business_date.eq(date.0))
        .order((s::party_kind, s::party, s::currency, s::version))
        .load(c)?;
    with_sums(c, rows)
}

/// The statements of days before a date, so many at a time, oldest first.
pub fn before(
    c: &mut AnyConnection,
    date: BusinessDate,
    limit: i64,
) -> Result<Vec<Statement>, StoreError> {
    use statements as s;
    let rows: Vec<StatementRow> = s::table
        .filter(s::business_date.lt(date.0))
        .order((
            s::business_date,
            s::party_kind,
            s::party,
            s::currency,
            s::version,
        ))
        .limit(limit)
        .load(c)?;
    with_sums(c, rows)
}

impl Tx<'_> {
    /// Publishes a statement; false where that version is there already, and then nothing was written.
    pub fn publish_statement(&mut self, statement: &Statement) -> Result<bool, StoreError> {
        use statements as s;
        let row = StatementRow::from(statement);
        let published = either!(self.c, |c| {
            diesel::insert_into(s::table)
                .values(&row)
                .on_conflict((
                    s::party_kind,
                    s::party,
                    s::business_date,
                    s::currency,
                    s::version,
                ))
                .do_nothing()
                .execute(c)
        })?;
        if published == 0 {
            return Ok(false);
        }
        for sum in &statement.sums {
            let row = SumRow {
                party_kind: row.party_kind.clone(),
                party: row.party.clone(),
                business_date: row.business_date,
                currency: row.currency.clone(),
                version: row.version,
                kind: sum.kind.as_str().to_owned(),
                state: sum.state.as_str().to_owned(),
                flows: sum.flows,
                amount_minor: sum.amount_minor,
                fee_minor: sum.fee_minor,
            };
            diesel::insert_into(statement_sums::table)
                .values(row)
                .execute(self.c)?;
        }
        Ok(true)
    }

    /// Writes down that a statement still tells what its flows come to, by whose digest it is known now.
    pub fn statement_stands(
        &mut self,
        statement: &Statement,
        content: &str,
    ) -> Result<(), StoreError> {
        use statements as s;
        diesel::update(s::table)
            .filter(s::party_kind.eq(statement.key.party.kind.as_str()))
            .filter(s::party.eq(&statement.key.party.code))
            .filter(s::business_date.eq(statement.key.date.0))
            .filter(s::currency.eq(statement.key.currency.code()))
            .filter(s::version.eq(statement.version))
            .set(s::content.eq(content))
            .execute(self.c)?;
        Ok(())
    }

    /// Forgets a statement whose time is over.
    pub fn forget_statement(&mut self, statement: &Statement) -> Result<(), StoreError> {
        use {statement_sums as sums, statements as s};
        let key = &statement.key;
        diesel::delete(sums::table)
            .filter(sums::party_kind.eq(key.party.kind.as_str()))
            .filter(sums::party.eq(&key.party.code))
            .filter(sums::business_date.eq(key.date.0))
            .filter(sums::currency.eq(key.currency.code()))
            .filter(sums::version.eq(statement.version))
            .execute(self.c)?;
        diesel::delete(s::table)
            .filter(s::party_kind.eq(key.party.kind.as_str()))
            .filter(s::party.eq(&key.party.code))
            .filter(s::business_date.eq(key.date.0))
            .filter(s::currency.eq(key.currency.code()))
            .filter(s::version.eq(statement.version))
            .execute(self.c)?;
        Ok(())
    }
}
