//! Merchants as rows: where each stands, every revision of its profile, and what was verified.
//!
//! Every change raises the merchant's version and the catalogue's, so that replicas read it again; what
//! they have not read yet is refused by the version that orders carry (`apply.rs`, `batch.rs`).

use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema::{merchant_checks, merchant_revisions, merchants};
use super::{Tx, catalogue};
use crate::domain::ids::MerchantCode;
use crate::domain::merchant::{
    Account, Contact, Dossier, Limits, Merchant, MerchantKind, MerchantState, Profile, Revision,
    Stage, Tick,
};
use crate::domain::region::RegionCode;
use crate::domain::time::Instant;
use diesel::prelude::*;
use std::collections::BTreeMap;

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = merchants, treat_none_as_null = true)]
struct MerchantRow {
    code: String,
    kind: String,
    state: String,
    reason: Option<String>,
    registered_at: i64,
    updated_at: i64,
    version: i32,
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = merchant_revisions, treat_none_as_null = true)]
struct RevisionRow {
    merchant: String,
    revision: i32,
    stage: String,
    name_zh: String,
    name_en: String,
    credit_code: Option<String>,
    contact_name: String,
    contact_phone: String,
    contact_email: String,
    bank_code: Option<String>,
    account_no: Option<String>,
    account_holder: Option<String>,
    notify_url: Option<String>,
    items: String,
    regions: String,
    limit_currency: String,
    order_limit_minor: Option<i64>,
    day_limit_minor: Option<i64>,
    maker: String,
    made_at: i64,
    submitter: Option<String>,
    submitted_at: Option<i64>,
    checker: Option<String>,
    decided_at: Option<i64>,
    reason: Option<String>,
    approved_hash: Option<String>,
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = merchant_checks)]
struct TickRow {
    merchant: String,
    revision: i32,
    item: String,
    checked_by: String,
    note: String,
    checked_at: i64,
}

impl From<&Dossier> for MerchantRow {
    fn from(dossier: &Dossier) -> Self {
        Self {
            code: dossier.code.to_string(),
            kind: dossier.kind.as_str().to_owned(),
            state: dossier.state.as_str().to_owned(),
            reason: dossier.reason.clone(),
            registered_at: micros(dossier.registered_at),
            updated_at: micros(dossier.updated_at),
            version: dossier.version,
        }
    }
}

impl RevisionRow {
    fn new(code: &MerchantCode, revision: &Revision) -> Self {
        let Profile {
            name_zh,
            name_en,
            credit_code,
            contact,
            account,
            notify_url,
            items,
            regions,
            limits,
        } = revision.profile.clone();
        let (bank_code, account_no, account_holder) = match account {
            Some(account) => (
                Some(account.bank_code),
                Some(account.account_no),
                Some(account.holder),
            ),
            None => (None, None, None),
        };
        Self {
            merchant: code.to_string(),
            revision: revision.number,
            stage: revision.stage.as_str().to_owned(),
            name_zh,
            name_en,
            credit_code: credit_code.map(|code| code.to_string()),
            contact_name: contact.name,
            contact_phone: contact.phone,
            contact_email: contact.email,
            bank_code,
            account_no,
            account_holder,
            notify_url,
            items: joined(&items),
            regions: joined(&regions),
            limit_currency: limits.currency.code().to_owned(),
            order_limit_minor: limits.order_minor,
            day_limit_minor: limits.day_minor,
            maker: revision.maker.clone(),
            made_at: micros(revision.made_at),
            submitter: revision.submitter.clone(),
            submitted_at: revision.submitted_at.map(micros),
            checker: revision.checker.clone(),
            decided_at: revision.decided_at.map(micros),
            reason: revision.reason.clone(),
            approved_hash: revision.approved_hash.clone(),
        }
    }
}

impl TryFrom<RevisionRow> for Revision {
    type Error = StoreError;

    fn try_from(row: RevisionRow) -> Result<Self, StoreError> {
        let key = format!("{} {}", row.merchant, row.revision);
        let of = RowOf {
            table: "merchant_revisions",
            key: &key,
        };
        let account = match (row.bank_code, row.account_no, row.account_holder) {
            (Some(bank_code), Some(account_no), Some(holder)) => Some(Account {
                bank_code,
                account_no,
                holder,
            }),
            (None, None, None) => None,
            _ => return Err(of.corrupt("half an account")),
        };
        let region = |code| RegionCode::try_new(code).map_err(|error| of.corrupt(error));
        let profile = Profile {
            credit_code: of.word_opt(row.credit_code.as_deref())?,
            items: split(&row.items)
                .map(|code| of.word(code))
                .collect::<Result<_, _>>()?,
            regions: split(&row.regions).map(region).collect::<Result<_, _>>()?,
            limits: Limits {
                currency: of.money(0, &row.limit_currency)?.currency,
                order_minor: row.order_limit_minor,
                day_minor: row.day_limit_minor,
            },
            name_zh: row.name_zh,
            name_en: row.name_en,
            contact: Contact {
                name: row.contact_name,
                phone: row.contact_phone,
                email: row.contact_email,
            },
            account,
            notify_url: row.notify_url,
        };
        Ok(Revision {
            number: row.revision,
            stage: of.word(&row.stage)?,
            profile,
            made_at: of.instant(row.made_at)?,
            submitted_at: of.instant_opt(row.submitted_at)?,
            decided_at: of.instant_opt(row.decided_at)?,
            maker: row.maker,
            submitter: row.submitter,
            checker: row.checker,
            reason: row.reason,
            approved_hash: row.approved_hash,
            ticks: Vec::new(),
        })
    }
}

fn joined<T: ToString>(codes: impl IntoIterator<Item = T>) -> String {
    let codes: Vec<String> = codes.into_iter().map(|code| code.to_string()).collect();
    codes.join(";")
}

fn split(codes: &str) -> impl Iterator<Item = &str> {
    codes.split(';').filter(|code| !code.is_empty())
}

/// What a listing of merchants is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These states only; any where there is none.
    pub states: Vec<MerchantState>,
    /// This kind only.
    pub kind: Option<MerchantKind>,
}

/// One merchant with everything about it.
pub fn find(c: &mut AnyConnection, code: &MerchantCode) -> Result<Option<Dossier>, StoreError> {
    let row: Option<MerchantRow> = merchants::table.find(code.as_str()).first(c).optional()?;
    Ok(dossiers(c, row.into_iter().collect())?.pop())
}

/// A page of merchants, by code.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<&MerchantCode>,
    limit: i64,
) -> Result<Vec<Dossier>, StoreError> {
    let mut query = merchants::table.into_boxed();
    if !filter.states.is_empty() {
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        query = query.filter(merchants::state.eq_any(states));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(merchants::kind.eq(kind.as_str()));
    }
    if let Some(after) = after {
        query = query.filter(merchants::code.gt(after.as_str()));
    }
    let rows: Vec<MerchantRow> = query.order(merchants::code).limit(limit).load(c)?;
    dossiers(c, rows)
}

/// Puts the revisions and ticks to merchants; in the order of the rows.
fn dossiers(c: &mut AnyConnection, rows: Vec<MerchantRow>) -> Result<Vec<Dossier>, StoreError> {
    let codes: Vec<&str> = rows.iter().map(|row| row.code.as_str()).collect();
    let mut found: Vec<RevisionRow> = merchant_revisions::table
        .filter(merchant_revisions::merchant.eq_any(&codes))
        .filter(merchant_revisions::stage.ne(Stage::Replaced.as_str()))
        .order(merchant_revisions::revision)
        .load(c)?;
    let mut ticks: Vec<TickRow> = merchant_checks::table
        .filter(merchant_checks::merchant.eq_any(&codes))
        .order((merchant_checks::checked_at, merchant_checks::item))
        .load(c)?;
    let of_merchant = |row: MerchantRow| {
        let code = row.code.clone();
        let own = found.extract_if(.., |revision| revision.merchant == code);
        let own: Vec<RevisionRow> = own.collect();
        let own_ticks = ticks.extract_if(.., |tick| tick.merchant == code).collect();
        dossier(row, own, own_ticks)
    };
    rows.into_iter().map(of_merchant).collect()
}

fn dossier(
    row: MerchantRow,
    revisions: Vec<RevisionRow>,
    ticks: Vec<TickRow>,
) -> Result<Dossier, StoreError> {
    let of = RowOf {
        table: "merchants",
        key: &row.code,
    };
    let (mut approved, mut last) = (None, None);
    for revision in revisions {
        let revision = Revision::try_from(revision)?;
        if revision.stage == Stage::Approved {
            approved = Some(revision);
        } else {
            last = Some(revision);
        }
    }
    // A rejected one that something was approved after is history.
    let in_force = approved.as_ref().map_or(0, |revision| revision.number);
    let mut proposed = last.filter(|revision: &Revision| revision.number > in_force);
    for tick in ticks {
        let of_tick = [&mut approved, &mut proposed].into_iter().flatten();
        for revision in of_tick.filter(|revision| revision.number == tick.revision) {
            revision.ticks.push(Tick {
                item: of.word(&tick.item)?,
                by: tick.checked_by.clone(),
                note: tick.note.clone(),
                at: of.instant(tick.checked_at)?,
            });
        }
    }
    Ok(Dossier {
        code: of.word(&row.code)?,
        kind: of.word(&row.kind)?,
        state: of.word(&row.state)?,
        registered_at: of.instant(row.registered_at)?,
        updated_at: of.instant(row.updated_at)?,
        version: row.version,
        approved,
        proposed,
        reason: row.reason,
    })
}

/// Every merchant as the order desk needs it.
pub(super) fn at_the_desk(c: &mut AnyConnection) -> Result<Vec<Merchant>, StoreError> {
    let rows: Vec<RevisionRow> = merchant_revisions::table
        .filter(merchant_revisions::stage.eq(Stage::Approved.as_str()))
        .load(c)?;
    let mut profiles = BTreeMap::new();
    for row in rows {
        let code = row.merchant.clone();
        profiles.insert(code, Revision::try_from(row)?.profile);
    }
    let rows: Vec<MerchantRow> = merchants::table.load(c)?;
    let merchant = |row: MerchantRow| {
        let of = RowOf {
            table: "merchants",
            key: &row.code,
        };
        Ok(Merchant {
            code: of.word(&row.code)?,
            kind: of.word(&row.kind)?,
            state: of.word(&row.state)?,
            profile: profiles.remove(&row.code),
            version: row.version,
        })
    };
    rows.into_iter().map(merchant).collect()
}

/// Where merchants are notified by what is approved now, whatever state they are in: only those that
/// have a URL.
pub fn notify_urls(
    c: &mut AnyConnection,
    codes: &[MerchantCode],
) -> Result<BTreeMap<MerchantCode, String>, StoreError> {
    let codes: Vec<&str> = codes.iter().map(MerchantCode::as_str).collect();
    let rows: Vec<(String, Option<String>)> = merchant_revisions::table
        .filter(merchant_revisions::merchant.eq_any(codes))
        .filter(merchant_revisions::stage.eq(Stage::Approved.as_str()))
        .select((merchant_revisions::merchant, merchant_revisions::notify_url))
        .load(c)?;
    let rows = rows
        .into_iter()
        .filter_map(|(code, url)| Some((code, url?)));
    let read = |(code, url): (String, String)| {
        let of = RowOf {
            table: "merchant_revisions",
            key: &code,
        };
        Ok((of.word(&code)?, url))
    };
    rows.map(read).collect()
}

/// The version of a merchant as it stands; none where there is no such merchant.
pub(super) fn version_of(c: &mut AnyConnection, code: &MerchantCode) -> QueryResult<Option<i32>> {
    merchants::table
        .find(code.as_str())
        .select(merchants::version)
        .first(c)
        .optional()
}

impl Tx<'_> {
    /// Enters a merchant; false when there is one of this code.
    pub fn add_merchant(&mut self, dossier: &Dossier) -> Result<bool, StoreError> {
        let row = MerchantRow::from(dossier);
        let c = &mut *self.c;
        let written = super::either!(c, |c| {
            diesel::insert_into(merchants::table)
                .values(&row)
                .on_conflict(merchants::code)
                .do_nothing()
                .execute(c)
        })?;
        if written == 0 {
            return Ok(false);
        }
        for revision in [&dossier.approved, &dossier.proposed].into_iter().flatten() {
            self.write_revision(&dossier.code, None, revision)?;
        }
        catalogue::raise_version(self.c)?;
        Ok(true)
    }

    /// Writes a merchant's new values if nobody changed it since `before` was read.
    pub fn replace_merchant(
        &mut self,
        before: &Dossier,
        after: &Dossier,
    ) -> Result<bool, StoreError> {
        let written = diesel::update(
            merchants::table
                .find(before.code.as_str())
                .filter(merchants::version.eq(before.version)),
        )
        .set(MerchantRow::from(after))
        .execute(self.c)?;
        if written == 0 {
            return Ok(false);
        }
        let known: Vec<&Revision> = [&before.approved, &before.proposed]
            .into_iter()
            .flatten()
            .collect();
        let standing: Vec<&Revision> = [&after.approved, &after.proposed]
            .into_iter()
            .flatten()
            .collect();
        for old in &known {
            let is_left = standing.iter().all(|new| new.number != old.number);
            if is_left && old.stage != Stage::Rejected {
                let replaced = Revision {
                    stage: Stage::Replaced,
                    ..(*old).clone()
                };
                self.write_revision(&before.code, Some(old), &replaced)?;
            }
        }
        for new in &standing {
            let old = known.iter().find(|old| old.number == new.number).copied();
            self.write_revision(&before.code, old, new)?;
        }
        catalogue::raise_version(self.c)?;
        Ok(true)
    }

    /// Writes what is new about a revision; its content stays as it was first written.
    fn write_revision(
        &mut self,
        code: &MerchantCode,
        known: Option<&Revision>,
        revision: &Revision,
    ) -> Result<(), StoreError> {
        let row = RevisionRow::new(code, revision);
        match known {
            None => {
                diesel::insert_into(merchant_revisions::table)
                    .values(row)
                    .execute(self.c)?;
            }
            Some(known) if known != revision => {
                diesel::update(merchant_revisions::table.find((code.as_str(), revision.number)))
                    .set((
                        merchant_revisions::stage.eq(row.stage),
                        merchant_revisions::submitter.eq(row.submitter),
                        merchant_revisions::submitted_at.eq(row.submitted_at),
                        merchant_revisions::checker.eq(row.checker),
                        merchant_revisions::decided_at.eq(row.decided_at),
                        merchant_revisions::reason.eq(row.reason),
                        merchant_revisions::approved_hash.eq(row.approved_hash),
                    ))
                    .execute(self.c)?;
            }
            Some(_) => {}
        }
        let is_known = |tick: &&Tick| known.is_some_and(|known| known.ticks.contains(tick));
        for tick in revision.ticks.iter().filter(|tick| !is_known(tick)) {
            self.write_tick(code, revision.number, tick)?;
        }
        Ok(())
    }

    fn write_tick(
        &mut self,
        code: &MerchantCode,
        revision: i32,
        tick: &Tick,
    ) -> Result<(), StoreError> {
        let row = TickRow {
            merchant: code.to_string(),
            revision,
            item: tick.item.as_str().to_owned(),
            checked_by: tick.by.clone(),
            note: tick.note.clone(),
            checked_at: micros(tick.at),
        };
        let c = &mut *self.c;
        super::either!(c, |c| {
            diesel::insert_into(merchant_checks::table)
                .values(&row)
                .on_conflict((
                    merchant_checks::merchant,
                    merchant_checks::revision,
                    merchant_checks::item,
                ))
                .do_update()
                .set(&row)
                .execute(c)
        })?;
        Ok(())
    }
}

/// The codes of merchants in one of these states that were registered before an instant, sorted.
pub fn registered_before(
    c: &mut AnyConnection,
    before: Instant,
    states: &[MerchantState],
) -> Result<Vec<String>, StoreError> {
    let states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    Ok(merchants::table
        .filter(merchants::state.eq_any(states))
        .filter(merchants::registered_at.lt(micros(before)))
        .order(merchants::code)
        .select(merchants::code)
        .load(c)?)
}
