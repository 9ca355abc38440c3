//! Regions, billers and items as rows; read whole, together with the merchants, written by imports.

use super::error::StoreError;
use super::row::RowOf;
use super::schema::{billers, items, marks, regions};
use super::{AnyConnection, Tx, merchants};
use crate::domain::catalogue::{Catalogue, CatalogueParts};
use crate::domain::item::{AmountRule, BillNoRule, Biller, Item};
use crate::domain::region::{Place, Region, RegionCode};
use diesel::prelude::*;

const VERSION: &str = "catalogue";

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = regions, treat_none_as_null = true)]
struct RegionRow {
    code: String,
    level: String,
    name_zh: String,
    name_en: String,
    latitude_e6: Option<i32>,
    longitude_e6: Option<i32>,
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = billers)]
struct BillerRow {
    code: String,
    name_zh: String,
    name_en: String,
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = items, treat_none_as_null = true)]
struct ItemRow {
    code: String,
    biller: String,
    category: String,
    name_zh: String,
    name_en: String,
    mode: String,
    currency: String,
    amount_rule: String,
    min_minor: Option<i64>,
    max_minor: Option<i64>,
    bill_no_pattern: String,
    hint_zh: String,
    hint_en: String,
    adapter: String,
    coverage: String,
    enabled: bool,
}

impl TryFrom<RegionRow> for Region {
    type Error = StoreError;
    fn try_from(row: RegionRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "regions",
            key: &row.code,
        };
        let place = match (row.latitude_e6, row.longitude_e6) {
            (Some(latitude_e6), Some(longitude_e6)) => Some(Place {
                latitude_e6,
                longitude_e6,
            }),
            (None, None) => None,
            _ => return Err(of.corrupt("half a place")),
        };
        Ok(Region {
            code: RegionCode::try_new(&row.code).map_err(|error| of.corrupt(error))?,
            level: of.word(&row.level)?,
            name_zh: row.name_zh,
            name_en: row.name_en,
            place,
        })
    }
}

impl TryFrom<ItemRow> for Item {
    type Error = StoreError;
    fn try_from(row: ItemRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "items",
            key: &row.code,
        };
        let coverage = row
            .coverage
            .split(';')
            .map(|code| RegionCode::try_new(code).map_err(|error| of.corrupt(error)))
            .collect::<Result<_, _>>()?;
        Ok(Item {
            code: of.word(&row.code)?,
            biller: of.word(&row.biller)?,
            category: of.word(&row.category)?,
            mode: of.word(&row.mode)?,
            currency: of.money(0, &row.currency)?.currency,
            amount_rule: AmountRule {
                kind: of.word(&row.amount_rule)?,
                min_minor: row.min_minor,
                max_minor: row.max_minor,
            },
            bill_no_rule: BillNoRule::try_new(&row.bill_no_pattern, &row.hint_zh, &row.hint_en)
                .map_err(|error| of.corrupt(error))?,
            adapter: of.word(&row.adapter)?,
            coverage,
            name_zh: row.name_zh,
            name_en: row.name_en,
            enabled: row.enabled,
        })
    }
}

impl TryFrom<BillerRow> for Biller {
    type Error = StoreError;
    fn try_from(row: BillerRow) -> Result<Self, StoreError> {
        let code = RowOf {
            table: "billers",
            key: &row.code,
        }
        .word(&row.code)?;
        Ok(Biller {
            code,
            name_zh: row.name_zh,
            name_en: row.name_en,
        })
    }
}

/// The version of the catalogue; 0 before the first import.
pub fn version(c: &mut AnyConnection) -> Result<i64, StoreError> {
    let found = marks::table
        .find(VERSION)
        .select(marks::value)
        .first::<i64>(c)
        .optional()?;
    Ok(found.unwrap_or(0))
}

/// The same, and nobody raises it until this transaction has ended.
pub(super) fn hold_version(c: &mut AnyConnection) -> Result<i64, StoreError> {
    let query = marks::table.find(VERSION).select(marks::value);
    let found: Option<i64> = match c {
        AnyConnection::Postgres(c) => query.for_share().first(c),
        // A transaction that writes has SQLite to itself.
        AnyConnection::Sqlite(c) => query.first(c),
    }
    .optional()?;
    Ok(found.unwrap_or(0))
}

/// The whole catalogue.
pub fn load(c: &mut AnyConnection) -> Result<Catalogue, StoreError> {
    let version = version(c)?;
    let parts = CatalogueParts {
        contracts: Vec::new(),
        regions: read(regions::table.load::<RegionRow>(c)?)?,
        billers: read(billers::table.load::<BillerRow>(c)?)?,
        items: read(items::table.load::<ItemRow>(c)?)?,
    };
    Ok(Catalogue::new(version, parts, merchants::at_the_desk(c)?))
}

fn read<R, T: TryFrom<R, Error = StoreError>>(rows: Vec<R>) -> Result<Vec<T>, StoreError> {
    rows.into_iter().map(T::try_from).collect()
}

/// Writes a row over the one with its code, or adds it.
macro_rules! upsert {
    ($c:expr, $table:ident, $row:expr) => {{
        let row = $row;
        super::either!($c, |c| {
            diesel::insert_into($table::table)
                .values(&row)
                .on_conflict($table::code)
                .do_update()
                .set(&row)
                .execute(c)
        })?;
    }};
}

impl Tx<'_> {
    /// Writes an import over what is there and raises the version; all of it or nothing. Tells how many closed
    /// days are stated again, because their fees are others now.
    pub fn import_catalogue(&mut self, parts: &CatalogueParts) -> Result<(i64, usize), StoreError> {
        // First: whoever writes down what was done by the version before has done so, or does it no more.
        let version = raise_version(self.c)?;
        let c = &mut *self.c;
        for region in &parts.regions {
            upsert!(c, regions, region_row(region));
        }
        for biller in &parts.billers {
            upsert!(c, billers, biller_row(biller));
        }
        for item in &parts.items {
            upsert!(c, items, item_row(item));
        }
        let again = match parts.contracts.as_slice() {
            [] => 0,
            contracts => self.keep_contracts(contracts)?,
        };
        Ok((version, again))
    }
}

/// Raises the version, so that every replica reads the catalogue again.
pub(super) fn raise_version(c: &mut AnyConnection) -> Result<i64, StoreError> {
    // Added to where it lies: two changes at once must not come to one number, or a replica would miss
    // the later one.
    let mark = (marks::name.eq(VERSION), marks::value.eq(1_i64));
    super::either!(c, |c| {
        diesel::insert_into(marks::table)
            .values(mark)
            .on_conflict(marks::name)
            .do_update()
            .set(marks::value.eq(marks::value + 1_i64))
            .execute(c)
    })?;
    version(c)
}

fn region_row(region: &Region) -> RegionRow {
    RegionRow {
        code: region.code.to_string(),
        level: region.level.as_str().to_owned(),
        name_zh: region.name_zh.clone(),
        name_en: region.name_en.clone(),
        latitude_e6: region.place.map(|place| place.latitude_e6),
        longitude_e6: region.place.map(|place| place.longitude_e6),
    }
}

fn biller_row(biller: &Biller) -> BillerRow {
    BillerRow {
        code: biller.code.to_string(),
        name_zh: biller.name_zh.clone(),
        name_en: biller.name_en.clone(),
    }
}

fn item_row(item: &Item) -> ItemRow {
    let coverage: Vec<String> = item.coverage.iter().map(ToString::to_string).collect();
    ItemRow {
        code: item.code.to_string(),
        biller: item.biller.to_string(),
        category: item.category.as_str().to_owned(),
        name_zh: item.name_zh.clone(),
        name_en: item.name_en.clone(),
        mode: item.mode.as_str().to_owned(),
        currency: item.currency.code().to_owned(),
        amount_rule: item.amount_rule.kind.as_str().to_owned(),
        min_minor: item.amount_rule.min_minor,
        max_minor: item.amount_rule.max_minor,
        bill_no_pattern: item.bill_no_rule.source().to_owned(),
        hint_zh: item.bill_no_rule.hint_zh.clone(),
        hint_en: item.bill_no_rule.hint_en.clone(),
        adapter: item.adapter.to_string(),
        coverage: coverage.join(";"),
        enabled: item.enabled,
    }
}
