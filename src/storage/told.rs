//! How often things have changed, by themselves and by their audit rows, for those who compare the two.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::schema::{audit, cases, keys, merchant_revisions, merchants, operators, orders};
use super::walk::Stretch;
use crate::domain::named_enum;
use diesel::dsl::count_star;
use diesel::prelude::*;
use std::collections::HashSet;

named_enum! {
    /// A kind of thing that counts its changes in a column `version`, and has an audit row for each of
    /// them and one for its making. The words are those of `audit.subject_kind`.
    pub enum Versioned {
        /// Orders.
        Order = "ORDER",
        /// Cases.
        Case = "CASE",
        /// Merchants.
        Merchant = "MERCHANT",
        /// Keys.
        Key = "KEY",
        /// Operators.
        Operator = "OPERATOR",
    }
}

/// The next things of a kind after a name, each with its version.
pub fn versions(
    c: &mut AnyConnection,
    kind: Versioned,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<(String, i32)>, StoreError> {
    macro_rules! page {
        ($table:ident, $key:ident) => {{
            let mut query = $table::table.into_boxed();
            if let Some(after) = after {
                query = query.filter($table::$key.gt(after.to_owned()));
            }
            query
                .select(($table::$key, $table::version))
                .order($table::$key)
                .limit(limit)
                .load(c)?
        }};
    }
    Ok(match kind {
        Versioned::Order => page!(orders, order_no),
        Versioned::Case => page!(cases, case_no),
        Versioned::Merchant => page!(merchants, code),
        Versioned::Key => page!(keys, key_id),
        Versioned::Operator => page!(operators, name),
    })
}

/// How many audit rows tell of changes of the things in a stretch of names. What is written down about a
/// thing without changing it is not counted: a private part that another master key wraps, somebody
/// who logs out, a try to log in that was not even judged.
pub fn changes(
    c: &mut AnyConnection,
    kind: Versioned,
    names: Stretch<'_>,
) -> Result<Vec<(String, i64)>, StoreError> {
    let of_kind = audit::subject_kind.eq(kind.as_str());
    let mut query = audit::table
        .group_by(audit::subject)
        .select((audit::subject, count_star()))
        .filter(of_kind)
        .filter(audit::action.ne_all(["REWRAPPED", "LOGGED_OUT"]))
        .into_boxed();
    if let Some(after) = names.after {
        query = query.filter(audit::subject.gt(after.to_owned()));
    }
    if let Some(upto) = names.upto {
        query = query.filter(audit::subject.le(upto.to_owned()));
    }
    if kind == Versioned::Operator {
        let was_refused = audit::action.eq_any([
            "LOGIN_REFUSED",
            "REAUTHENTICATION_REFUSED",
            "PASSWORD_CHANGE_REFUSED",
        ]);
        let was_judged = audit::detail.eq_any(["WRONG_PASSWORD", "WRONG_CODE", "USED_CODE"]);
        let counts = diesel::dsl::not(was_refused).or(was_judged.assume_not_null());
        query = query.filter(counts);
    }
    Ok(query.load(c)?)
}

/// Merchants that were there before merchants had audit rows: nothing tells of their making.
pub fn merchants_without_making(c: &mut AnyConnection) -> Result<HashSet<String>, StoreError> {
    let found: Vec<String> = merchant_revisions::table
        .filter(merchant_revisions::revision.eq(1))
        .filter(merchant_revisions::checker.eq("migration"))
        .select(merchant_revisions::merchant)
        .load(c)?;
    Ok(found.into_iter().collect())
}
