//! I11 and law 3: one order a request, with the content that it was made with, and one open payment
//! a bill.

use super::dossier::Dossier;
use super::report::{Findings, Invariant};
use crate::domain::order::fingerprint;
use crate::storage::walk::{self, Shared};
use crate::storage::{StoreError, View};

/// How many of each kind are looked for.
const MOST: i64 = 1_000;

/// Judges one order's fingerprint.
pub(super) fn judge(dossier: &Dossier, findings: &mut Findings) {
    let order = &dossier.order;
    let own = fingerprint(&order.item, &order.bill_no, order.amount);
    if own != order.fingerprint {
        findings.about(
            &order.order_no,
            Invariant::OneRequest,
            "the order's content is not what its request was made with",
            format!("fingerprint {}, its content gives {own}", order.fingerprint),
        );
    }
}

/// Judges what orders must not share.
pub(super) fn judge_all(view: &mut View, findings: &mut Findings) -> Result<(), StoreError> {
    for shared in walk::repeated_requests(view.connection(), MOST)? {
        let problem = "one request made more than one order";
        tell(
            Invariant::OneRequest,
            problem,
            ("merchant", "request"),
            &shared,
            findings,
        );
    }
    for shared in walk::repeated_payments(view.connection(), MOST)? {
        let problem = "more than one payment of a bill is open";
        tell(
            Invariant::OnePayment,
            problem,
            ("biller", "bill"),
            &shared,
            findings,
        );
    }
    Ok(())
}

fn tell(
    invariant: Invariant,
    problem: &str,
    (one, two): (&str, &str),
    shared: &Shared,
    findings: &mut Findings,
) {
    let Shared {
        key: (first_key, second_key),
        count,
        first,
        last,
    } = shared;
    let evidence =
        format!("{one} {first_key}, {two} {second_key}: {count} orders, from {first} to {last}");
    findings.about(last, invariant, problem, evidence);
}
