//! Relay connections over keyset pages: a cursor is the number of the row that it stands beside, so
//! a listing neither skips nor repeats a row while new ones are written, and no page is slower than
//! the first.

use super::types::case::Case;
use super::types::exception::Exception;
use super::types::flow::Flow;
use super::types::invalid;
use super::types::job_run::JobRun;
use super::types::key::Key;
use super::types::merchant::Merchant;
use super::types::notification::Notification;
use super::types::order::Order;
use super::types::reconciliation::{Discrepancy, PartnerFile, Reconciliation};
use super::types::statement::{Settlement, Statement};
use crate::domain::ids::{KeyId, MerchantCode};
use crate::domain::refusal::Refusal;
use crate::engine::Listing;
use crate::storage::orders::Page;
use crate::storage::{settlement_summaries, statements};
use async_graphql::SimpleObject;
use async_graphql::connection::PageInfo;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How many rows a page has if nobody says.
pub(super) const PAGE_DEFAULT: i32 = 20;
/// How many rows a page may have.
pub(super) const PAGE_MAX: i32 = 100;

/// The arguments of a listing, as they came.
#[derive(Default)]
pub(super) struct PageArgs {
    /// So many from the beginning, or after `after`.
    pub first: Option<i32>,
    /// A cursor.
    pub after: Option<String>,
    /// So many from the end, or before `before`.
    pub last: Option<i32>,
    /// A cursor.
    pub before: Option<String>,
}

impl PageArgs {
    /// The page that they mean.
    ///
    /// # Errors
    /// A refusal that names the argument which makes no sense.
    pub fn page(self, kind: Kind) -> Result<Page, Refusal> {
        if self.first.is_some() && self.last.is_some() {
            return Err(invalid("last", "give first or last, not both"));
        }
        if self.after.is_some() && (self.last.is_some() || self.before.is_some()) {
            return Err(invalid(
                "after",
                "after goes with first, before goes with last",
            ));
        }
        if self.before.is_some() && self.last.is_none() {
            return Err(invalid("before", "before goes with last; say how many"));
        }
        let after = self.after.map(|cursor| kind.read("after", &cursor));
        let before = self.before.map(|cursor| kind.read("before", &cursor));
        let before = before.transpose()?;
        let (limit, before) = match self.last {
            Some(last) => (size("last", last)?, Some(before.unwrap_or_default())),
            None => (size("first", self.first.unwrap_or(PAGE_DEFAULT))?, None),
        };
        Ok(Page {
            after: after.transpose()?,
            before,
            limit,
        })
    }
}

fn size(field: &'static str, wanted: i32) -> Result<i64, Refusal> {
    if (1..=PAGE_MAX).contains(&wanted) {
        return Ok(i64::from(wanted));
    }
    Err(invalid(field, format!("{field} has to be 1 to {PAGE_MAX}")))
}

/// What a listing costs in complexity: more for a longer page, since each row has to be read.
pub(super) fn cost(first: Option<i32>, last: Option<i32>, row: usize) -> usize {
    let rows = first.or(last).unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let rows = usize::try_from(rows).unwrap_or(1);
    10 + row * rows.div_ceil(20)
}

/// What a cursor stands in: a cursor of one listing is refused by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Orders.
    Order,
    /// Flows.
    Flow,
    /// Exceptions.
    Exception,
    /// Cases.
    Case,
    /// Runs of jobs.
    JobRun,
    /// Merchants.
    Merchant,
    /// Keys.
    Key,
    /// Notifications.
    Notification,
    /// Statements.
    Statement,
    /// Settlement summaries.
    Settlement,
    /// Partners' files.
    PartnerFile,
    /// Results of reconciling.
    Reconciliation,
    /// Flows that differ.
    Discrepancy,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Kind::Order => 'o',
            Kind::Flow => 'f',
            Kind::Exception => 'e',
            Kind::Case => 'c',
            Kind::JobRun => 'j',
            Kind::Merchant => 'm',
            Kind::Key => 'k',
            Kind::Notification => 'n',
            Kind::Statement => 's',
            Kind::Settlement => 't',
            Kind::PartnerFile => 'p',
            Kind::Reconciliation => 'r',
            Kind::Discrepancy => 'd',
        }
    }

    /// The cursor beside a row.
    pub fn write(self, number: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}{number}", self.letter()))
    }

    /// The number of the row that a cursor stands beside.
    pub fn read(self, field: &'static str, cursor: &str) -> Result<String, Refusal> {
        let text = URL_SAFE_NO_PAD.decode(cursor).ok();
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
        let number = text
            .as_deref()
            .and_then(|text| text.strip_prefix(self.letter()));
        match number {
            Some(number) if self.fits(number) => Ok(number.to_owned()),
            _ => Err(invalid(
                field,
                format!("{field} is not a cursor of this list; take one from a page of it"),
            )),
        }
    }

    /// The place of a statement that a cursor stands beside.
    pub fn statement_place(text: &str) -> Option<statements::Place> {
        let steps: Vec<&str> = text.split('/').collect();
        let [date, kind, party, currency, version] = steps.as_slice() else {
            return None;
        };
        Some((
            date.parse().ok()?,
            (*kind).to_owned(),
            (*party).to_owned(),
            (*currency).to_owned(),
            version.parse().ok()?,
        ))
    }

    /// The place of a settlement summary that a cursor stands beside.
    pub fn settlement_place(text: &str) -> Option<settlement_summaries::Place> {
        let steps: Vec<&str> = text.split('/').collect();
        let [date, merchant, biller, currency] = steps.as_slice() else {
            return None;
        };
        Some((
            date.parse().ok()?,
            (*merchant).to_owned(),
            (*biller).to_owned(),
            (*currency).to_owned(),
        ))
    }

    fn fits(self, number: &str) -> bool {
        match self {
            Kind::Order | Kind::Flow | Kind::Case => {
                number.len() == crate::domain::ids::NUMBER_DIGITS
                    && number.bytes().all(|b| b.is_ascii_digit())
            }
            Kind::Exception | Kind::JobRun | Kind::Notification => {
                uuid::Uuid::try_parse(number).is_ok()
            }
            Kind::PartnerFile | Kind::Reconciliation | Kind::Discrepancy => {
                uuid::Uuid::try_parse(number).is_ok()
            }
            Kind::Merchant => MerchantCode::try_new(number).is_ok(),
            Kind::Key => KeyId::try_new(number).is_ok(),
            Kind::Statement => Self::statement_place(number).is_some(),
            Kind::Settlement => Self::settlement_place(number).is_some(),
        }
    }
}

/// Writes a connection and its edge for a node.
macro_rules! connection {
    ($kind:ident, $connection:ident, $edge:ident, $key:expr, $about:literal, $about_edge:literal) => {
        #[doc = $about]
        #[derive(SimpleObject)]
        pub struct $connection {
            /// The rows of the page in the listing's order, each with its cursor.
            edges: Vec<$edge>,
            /// Where the page stands in the listing.
            page_info: PageInfo,
        }

        #[doc = $about_edge]
        #[derive(SimpleObject)]
        pub struct $edge {
            /// Marks this row's place in the listing; opaque.
            cursor: String,
            /// The row.
            node: $kind,
        }

        impl $connection {
            /// A page as the engine listed it.
            pub(super) fn new(page: &Page, listing: Listing<Row<$kind>>) -> Self {
                let key: fn(&Row<$kind>) -> String = $key;
                let edges: Vec<$edge> = listing
                    .rows
                    .into_iter()
                    .map(|row| $edge {
                        cursor: Kind::$kind.write(&key(&row)),
                        node: <$kind as Node>::of(row),
                    })
                    .collect();
                let ends = (edges.first(), edges.last());
                let (start, end) = (ends.0.map(|e| &e.cursor), ends.1.map(|e| &e.cursor));
                let page_info = page_info(page, listing.has_more, start.cloned(), end.cloned());
                Self { edges, page_info }
            }
        }
    };
}

/// The row of a node.
type Row<N> = <N as Node>::Row;

/// A node and the row that it shows.
pub(super) trait Node {
    /// What the engine lists.
    type Row;

    /// The node of a row.
    fn of(row: Self::Row) -> Self;
}

macro_rules! node {
    ($($node:ident: $row:ty,)+) => {
        $(impl Node for $node {
            type Row = $row;

            fn of(row: $row) -> Self {
                Self(row)
            }
        })+
    };
}

node! {
    Order: crate::domain::order::Order,
    Flow: crate::domain::flow::Flow,
    Exception: crate::domain::exception::Exception,
    Case: crate::domain::case::Case,
    JobRun: crate::domain::job::JobRun,
    Merchant: crate::domain::merchant::Dossier,
    Key: crate::domain::key::Key,
    Notification: crate::domain::notification::Notification,
    Statement: crate::domain::statement::Statement,
    Settlement: crate::domain::settlement::SettlementSummary,
    PartnerFile: crate::domain::partner::PartnerFile,
    Discrepancy: crate::domain::reconciled::Discrepancy,
}

impl Node for Reconciliation {
    type Row = crate::domain::reconciled::ReconciliationRun;

    fn of(row: Self::Row) -> Self {
        row.into()
    }
}

connection!(
    Order,
    OrderConnection,
    OrderEdge,
    |order| order.order_no.to_string(),
    "A page of orders, newest first.",
    "An order in a listing."
);
connection!(
    Flow,
    FlowConnection,
    FlowEdge,
    |flow| flow.flow_no.to_string(),
    "A page of flows, newest first.",
    "A flow in a listing."
);
connection!(
    Exception,
    ExceptionConnection,
    ExceptionEdge,
    |exception| exception.exception_id.to_string(),
    "A page of exceptions, newest first.",
    "An exception in a listing."
);
connection!(
    Case,
    CaseConnection,
    CaseEdge,
    |case| case.case_no.to_string(),
    "A page of cases, newest first.",
    "A case in a listing."
);
connection!(
    JobRun,
    JobRunConnection,
    JobRunEdge,
    |run| run.run_id.to_string(),
    "A page of runs of jobs, newest first.",
    "A run of a job in a listing."
);

connection!(
    Merchant,
    MerchantConnection,
    MerchantEdge,
    |merchant| merchant.code.to_string(),
    "A page of merchants, by code.",
    "A merchant in a listing."
);

connection!(
    Key,
    KeyConnection,
    KeyEdge,
    |key| key.key_id.to_string(),
    "A page of keys, newest first.",
    "A key in a listing."
);

connection!(
    Notification,
    NotificationConnection,
    NotificationEdge,
    |notification| notification.notification_id.to_string(),
    "A page of notifications, newest first.",
    "A notification in a listing."
);

connection!(
    Statement,
    StatementConnection,
    StatementEdge,
    |statement| {
        let (date, kind, party, currency, version) = statements::place_of(statement);
        format!("{date}/{kind}/{party}/{currency}/{version}")
    },
    "A page of statements, newest day first.",
    "A statement in a listing."
);

connection!(
    Settlement,
    SettlementConnection,
    SettlementEdge,
    |summary| {
        let currency = summary.currency.code();
        format!(
            "{}/{}/{}/{currency}",
            summary.date, summary.merchant, summary.biller
        )
    },
    "A page of settlement summaries, newest day first.",
    "A settlement summary in a listing."
);

connection!(
    PartnerFile,
    PartnerFileConnection,
    PartnerFileEdge,
    |file| file.file_id.to_string(),
    "A page of partners' files, newest first.",
    "A partner's file in a listing."
);

connection!(
    Reconciliation,
    ReconciliationConnection,
    ReconciliationEdge,
    |run| run.run_id.to_string(),
    "A page of results of reconciling, newest first.",
    "A result in a listing."
);

connection!(
    Discrepancy,
    DiscrepancyConnection,
    DiscrepancyEdge,
    |one| one.discrepancy_id.to_string(),
    "A page of flows that are not plainly matched, newest first.",
    "A flow in a listing."
);

/// `has_more` is about the direction of the page; in the other one there is more if a cursor was
/// given, since its row is there.
fn page_info(
    page: &Page,
    has_more: bool,
    start_cursor: Option<String>,
    end_cursor: Option<String>,
) -> PageInfo {
    let (has_previous_page, has_next_page) = match &page.before {
        Some(before) => (has_more, !before.is_empty()),
        None => (page.after.is_some(), has_more),
    };
    PageInfo {
        has_previous_page,
        has_next_page,
        start_cursor,
        end_cursor,
    }
}

#[cfg(test)]
#[path = "tests/paging_tests.rs"]
mod tests;
