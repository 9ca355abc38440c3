//! Files of partners as rows: what came, what became of it, and who was called because it did not come.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema_night::{partner_alarms, partner_files};
use crate::domain::partner::{PartnerFile, PartnerFileState, PartnerName};
use crate::domain::time::{BusinessDate, Instant};
use chrono::NaiveDate;
use diesel::prelude::*;
use uuid::Uuid;

/// A row of `partner_files`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = partner_files)]
struct PartnerFileRow {
    file_id: String,
    partner: String,
    business_date: NaiveDate,
    version: i32,
    side: String,
    profile: String,
    name: String,
    path: String,
    sha256: String,
    bytes: i64,
    row_count: i64,
    sums: String,
    state: String,
    line: Option<i64>,
    reason: Option<String>,
    mark: Option<String>,
    actor: String,
    received_at: i64,
}

impl From<&PartnerFile> for PartnerFileRow {
    fn from(file: &PartnerFile) -> Self {
        Self {
            file_id: file.file_id.to_string(),
            partner: file.partner.to_string(),
            business_date: file.business_date.0,
            version: file.version,
            side: file.side.as_str().to_owned(),
            profile: file.profile.clone(),
            name: file.name.clone(),
            path: file.path.clone(),
            sha256: file.sha256.clone(),
            bytes: file.bytes,
            row_count: file.row_count,
            // A map of texts and numbers always has a JSON form.
            sums: serde_json::to_string(&file.sums).unwrap_or_default(),
            state: file.state.as_str().to_owned(),
            line: file.line,
            reason: file.reason.clone(),
            mark: file.mark.clone(),
            actor: file.actor.clone(),
            received_at: micros(file.received_at),
        }
    }
}

impl TryFrom<PartnerFileRow> for PartnerFile {
    type Error = StoreError;

    fn try_from(row: PartnerFileRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "partner_files",
            key: &row.file_id,
        };
        Ok(PartnerFile {
            file_id: of.word::<Uuid>(&row.file_id)?,
            partner: of.word(&row.partner)?,
            business_date: BusinessDate(row.business_date),
            version: row.version,
            side: of.word(&row.side)?,
            sums: serde_json::from_str(&row.sums).map_err(|error| of.corrupt(error))?,
            state: of.word(&row.state)?,
            received_at: of.instant(row.received_at)?,
            profile: row.profile,
            name: row.name,
            path: row.path,
            sha256: row.sha256,
            bytes: row.bytes,
            row_count: row.row_count,
            line: row.line,
            reason: row.reason,
            mark: row.mark,
            actor: row.actor,
        })
    }
}

fn read(rows: Vec<PartnerFileRow>) -> Result<Vec<PartnerFile>, StoreError> {
    rows.into_iter().map(PartnerFile::try_from).collect()
}

/// One file.
pub fn find(c: &mut AnyConnection, file_id: Uuid) -> Result<Option<PartnerFile>, StoreError> {
    let row: Option<PartnerFileRow> = partner_files::table
        .find(file_id.to_string())
        .first::<PartnerFileRow>(c)
        .optional()?;
    row.map(PartnerFile::try_from).transpose()
}

/// Every file of a partner and a date, the first version first.
pub fn of(
    c: &mut AnyConnection,
    partner: &PartnerName,
    date: BusinessDate,
) -> Result<Vec<PartnerFile>, StoreError> {
    read(
        partner_files::table
            .filter(partner_files::partner.eq(partner.as_str()))
            .filter(partner_files::business_date.eq(date.0))
            .order(partner_files::version)
            .load::<PartnerFileRow>(c)?,
    )
}

/// The files of a date that count: of each partner the accepted one with the highest version.
pub fn that_count(
    c: &mut AnyConnection,
    date: BusinessDate,
) -> Result<Vec<PartnerFile>, StoreError> {
    let all = read(
        partner_files::table
            .filter(partner_files::business_date.eq(date.0))
            .filter(partner_files::state.eq(PartnerFileState::Accepted.as_str()))
            .order((partner_files::partner, partner_files::version.desc()))
            .load::<PartnerFileRow>(c)?,
    )?;
    let mut newest: Vec<PartnerFile> = Vec::new();
    for file in all {
        if newest.last().is_none_or(|one| one.partner != file.partner) {
            newest.push(file);
        }
    }
    Ok(newest)
}

/// One version of a file.
pub fn version(
    c: &mut AnyConnection,
    partner: &PartnerName,
    date: BusinessDate,
    version: i32,
) -> Result<Option<PartnerFile>, StoreError> {
    let row: Option<PartnerFileRow> = partner_files::table
        .filter(partner_files::partner.eq(partner.as_str()))
        .filter(partner_files::business_date.eq(date.0))
        .filter(partner_files::version.eq(version))
        .first::<PartnerFileRow>(c)
        .optional()?;
    row.map(PartnerFile::try_from).transpose()
}

/// What a listing of files is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this partner only.
    pub partner: Option<PartnerName>,
    /// From this date on.
    pub from: Option<BusinessDate>,
    /// Up to this date, which is included.
    pub to: Option<BusinessDate>,
    /// In this state only.
    pub state: Option<PartnerFileState>,
}

/// A page of files by id (which sorts by time), newest first.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<PartnerFile>, StoreError> {
    let mut query = partner_files::table.into_boxed();
    if let Some(partner) = &filter.partner {
        query = query.filter(partner_files::partner.eq(partner.as_str().to_owned()));
    }
    if let Some(from) = filter.from {
        query = query.filter(partner_files::business_date.ge(from.0));
    }
    if let Some(to) = filter.to {
        query = query.filter(partner_files::business_date.le(to.0));
    }
    if let Some(state) = filter.state {
        query = query.filter(partner_files::state.eq(state.as_str()));
    }
    if let Some(after) = after {
        query = query.filter(partner_files::file_id.lt(after.to_string()));
    }
    let query = query.order(partner_files::file_id.desc()).limit(limit);
    read(query.load::<PartnerFileRow>(c)?)
}

/// The date of an accepted file of a partner that has these very bytes and lines in it, other than this one.
pub fn same_bytes_on(
    c: &mut AnyConnection,
    partner: &PartnerName,
    sha256: &str,
    other_than: BusinessDate,
) -> Result<Option<BusinessDate>, StoreError> {
    let date: Option<NaiveDate> = partner_files::table
        .filter(partner_files::partner.eq(partner.as_str()))
        .filter(partner_files::sha256.eq(sha256))
        .filter(partner_files::state.eq(PartnerFileState::Accepted.as_str()))
        .filter(partner_files::row_count.gt(0))
        .filter(partner_files::business_date.ne(other_than.0))
        .order(partner_files::business_date.desc())
        .select(partner_files::business_date)
        .first(c)
        .optional()?;
    Ok(date.map(BusinessDate))
}

/// What became of a file that was to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is there now.
    New,
    /// Its very bytes count already, for this partner and date, or were refused before as they are now.
    Same(Box<PartnerFile>),
    /// Another file took the version first; nothing was written.
    Taken,
}

/// Writes a file down unless its bytes count already.
pub(super) fn keep(c: &mut AnyConnection, file: &PartnerFile) -> Result<Kept, StoreError> {
    let known = of(c, &file.partner, file.business_date)?;
    let of_state = |state| known.iter().filter(move |one| one.state == state);
    let is_same = |one: &&PartnerFile| one.sha256 == file.sha256;
    // What a person has brought is not replaced by what a source was sending meanwhile.
    let by_hand = of_state(PartnerFileState::Accepted).next_back();
    if let Some(by_hand) = by_hand.filter(|one| one.mark.is_none() && file.mark.is_some()) {
        return Ok(Kept::Same(Box::new(by_hand.clone())));
    }
    // Of the accepted ones only the last counts; what came before it and comes again counts anew.
    let same = of_state(PartnerFileState::Accepted)
        .next_back()
        .filter(is_same);
    let same = same.or_else(|| match file.state {
        PartnerFileState::Accepted => None,
        PartnerFileState::Refused => of_state(PartnerFileState::Refused).find(is_same),
    });
    if let Some(same) = same {
        return Ok(Kept::Same(Box::new(same.clone())));
    }
    if known.iter().any(|one| one.version >= file.version) {
        return Ok(Kept::Taken);
    }
    let row = PartnerFileRow::from(file);
    let written = super::either!(c, |c| {
        diesel::insert_into(partner_files::table)
            .values(&row)
            .on_conflict_do_nothing()
            .execute(c)
    })?;
    Ok(if written == 1 { Kept::New } else { Kept::Taken })
}

/// Writes what the source says of a file by now.
pub(super) fn mark(c: &mut AnyConnection, file_id: Uuid, mark: Option<&str>) -> QueryResult<()> {
    diesel::update(partner_files::table.find(file_id.to_string()))
        .set(partner_files::mark.eq(mark))
        .execute(c)?;
    Ok(())
}

/// Whether people were called because a file is not there.
pub fn is_alarmed(
    c: &mut AnyConnection,
    partner: &PartnerName,
    date: BusinessDate,
) -> Result<bool, StoreError> {
    let raised: Option<i64> = partner_alarms::table
        .find((partner.as_str(), date.0))
        .select(partner_alarms::raised_at)
        .first(c)
        .optional()?;
    Ok(raised.is_some())
}

/// Marks that people were called because a file is not there; false where they were before.
pub(super) fn raise_alarm(
    c: &mut AnyConnection,
    partner: &PartnerName,
    date: BusinessDate,
    now: Instant,
) -> QueryResult<bool> {
    let values = (
        partner_alarms::partner.eq(partner.as_str()),
        partner_alarms::business_date.eq(date.0),
        partner_alarms::raised_at.eq(micros(now)),
    );
    let raised = super::either!(c, |c| {
        diesel::insert_into(partner_alarms::table)
            .values(values)
            .on_conflict_do_nothing()
            .execute(c)
    })?;
    Ok(raised == 1)
}
