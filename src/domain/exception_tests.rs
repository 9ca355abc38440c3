//! The rules of doubt as tables.

use super::*;
use crate::domain::outcome::Cause;

fn at(seconds: i64) -> Instant {
    Instant::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn rules() -> DoubtRules {
    DoubtRules {
        ladder: Ladder::standard(),
        quick_polls: 18,
        reversal_at: [0, 10, 30, 60, 300, 900].map(Duration::from_secs).to_vec(),
        certainty_window: Duration::from_secs(600),
        not_found_asks: 2,
        case_after: Duration::from_secs(3600),
        can_query: true,
        can_reverse: true,
        tombstones: true,
    }
}

fn open(phase: Phase) -> Exception {
    let number = "202611220000000000000001";
    Exception {
        exception_id: Uuid::nil(),
        order_no: OrderNo::try_new(number).unwrap(),
        payment_flow_no: FlowNo::try_new(number).unwrap(),
        reversal_flow_no: None,
        phase,
        polls: 0,
        unknowns: 0,
        not_found: 0,
        tries: 0,
        last_outcome: None,
        payment_started_at: at(0),
        opened_at: at(0),
        phase_at: at(0),
        next_at: at(0),
        alarm: AlarmLevel::None,
        escalated: false,
        lease_owner: None,
        lease_until: None,
        fence: 0,
        closed_at: None,
        holder_lost: false,
    }
}

fn unknown() -> Reply {
    Reply::Unknown(Cause::TimedOut)
}

fn wait(verdict: Verdict) -> Progress {
    match verdict {
        Verdict::Wait(progress) => progress,
        other => panic!("expected to wait, found {other:?}"),
    }
}

/// Asks again and again with one answer until something other than waiting comes out.
fn ask_until(rules: &DoubtRules, reply: &Reply, most: i32) -> (i32, i64, Option<Verdict>) {
    let mut exception = open(Phase::Query);
    let mut now = at(10);
    for asked in 1..=most {
        match exception.weigh_query(reply.clone(), rules, now) {
            Verdict::Wait(progress) => {
                exception.polls = progress.polls;
                exception.unknowns = progress.unknowns;
                exception.not_found = progress.not_found;
                if progress.escalate {
                    exception.escalated = true;
                }
                now = progress.next_at.unwrap();
            }
            verdict => return (asked, (now - at(0)).num_seconds(), Some(verdict)),
        }
    }
    (most, (now - at(0)).num_seconds(), None)
}

#[test]
fn eighteen_unknown_polls_then_one_more_ask_and_a_reversal() {
    let (asked, seconds, verdict) = ask_until(&rules(), &unknown(), 100);
    assert_eq!((asked, verdict), (19, Some(Verdict::Reverse)));
    assert!(seconds >= 180);
}

#[test]
fn not_found_counts_only_past_the_window_and_twice() {
    let (asked, seconds, verdict) = ask_until(&rules(), &Reply::NotFound, 100);
    assert_eq!(verdict, Some(Verdict::NotFound));
    assert!(asked >= 2 && seconds >= 600, "{asked} asks, {seconds} s");
    let first = open(Phase::Query).weigh_query(Reply::NotFound, &rules(), at(10_000));
    assert!(
        matches!(first, Verdict::Wait(_)),
        "one ask is never enough: {first:?}"
    );
}

#[test]
fn pending_is_never_reversed_and_becomes_a_case_after_an_hour() {
    let (_, _, verdict) = ask_until(&rules(), &Reply::Pending, 500);
    assert_eq!(verdict, None);
    let exception = open(Phase::Query);
    assert!(!wait(exception.weigh_query(Reply::Pending, &rules(), at(3599))).escalate);
    assert!(wait(exception.weigh_query(Reply::Pending, &rules(), at(3600))).escalate);
}

#[test]
fn pending_forgets_the_unknowns_before_it() {
    let exception = Exception {
        unknowns: 18,
        not_found: 1,
        ..open(Phase::Query)
    };
    let after = wait(exception.weigh_query(Reply::Pending, &rules(), at(200)));
    assert_eq!((after.unknowns, after.not_found), (0, 0));
}

#[test]
fn an_adapter_that_cannot_reverse_is_asked_to_the_end_and_calls_a_person_once() {
    let rules = DoubtRules {
        can_reverse: false,
        ..rules()
    };
    let (_, _, verdict) = ask_until(&rules, &unknown(), 500);
    assert_eq!(verdict, None);
    let escalated = Exception {
        escalated: true,
        ..open(Phase::Query)
    };
    assert!(!wait(escalated.weigh_query(unknown(), &rules, at(9999))).escalate);
}

#[test]
fn never_sent_moves_neither_the_ladder_nor_the_reversal() {
    let exception = Exception {
        polls: 5,
        unknowns: 18,
        ..open(Phase::Query)
    };
    let after = wait(exception.weigh_query(Reply::NotSent("down".into()), &rules(), at(100)));
    assert_eq!((after.polls, after.unknowns), (5, 18));
    let reversing = open(Phase::Reverse);
    let after = wait(reversing.weigh_reversal(Reply::NotSent("down".into()), &rules(), at(100)));
    assert_eq!((after.tries, after.escalate), (0, false));
    let old = reversing.weigh_reversal(Reply::NotSent("down".into()), &rules(), at(3600));
    assert!(wait(old).escalate, "after an hour a person is called");
}

#[test]
fn six_reversal_tries_then_a_person() {
    let mut exception = open(Phase::Reverse);
    let mut due = vec![0];
    for _ in 0..6 {
        let now = at(*due.last().unwrap());
        let progress = wait(exception.weigh_reversal(unknown(), &rules(), now));
        exception.tries = progress.tries;
        match progress.next_at {
            Some(next) => due.push((next - at(0)).num_seconds()),
            None => assert!(progress.escalate),
        }
    }
    assert_eq!(due, [0, 10, 30, 60, 300, 900]);
}

#[test]
fn a_payment_on_its_way_and_an_unsent_ask_hold_a_reversal_back() {
    let (rules, mut exception) = (rules(), open(Phase::Reverse));
    for reply in [Reply::NotFound, unknown()] {
        let held = exception.weigh_before_reversal(&reply, &rules, at(0));
        assert_eq!(held, None, "{reply:?}");
    }
    let not_sent = Reply::NotSent("down".to_owned());
    let held = exception.weigh_before_reversal(&not_sent, &rules, at(0));
    let held = held.expect("nobody was asked");
    assert_eq!((held.polls, held.next_at), (0, Some(at(10))));
    let mut now = 0;
    loop {
        let held = exception.weigh_before_reversal(&Reply::Pending, &rules, at(now));
        let progress = held.expect("it is held back");
        assert_eq!(progress.tries, 0, "nothing was sent");
        let Some(next) = progress.next_at else {
            assert!(progress.escalate, "a person is called");
            break;
        };
        assert!(!progress.escalate);
        now = (next - at(0)).num_seconds();
        exception = exception.after(progress, AttemptOutcome::Pending);
    }
    assert!((3_600..7_200).contains(&now), "{now} s");
}

#[test]
fn tries_that_are_overdue_keep_their_distance() {
    let mut exception = open(Phase::Reverse);
    // Nothing could be sent for an hour; then the bank is there and says nothing.
    let (mut now, mut waits) = (at(3_000), Vec::new());
    loop {
        let progress = wait(exception.weigh_reversal(unknown(), &rules(), now));
        exception.tries = progress.tries;
        let Some(next) = progress.next_at else { break };
        waits.push((next - now).num_seconds());
        now = next;
    }
    assert_eq!(waits, [10, 20, 30, 240, 600]);
}

#[test]
fn a_watch_ends() {
    let exception = open(Phase::Watch);
    let day = 86_400;
    wait(exception.weigh_watch(Reply::Pending, &rules(), at(6 * day)));
    let verdict = exception.weigh_watch(Reply::Pending, &rules(), at(7 * day));
    assert_eq!(verdict, Verdict::Quiet);
}

#[test]
fn final_answers_to_a_reversal() {
    let exception = open(Phase::Reverse);
    let receipt = Receipt {
        code: "1".into(),
        ..Default::default()
    };
    assert_eq!(
        exception.weigh_reversal(Reply::Succeeded(receipt.clone()), &rules(), at(1)),
        Verdict::Reversed(receipt.clone())
    );
    assert_eq!(
        exception.weigh_reversal(Reply::PaymentStands(receipt.clone()), &rules(), at(1)),
        Verdict::Stands(receipt)
    );
}

#[test]
fn watching_ends_with_a_definite_answer() {
    let exception = open(Phase::Watch);
    assert_eq!(
        exception.weigh_watch(Reply::NotFound, &rules(), at(700)),
        Verdict::Quiet
    );
    assert!(matches!(
        exception.weigh_watch(unknown(), &rules(), at(700)),
        Verdict::Wait(_)
    ));
    let receipt = Receipt::default();
    assert_eq!(
        exception.weigh_watch(Reply::Succeeded(receipt.clone()), &rules(), at(700)),
        Verdict::Succeeded(receipt)
    );
}

#[test]
fn alarms_by_age() {
    let ages = AlarmAges {
        warn: Duration::from_secs(600),
        critical: Duration::from_secs(3600),
    };
    let exception = open(Phase::Query);
    for (age, level) in [
        (0, AlarmLevel::None),
        (599, AlarmLevel::None),
        (600, AlarmLevel::Warn),
        (3600, AlarmLevel::Critical),
    ] {
        assert_eq!(exception.alarm_due(ages, at(age)), level);
    }
}

#[test]
fn a_wait_beyond_the_calendar_never_ends() {
    let start: Instant = "2026-11-22T04:00:00Z".parse().unwrap();
    assert_eq!(
        later(start, Duration::from_secs(60)),
        start + chrono::Duration::seconds(60)
    );
    for wait_s in [300_000_000_000, 9_000_000_000_000_000, u64::MAX] {
        let never = later(start, Duration::from_secs(wait_s));
        assert_eq!(never.to_rfc3339(), "9999-12-31T23:59:59+00:00");
        let micros = never.timestamp_micros();
        assert_eq!(Instant::from_timestamp_micros(micros), Some(never));
    }
}
