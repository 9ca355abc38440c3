//! The whole table: every state × every event, so that a new arrow has to be written down here too.

use super::*;
use OrderEvent as E;
use OrderState as S;

/// Every arrow of the machine. What is not listed must be refused or be "already there".
const ARROWS: &[(S, E, S)] = &[
    (S::Created, E::Confirmed, S::Paying),
    (S::Created, E::Cancelled, S::Closed),
    (S::Created, E::Expired, S::Closed),
    (S::Paying, E::PaymentSucceeded, S::Succeeded),
    (S::Paying, E::PaymentRefused, S::Failed),
    (S::Paying, E::PaymentNotSent, S::Failed),
    (S::Paying, E::PaymentUnknown, S::Unknown),
    (S::Unknown, E::PaymentSucceeded, S::Succeeded),
    (S::Unknown, E::PaymentRefused, S::Failed),
    (S::Unknown, E::PaymentNotFound, S::Failed),
    (S::Unknown, E::ReversalStarted, S::Reversing),
    (S::Unknown, E::LadderUsedUp, S::Manual),
    (S::Reversing, E::ReversalSucceeded, S::Reversed),
    (S::Reversing, E::PaymentStands, S::Succeeded),
    (S::Reversing, E::LadderUsedUp, S::Manual),
    (S::Manual, E::PaymentSucceeded, S::Succeeded),
    (S::Manual, E::DecidedSucceeded, S::Succeeded),
    (S::Manual, E::PaymentRefused, S::Failed),
    (S::Manual, E::PaymentNotFound, S::Failed),
    (S::Manual, E::DecidedFailed, S::Failed),
    (S::Manual, E::DecidedReversed, S::Reversed),
    (S::Manual, E::ReversalOrdered, S::Reversing),
    (S::Succeeded, E::ReversalOrdered, S::Reversing),
    (S::Failed, E::ReversalOrdered, S::Reversing),
    (S::Reversed, E::ReversalOrdered, S::Reversing),
    (S::Failed, E::DecidedSucceeded, S::Succeeded),
    (S::Reversed, E::DecidedSucceeded, S::Succeeded),
];

#[test]
fn every_state_and_event() {
    for &state in S::ALL {
        for &event in E::ALL {
            let listed = ARROWS
                .iter()
                .find(|(from, by, _)| (*from, *by) == (state, event));
            match (next(state, event), listed) {
                (Ok(Transition::To(found)), Some((_, _, to))) => assert_eq!(found, *to),
                (Ok(Transition::AlreadyThere) | Err(_), None) => {}
                (found, listed) => panic!("{state} {event}: {found:?}, listed {listed:?}"),
            }
        }
    }
}

#[test]
fn a_terminal_state_is_left_only_by_a_decided_case() {
    for state in S::TERMINAL {
        for &event in E::ALL {
            if let Ok(Transition::To(_)) = next(state, event) {
                let decided = [
                    E::DecidedSucceeded,
                    E::DecidedFailed,
                    E::DecidedReversed,
                    E::ReversalOrdered,
                ];
                assert!(decided.contains(&event), "{state} is left by {event}");
            }
        }
    }
}

#[test]
fn time_alone_ends_only_what_was_never_sent() {
    for &state in S::ALL {
        let moved = matches!(next(state, E::Expired), Ok(Transition::To(_)));
        assert_eq!(moved, state == S::Created, "{state}");
    }
}

#[test]
fn success_after_the_end_is_told_apart() {
    for (state, late) in [
        (S::Failed, true),
        (S::Reversed, true),
        (S::Closed, true),
        (S::Reversing, false),
    ] {
        let refused = next(state, E::PaymentSucceeded).unwrap_err();
        assert_eq!(refused.late_success, late, "{state}");
    }
    assert_eq!(
        next(S::Succeeded, E::PaymentSucceeded),
        Ok(Transition::AlreadyThere)
    );
}

#[test]
fn a_repeated_event_is_harmless() {
    for (_, event, to) in ARROWS {
        if *event == E::Confirmed {
            continue; // A second confirmation must not start a second flow: it is refused.
        }
        let again = next(*to, *event);
        assert!(
            !matches!(again, Ok(Transition::To(_))),
            "{event} twice moves from {to}"
        );
    }
    assert!(next(S::Paying, E::Confirmed).is_err());
}

#[test]
fn the_fingerprint_tells_fields_apart() {
    use crate::domain::money::Currency;
    let item = |text| ItemCode::try_new(text).unwrap();
    let bill = |text| BillNo::try_new(text).unwrap();
    let amount = Money::new(100, Currency::CNY);
    let base = fingerprint(&item("ab"), &bill("c"), amount);
    assert_eq!(base, fingerprint(&item("ab"), &bill("c"), amount));
    assert_ne!(base, fingerprint(&item("a"), &bill("bc"), amount));
    assert_ne!(
        base,
        fingerprint(&item("ab"), &bill("c"), Money::new(101, Currency::CNY))
    );
    assert_eq!(base.len(), 64);
}

#[test]
fn an_order_at_rest_leaves_no_flow_open() {
    for (from, event, to) in ARROWS.iter().filter(|(_, _, to)| to.is_terminal()) {
        if *from == S::Created {
            continue; // Nothing was ever sent.
        }
        let payment = flow_after(*event, FlowKind::Payment);
        let expected = match to {
            S::Succeeded => FlowState::Succeeded,
            S::Failed => FlowState::Failed,
            _ => FlowState::Reversed,
        };
        assert_eq!(payment, Some(expected), "{from} {event}");
        if *from == S::Reversing {
            assert!(
                flow_after(*event, FlowKind::Reversal).is_some(),
                "{from} {event}"
            );
        }
    }
}
