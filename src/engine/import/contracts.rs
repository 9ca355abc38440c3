//! Rows of contracts.

use super::cells::{Cells, Named, Reference, Spot};
use crate::domain::contract::{BASIS_POINTS_MAX, Contract};
use crate::domain::ids::{BillerCode, MerchantCode};
use crate::domain::money::{Currency, Money};
use crate::domain::time::BusinessDate;
use std::collections::HashMap;

/// What tells contracts apart: merchant, biller, currency and first day.
pub(super) type Terms = (String, String, &'static str, BusinessDate);

/// Reads a contract, and notes the biller that it names. The merchant may come in later.
pub(super) fn read_contract(
    cells: &mut Cells<'_>,
    seen: &mut HashMap<Terms, Spot>,
    references: &mut Vec<Reference>,
) -> Option<Contract> {
    let merchant: Option<MerchantCode> = cells.code("merchant", "a merchant's code");
    let biller: Option<BillerCode> = cells.code("biller", "a biller's code");
    let currency = cells.read("currency", Currency::try_new);
    let valid_from = cells.read("valid_from", |text| {
        let read = text.parse().map(BusinessDate);
        read.map_err(|_| format!("{text:?} is not a date such as 2026-11-01"))
    });
    let basis_points = cells.read("basis_points", |text| {
        let read: Option<i32> = text.parse().ok();
        let read = read.filter(|points| (0..=BASIS_POINTS_MAX).contains(points));
        read.ok_or_else(|| format!("{text:?} is not a number from 0 to {BASIS_POINTS_MAX}"))
    });
    let fixed_minor = cells.read("fixed_minor", Money::parse_minor);
    if let Some(biller) = &biller {
        references.push(Reference {
            spot: cells.spot(),
            column: "biller",
            named: Named::Biller(biller.clone()),
        });
    }
    let (merchant, biller) = (merchant?.to_string(), biller?.to_string());
    let (currency, valid_from) = (currency?, valid_from?);
    let terms = (
        merchant.clone(),
        biller.clone(),
        currency.code(),
        valid_from,
    );
    if let Some((file, line)) = seen.get(&terms) {
        let reason = format!("the contract of that day stands on line {line} of {file} already");
        cells.found("valid_from", reason);
    } else {
        seen.insert(terms, cells.spot());
    }
    Some(Contract {
        merchant,
        biller,
        currency,
        valid_from,
        basis_points: basis_points?,
        fixed_minor: fixed_minor?,
    })
}
