//! Contracts as rows: read whole, for there are few of them, and written by imports.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::RowOf;
use super::schema::contracts;
use super::{Tx, either};
use crate::domain::contract::{Contract, Contracts};
use crate::domain::money::Currency;
use crate::domain::time::BusinessDate;
use chrono::NaiveDate;
use diesel::prelude::*;

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = contracts)]
struct ContractRow {
    merchant: String,
    biller: String,
    currency: String,
    valid_from: NaiveDate,
    basis_points: i32,
    fixed_minor: i64,
}

/// All contracts.
pub fn load(c: &mut AnyConnection) -> Result<Contracts, StoreError> {
    let rows: Vec<ContractRow> = contracts::table.load(c)?;
    let read = rows.into_iter().map(|row| {
        let key = format!("{} {} {}", row.merchant, row.biller, row.valid_from);
        let of = RowOf {
            table: "contracts",
            key: &key,
        };
        Ok(Contract {
            currency: Currency::try_new(&row.currency).map_err(|error| of.corrupt(error))?,
            merchant: row.merchant,
            biller: row.biller,
            valid_from: BusinessDate(row.valid_from),
            basis_points: row.basis_points,
            fixed_minor: row.fixed_minor,
        })
    });
    Ok(Contracts::new(read.collect::<Result<_, StoreError>>()?))
}

impl Tx<'_> {
    /// Writes contracts over those of the same parties, currency and date, or adds them. Closed days on which
    /// another fee is in force now are stated and summed up again; tells how many those are.
    pub fn keep_contracts(&mut self, contracts: &[Contract]) -> Result<usize, StoreError> {
        let before = load(self.c)?;
        for contract in contracts {
            self.keep_contract(contract)?;
        }
        match load(self.c)?.first_change(&before) {
            Some(from) => self.work_again_from(from),
            None => Ok(0),
        }
    }

    fn keep_contract(&mut self, contract: &Contract) -> Result<(), StoreError> {
        let row = ContractRow {
            merchant: contract.merchant.clone(),
            biller: contract.biller.clone(),
            currency: contract.currency.code().to_owned(),
            valid_from: contract.valid_from.0,
            basis_points: contract.basis_points,
            fixed_minor: contract.fixed_minor,
        };
        either!(self.c, |c| {
            diesel::insert_into(contracts::table)
                .values(&row)
                .on_conflict((
                    contracts::merchant,
                    contracts::biller,
                    contracts::currency,
                    contracts::valid_from,
                ))
                .do_update()
                .set(&row)
                .execute(c)
        })?;
        Ok(())
    }
}
