//! Many changes at once on PostgreSQL: a handful of multi-row statements for a whole batch.
//!
//! The statements are sent as arrays (`unnest`), so their text never changes with the size of the
//! batch. Rows come in key order, so that two writers touch them in the same sequence. Whatever a
//! statement does not take (a lost race, an open payment) is looked at again one by one by
//! `apply.rs`, in the same transaction; whatever violates a rule of the database fails the batch,
//! and the writer runs its changes singly.

use super::apply::{self, Failure};
use super::audit::AuditRecord;
use super::change::{Admission, Admitted, Created, Move, Moved, NewOrder};
use super::connection::AnyConnection;
use super::flows::FlowRow;
use super::nonces;
use super::notifications::NotificationRow;
use super::orders::OrderRow;
use super::row::micros;
use crate::domain::audit::{AuditEntry, ChainHead};
use chrono::NaiveDate;
use diesel::pg::Pg;
use diesel::pg::sql_types::Array;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Date, Integer, Nullable, Text};
use std::collections::HashSet;

/// Defines a statement whose text is fixed and whose parameters are arrays, one for each column. A
/// fixed text is prepared once per connection and planned once. An `insert` names its columns after
/// the fields, so that a column added later cannot shift the others.
macro_rules! array_statement {
    ($name:ident { $($field:ident: $rust:ty => $sql:ty,)+ } insert $table:literal, $tail:literal) => {
        array_statement! {
            $name { $($field: $rust => $sql,)+ }
            concat!("INSERT INTO ", $table, " (", array_statement!(@list $($field)+),
                ") SELECT * FROM unnest("),
            $tail
        }
    };
    (@list $first:ident $($field:ident)*) => {
        concat!(stringify!($first) $(, ", ", stringify!($field))*)
    };
    ($name:ident { $($field:ident: $rust:ty => $sql:ty,)+ } $head:expr, $tail:literal) => {
        #[derive(Default)]
        struct $name { $($field: Vec<$rust>,)+ }

        impl QueryId for $name {
            type QueryId = $name;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl QueryFragment<Pg> for $name {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                out.push_sql($head);
                let mut separator = "";
                $(
                    out.push_sql(separator);
                    out.push_bind_param::<Array<$sql>, _>(&self.$field)?;
                    separator = ", ";
                )+
                let _ = separator;
                out.push_sql($tail);
                Ok(())
            }
        }

        impl Query for $name { type SqlType = Text; }
        impl RunQueryDsl<PgConnection> for $name {}
    };
}

// An order is made only for the merchant that was checked: one that changed meanwhile, so that it may
// be suspended, has another version.
array_statement! {
    InsertOrders {
        order_no: String => Text, merchant: String => Text, request_no: String => Text,
        fingerprint: String => Text, item: String => Text, biller: String => Text,
        bill_no: String => Text, bill_ref: Option<String> => Nullable<Text>,
        amount_minor: i64 => BigInt, currency: String => Text, state: String => Text,
        reason: Option<String> => Nullable<Text>, business_date: NaiveDate => Date,
        expires_at: i64 => BigInt, created_at: i64 => BigInt, updated_at: i64 => BigInt,
        version: i32 => Integer, merchant_version: i32 => Integer,
    }
    "INSERT INTO orders (order_no, merchant, request_no, fingerprint, item, biller, bill_no, \
     bill_ref, amount_minor, currency, state, reason, business_date, expires_at, created_at, \
     updated_at, version) SELECT v.order_no, v.merchant, v.request_no, v.fingerprint, v.item, \
     v.biller, v.bill_no, v.bill_ref, v.amount_minor, v.currency, v.state, v.reason, \
     v.business_date, v.expires_at, v.created_at, v.updated_at, v.version FROM unnest(",
    ") AS v (order_no, merchant, request_no, fingerprint, item, biller, bill_no, bill_ref, \
     amount_minor, currency, state, reason, business_date, expires_at, created_at, updated_at, \
     version, merchant_version) WHERE (SELECT m.version FROM merchants m \
     WHERE m.code = v.merchant) = v.merchant_version \
     ON CONFLICT (merchant, request_no) DO NOTHING RETURNING order_no"
}

// The open payment is looked for by a scalar subquery: EXISTS might be answered from a hash of all open
// payments, which grows with them.
array_statement! {
    MoveOrders {
        order_no: String => Text, version_before: i32 => Integer, state_before: String => Text,
        opens: bool => Bool, state: String => Text, reason: Option<String> => Nullable<Text>,
        updated_at: i64 => BigInt, version: i32 => Integer,
        merchant_version: Option<i32> => Nullable<Integer>,
    }
    "UPDATE orders o SET state = v.state, reason = v.reason, updated_at = v.updated_at, \
     version = v.version FROM unnest(",
    ") AS v (order_no, version_before, state_before, opens, state, reason, updated_at, version, \
     merchant_version) WHERE o.order_no = v.order_no AND o.version = v.version_before AND o.state = v.state_before \
     AND (NOT v.opens OR (SELECT x.order_no FROM orders x WHERE x.biller = o.biller \
     AND x.bill_no = o.bill_no AND x.state IN ('PAYING', 'UNKNOWN', 'REVERSING', 'MANUAL') \
     LIMIT 1) IS NULL) AND (v.merchant_version IS NULL OR (SELECT m.version FROM merchants m \
     WHERE m.code = o.merchant) = v.merchant_version) RETURNING o.order_no"
}

array_statement! {
    InsertFlows {
        flow_no: String => Text, order_no: String => Text, merchant: String => Text,
        biller: String => Text, bill_no: String => Text, kind: String => Text,
        step: i32 => Integer, adapter: String => Text, amount_minor: i64 => BigInt,
        currency: String => Text, state: String => Text, code: Option<String> => Nullable<Text>,
        upstream_ref: Option<String> => Nullable<Text>,
        message: Option<String> => Nullable<Text>, business_date: NaiveDate => Date,
        started_at: i64 => BigInt, concluded_at: Option<i64> => Nullable<BigInt>,
        version: i32 => Integer,
    }
    insert "flows", ")"
}

array_statement! {
    ConcludeFlows {
        flow_no: String => Text, state: String => Text, code: Option<String> => Nullable<Text>,
        upstream_ref: Option<String> => Nullable<Text>,
        message: Option<String> => Nullable<Text>, concluded_at: Option<i64> => Nullable<BigInt>,
        version: i32 => Integer,
    }
    "UPDATE flows f SET state = v.state, code = v.code, upstream_ref = v.upstream_ref, \
     message = v.message, concluded_at = v.concluded_at, version = v.version FROM unnest(",
    ") AS v (flow_no, state, code, upstream_ref, message, concluded_at, version) \
     WHERE f.flow_no = v.flow_no AND f.version = v.version - 1"
}

// What a new notification has not yet (reason, lease, end) is left to the columns' NULL.
array_statement! {
    InsertNotifications {
        notification_id: String => Text, order_no: String => Text, order_version: i32 => Integer,
        merchant: String => Text, order_state: String => Text,
        order_reason: Option<String> => Nullable<Text>, state: String => Text,
        series: i32 => Integer, tries: i32 => Integer, next_at: i64 => BigInt,
        fence: i64 => BigInt, created_at: i64 => BigInt,
    }
    insert "notifications", ")"
}

array_statement! {
    InsertAudit {
        stream: String => Text, seq: i64 => BigInt, at: i64 => BigInt, actor: String => Text,
        action: String => Text, subject_kind: String => Text, subject: String => Text,
        before_state: Option<String> => Nullable<Text>,
        after_state: Option<String> => Nullable<Text>, detail: Option<String> => Nullable<Text>,
        request_id: Option<String> => Nullable<Text>, prev_hash: Vec<u8> => Binary,
        hash: Vec<u8> => Binary,
    }
    insert "audit", ")"
}

/// What follows from orders that have moved, and the audit rows of all that came before: as one statement,
/// because each costs a way to the database and back. It gives how many rows of each kind were written.
#[derive(Default)]
struct Consequences {
    flows: InsertFlows,
    conclusions: ConcludeFlows,
    notifications: InsertNotifications,
    audit: InsertAudit,
}

impl QueryId for Consequences {
    type QueryId = Consequences;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Consequences {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH started AS (");
        self.flows.walk_ast(out.reborrow())?;
        out.push_sql(" RETURNING 1), concluded AS (");
        self.conclusions.walk_ast(out.reborrow())?;
        out.push_sql(" RETURNING 1), notified AS (");
        self.notifications.walk_ast(out.reborrow())?;
        out.push_sql(" RETURNING 1), audited AS (");
        self.audit.walk_ast(out.reborrow())?;
        out.push_sql(
            " RETURNING 1) SELECT (SELECT count(*) FROM started), (SELECT count(*) FROM concluded), \
             (SELECT count(*) FROM notified), (SELECT count(*) FROM audited)",
        );
        Ok(())
    }
}

impl Query for Consequences {
    type SqlType = (BigInt, BigInt, BigInt, BigInt);
}
impl RunQueryDsl<PgConnection> for Consequences {}

impl Consequences {
    fn counts(&self) -> [usize; 4] {
        [
            self.flows.flow_no.len(),
            self.conclusions.flow_no.len(),
            self.notifications.notification_id.len(),
            self.audit.seq.len(),
        ]
    }
}

// A key that counts is looked up beside each nonce, so that a revoked one is refused at once everywhere.
array_statement! {
    InsertNonces {
        key_id: String => Text, nonce: String => Text, forget_at: i64 => BigInt,
        tag: i64 => BigInt, now: i64 => BigInt,
    }
    "INSERT INTO nonces (key_id, nonce, forget_at, tag) SELECT v.key_id, v.nonce, v.forget_at, v.tag FROM unnest(",
    ") AS v (key_id, nonce, forget_at, tag, now) WHERE (SELECT k.state IN ('ACTIVE', 'RETIRING') \
     AND v.now < LEAST(k.expires_at, k.retires_at) FROM keys k WHERE k.key_id = v.key_id) \
     ON CONFLICT (key_id, nonce) DO NOTHING RETURNING key_id || ' ' || nonce"
}

/// Lets many requests in; the results are in the order of the input.
pub(super) fn admit(
    c: &mut AnyConnection,
    admissions: &[&Admission],
) -> Result<Vec<Admitted>, Failure> {
    let mut rows = InsertNonces::default();
    let mut sorted: Vec<&&Admission> = admissions.iter().collect();
    sorted.sort_by(|a, b| (&a.key_id, &a.nonce).cmp(&(&b.key_id, &b.nonce)));
    for admission in sorted {
        rows.key_id.push(admission.key_id.to_string());
        rows.nonce.push(admission.nonce.clone());
        rows.forget_at.push(micros(admission.forget_at));
        rows.tag.push(admission.tag);
        rows.now.push(micros(admission.now));
    }
    let done: HashSet<String> = postgres(c)?.load_texts(rows)?;
    admissions
        .iter()
        .map(|one| {
            if done.contains(&format!("{} {}", one.key_id, one.nonce)) {
                Ok(Admitted::Done)
            } else {
                nonces::admit(c, one)
            }
        })
        .collect()
}

/// Makes many orders; the results are in the order of the input.
pub(super) fn create(
    c: &mut AnyConnection,
    entries: &mut Vec<AuditEntry>,
    news: &[&NewOrder],
) -> Result<Vec<Created>, Failure> {
    let mut rows = InsertOrders::default();
    let mut sorted: Vec<&&NewOrder> = news.iter().collect();
    sorted.sort_by(|a, b| a.order.order_no.cmp(&b.order.order_no));
    for new in sorted {
        rows.push(OrderRow::from(&new.order), new.merchant_version);
    }
    let made: HashSet<String> = postgres(c)?.load_texts(rows)?;
    news.iter()
        .map(|new| {
            if made.contains(new.order.order_no.as_str()) {
                entries.push(new.audit.clone());
                Ok(Created::New)
            } else {
                apply::found(c, new)
            }
        })
        .collect()
}

/// Moves many orders, each at most once in a batch; the results are in the order of the input. The audit
/// rows that were collected before go with theirs.
pub(super) fn move_orders(
    c: &mut AnyConnection,
    chain: &mut ChainHead,
    entries: &mut Vec<AuditEntry>,
    steps: &[&Move],
) -> Result<Vec<Moved>, Failure> {
    let moved = update_orders(c, steps)?;
    let done = |step: &&&Move| moved.contains(step.after.order_no.as_str());
    for step in steps.iter().filter(done) {
        entries.extend(step.audits.iter().cloned());
    }
    postgres(c)?.write(Consequences {
        flows: started(steps.iter().filter(done)),
        conclusions: concluded(steps.iter().filter(done)),
        notifications: notified(steps.iter().filter(done)),
        audit: linked(chain, entries),
    })?;
    let mut results = vec![Moved::Done; steps.len()];
    let mut singly = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        if moved.contains(step.after.order_no.as_str()) {
            apply::apply_rest(c, step)?;
        } else {
            singly.push(place);
        }
    }
    // By merchant, so that two writers come to the days of merchants in the same sequence.
    singly.sort_by_key(|place| &steps[*place].after.merchant);
    for place in singly {
        results[place] = apply::move_order(c, chain, steps[place])?;
    }
    Ok(results)
}

/// Moves what needs nothing but its own row; what counts against a day is done one by one.
fn update_orders(c: &mut AnyConnection, steps: &[&Move]) -> Result<HashSet<String>, Failure> {
    let counts = |step: &Move| step.permit.is_some_and(|permit| permit.day.is_some());
    let mut sorted: Vec<&&Move> = steps.iter().filter(|step| !counts(step)).collect();
    sorted.sort_by(|a, b| a.after.order_no.cmp(&b.after.order_no));
    let mut rows = MoveOrders::default();
    for step in sorted {
        rows.order_no.push(step.after.order_no.to_string());
        rows.version_before.push(step.before.version);
        rows.state_before
            .push(step.before.state.as_str().to_owned());
        rows.opens.push(apply::opens_payment(step));
        rows.state.push(step.after.state.as_str().to_owned());
        rows.reason.push(step.after.reason.clone());
        rows.updated_at.push(micros(step.after.updated_at));
        rows.version.push(step.after.version);
        let checked = step.permit.map(|permit| permit.merchant_version);
        rows.merchant_version.push(checked);
    }
    postgres(c)?.load_texts(rows)
}

fn started<'a>(steps: impl Iterator<Item = &'a &'a Move>) -> InsertFlows {
    let mut rows = InsertFlows::default();
    for step in steps {
        if let Some(flow) = &step.start {
            rows.push(FlowRow::new(flow, &step.after));
        }
    }
    rows
}

fn concluded<'a>(steps: impl Iterator<Item = &'a &'a Move>) -> ConcludeFlows {
    let mut rows = ConcludeFlows::default();
    for flow in steps.flat_map(|step| &step.conclude) {
        rows.flow_no.push(flow.flow_no.to_string());
        rows.state.push(flow.state.as_str().to_owned());
        rows.code.push(flow.code.clone());
        rows.upstream_ref.push(flow.upstream_ref.clone());
        rows.message.push(flow.message.clone());
        rows.concluded_at.push(flow.concluded_at.map(micros));
        rows.version.push(flow.version);
    }
    rows
}

fn notified<'a>(steps: impl Iterator<Item = &'a &'a Move>) -> InsertNotifications {
    let mut rows = InsertNotifications::default();
    for notification in steps.filter_map(|step| step.notify.as_ref()) {
        rows.push(notification.into());
    }
    rows
}

/// Links the collected entries to the chain and writes them; there are none left then.
pub(super) fn append_audit(
    c: &mut AnyConnection,
    chain: &mut ChainHead,
    entries: &mut Vec<AuditEntry>,
) -> Result<(), Failure> {
    let rows = linked(chain, entries);
    let count = rows.seq.len();
    if count == 0 || rows.execute(postgres(c)?.0)? == count {
        Ok(())
    } else {
        Err(Failure::Void)
    }
}

fn linked(chain: &mut ChainHead, entries: &mut Vec<AuditEntry>) -> InsertAudit {
    let mut rows = InsertAudit::default();
    for entry in entries.drain(..) {
        rows.push(AuditRecord::from(chain.link(entry)));
    }
    rows
}

/// The PostgreSQL connection inside; the writer comes here with no other.
fn postgres(c: &mut AnyConnection) -> Result<Runner<'_>, Failure> {
    match c {
        AnyConnection::Postgres(pg) => Ok(Runner(pg)),
        AnyConnection::Sqlite(_) => Err(Failure::Void),
    }
}

struct Runner<'a>(&'a mut PgConnection);

impl Runner<'_> {
    /// Runs a statement that returns one text a row.
    fn load_texts<S>(self, statement: S) -> Result<HashSet<String>, Failure>
    where
        S: Query<SqlType = Text> + QueryFragment<Pg> + QueryId + RunQueryDsl<PgConnection>,
        S: for<'q> diesel::query_dsl::LoadQuery<'q, PgConnection, String>,
    {
        Ok(statement.load::<String>(self.0)?.into_iter().collect())
    }

    /// Writes what follows; every row of it, or it fails.
    fn write(self, what: Consequences) -> Result<(), Failure> {
        let expected = what.counts();
        if expected == [0; 4] {
            return Ok(());
        }
        let (started, concluded, notified, audited): (i64, i64, i64, i64) =
            what.get_result(self.0)?;
        let written = [started, concluded, notified, audited];
        if expected.map(i64::try_from) == written.map(Ok) {
            Ok(())
        } else {
            Err(Failure::Void)
        }
    }
}

impl InsertOrders {
    fn push(&mut self, row: OrderRow, merchant_version: i32) {
        self.merchant_version.push(merchant_version);
        self.order_no.push(row.order_no);
        self.merchant.push(row.merchant);
        self.request_no.push(row.request_no);
        self.fingerprint.push(row.fingerprint);
        self.item.push(row.item);
        self.biller.push(row.biller);
        self.bill_no.push(row.bill_no);
        self.bill_ref.push(row.bill_ref);
        self.amount_minor.push(row.amount_minor);
        self.currency.push(row.currency);
        self.state.push(row.state);
        self.reason.push(row.reason);
        self.business_date.push(row.business_date);
        self.expires_at.push(row.expires_at);
        self.created_at.push(row.created_at);
        self.updated_at.push(row.updated_at);
        self.version.push(row.version);
    }
}

impl InsertFlows {
    fn push(&mut self, row: FlowRow) {
        self.flow_no.push(row.flow_no);
        self.order_no.push(row.order_no);
        self.merchant.push(row.merchant);
        self.biller.push(row.biller);
        self.bill_no.push(row.bill_no);
        self.kind.push(row.kind);
        self.step.push(row.step);
        self.adapter.push(row.adapter);
        self.amount_minor.push(row.amount_minor);
        self.currency.push(row.currency);
        self.state.push(row.state);
        self.code.push(row.code);
        self.upstream_ref.push(row.upstream_ref);
        self.message.push(row.message);
        self.business_date.push(row.business_date);
        self.started_at.push(row.started_at);
        self.concluded_at.push(row.concluded_at);
        self.version.push(row.version);
    }
}

impl InsertNotifications {
    fn push(&mut self, row: NotificationRow) {
        self.notification_id.push(row.notification_id);
        self.order_no.push(row.order_no);
        self.order_version.push(row.order_version);
        self.merchant.push(row.merchant);
        self.order_state.push(row.order_state);
        self.order_reason.push(row.order_reason);
        self.state.push(row.state);
        self.series.push(row.series);
        self.tries.push(row.tries);
        self.next_at.push(row.next_at);
        self.fence.push(row.fence);
        self.created_at.push(row.created_at);
    }
}

impl InsertAudit {
    fn push(&mut self, row: AuditRecord) {
        self.stream.push(row.stream);
        self.seq.push(row.seq);
        self.at.push(row.at);
        self.actor.push(row.actor);
        self.action.push(row.action);
        self.subject_kind.push(row.subject_kind);
        self.subject.push(row.subject);
        self.before_state.push(row.before_state);
        self.after_state.push(row.after_state);
        self.detail.push(row.detail);
        self.request_id.push(row.request_id);
        self.prev_hash.push(row.prev_hash);
        self.hash.push(row.hash);
    }
}
