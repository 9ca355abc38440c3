//! Tests of `notification.rs`.

use super::*;
use crate::domain::ids::{BillNo, BillerCode, ItemCode, RequestNo};
use crate::domain::money::{Currency, Money};
use crate::domain::time::BusinessDay;

fn at(seconds: i64) -> Instant {
    let noon: Instant = "2026-11-22T04:00:00Z".parse().unwrap();
    noon + chrono::Duration::seconds(seconds)
}

fn order(state: OrderState, version: i32) -> Order {
    Order {
        order_no: OrderNo::try_new("202611220000000000000001").unwrap(),
        merchant: MerchantCode::try_new("portal").unwrap(),
        request_no: RequestNo::try_new("R-1").unwrap(),
        fingerprint: "f".to_owned(),
        item: ItemCode::try_new("water").unwrap(),
        biller: BillerCode::try_new("water").unwrap(),
        bill_no: BillNo::try_new("1").unwrap(),
        bill_ref: None,
        amount: Money::new(1, Currency::CNY),
        state,
        reason: Some("NOT_FOUND".to_owned()),
        business_date: BusinessDay::SHANGHAI.date_of(at(0)),
        expires_at: at(7200),
        created_at: at(-60),
        updated_at: at(0),
        version,
    }
}

fn made() -> Notification {
    Notification::of(&order(OrderState::Failed, 3), Uuid::now_v7())
}

#[test]
fn it_tells_of_the_version_that_came_to_rest() {
    let made = made();
    assert_eq!(
        (made.order_state, made.order_version),
        (OrderState::Failed, 3)
    );
    assert_eq!(made.order_reason.as_deref(), Some("NOT_FOUND"));
    assert_eq!((made.created_at, made.next_at), (at(0), at(0)));
    assert_eq!(
        (made.state, made.series, made.tries),
        (NotificationState::Pending, 1, 0)
    );
}

#[test]
fn sixteen_tries_end_within_a_day_whatever_the_dice_say() {
    let retries = Retries::standard();
    for dice in [0, 1, 19_999, 20_000, 20_001, u32::MAX] {
        let waits = (1..).map_while(|done| retries.wait_after(done, dice));
        let (count, sum) = waits.fold((0, Duration::ZERO), |(n, sum), wait| (n + 1, sum + wait));
        assert_eq!(count, 15, "16 tries have 15 waits between them");
        assert!(sum > Duration::from_hours(18), "{sum:?}");
        assert!(
            sum + Duration::from_secs(16 * 5) < Duration::from_hours(24),
            "{sum:?}"
        );
    }
}

#[test]
fn a_wait_differs_by_ten_percent_at_most_and_reaches_both_ends() {
    let retries = Retries::standard();
    let wait = |dice| retries.wait_after(9, dice).unwrap();
    assert_eq!(wait(0), Duration::from_secs(3_240));
    assert_eq!(wait(10_000), Duration::from_secs(3_600));
    assert_eq!(wait(20_000), Duration::from_secs(3_960));
    assert_eq!(wait(20_001), Duration::from_secs(3_240));
    let exact = Retries {
        jitter_percent: 0,
        ..Retries::standard()
    };
    assert_eq!(exact.wait_after(1, 77), Some(Duration::from_secs(10)));
    assert_eq!(exact.wait_after(0, 0), None);
    assert_eq!(exact.wait_after(16, 0), None);
    assert_eq!(exact.wait_after(-1, 0), None);
}

#[test]
fn only_two_hundreds_say_that_it_is_there() {
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(Heard::answered(status).outcome, TryOutcome::Delivered);
    }
    for status in [
        100, 199, 300, 301, 302, 307, 400, 401, 404, 410, 429, 500, 503, 999,
    ] {
        assert_eq!(
            Heard::answered(status).outcome,
            TryOutcome::Rejected,
            "{status}"
        );
    }
    assert!(Heard::answered(302).cause.is_some());
}

#[test]
fn the_last_try_gives_up_and_the_others_come_again() {
    let retries = Retries {
        jitter_percent: 0,
        ..Retries::standard()
    };
    let mut one = made();
    let mut now = at(0);
    for number in 1..=16 {
        assert_eq!(one.state, NotificationState::Pending, "before try {number}");
        assert_eq!(one.begin(Uuid::now_v7(), now).number, number);
        one = one.after(TryOutcome::TimedOut, &retries, 0, now);
        now = one.next_at;
    }
    assert_eq!(one.state, NotificationState::GivenUp);
    assert_eq!(one.reason, Some(GiveUpReason::TriesUsedUp));
    assert_eq!((one.tries, one.concluded_at), (16, Some(now)));
}

#[test]
fn every_outcome_but_delivered_and_what_was_ours_counts_as_a_failed_try() {
    let retries = Retries::standard();
    for outcome in TryOutcome::ALL {
        let after = made().after(*outcome, &retries, 0, at(1));
        let (state, tries) = match outcome {
            TryOutcome::Delivered => (NotificationState::Delivered, 1),
            TryOutcome::NotSent | TryOutcome::Interrupted | TryOutcome::Started => {
                (NotificationState::Pending, 0)
            }
            _ => (NotificationState::Pending, 1),
        };
        assert_eq!((after.state, after.tries), (state, tries), "{outcome}");
        assert_eq!(
            after.concluded_at.is_some(),
            state == NotificationState::Delivered
        );
        assert!(after.lease_owner.is_none());
    }
}

#[test]
fn what_cannot_be_sent_rests_twice_as_long_each_time_up_to_an_hour() {
    let (mut now, mut waits) = (at(0), Vec::new());
    for _ in 0..10 {
        let rests = made().not_sent(at(0), now);
        assert_eq!((rests.state, rests.tries), (NotificationState::Pending, 0));
        waits.push((rests.next_at - now).num_seconds());
        now = rests.next_at;
    }
    let expected = [60, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600];
    assert_eq!(waits, expected);
    let clock_went_back = made().not_sent(at(9), at(0));
    assert_eq!(clock_went_back.next_at, at(60));
}

#[test]
fn sent_again_it_keeps_its_id_and_place_and_counts_anew() {
    let retries = Retries::standard();
    let delivered = made().after(TryOutcome::Delivered, &retries, 0, at(1));
    let given_up = made().given_up(GiveUpReason::NoUrl, at(1));
    for concluded in [delivered, given_up] {
        let again = concluded.resent(at(9)).unwrap();
        assert_eq!(again.notification_id, concluded.notification_id);
        assert_eq!(again.order_version, 3);
        assert_eq!(
            (again.state, again.series, again.tries),
            (NotificationState::Pending, 2, 0)
        );
        assert_eq!(
            (again.next_at, again.reason, again.concluded_at),
            (at(9), None, None)
        );
        assert!(
            again.fence > concluded.fence,
            "who sends it still cannot write back"
        );
    }
    let waiting = made().after(TryOutcome::Broken, &retries, 0, at(1));
    let sooner = waiting.resent(at(2)).unwrap();
    assert_eq!((sooner.series, sooner.tries, sooner.next_at), (1, 1, at(2)));
    assert_eq!(made().resent(at(0)), None, "it is due");
    let leased = Notification {
        next_at: at(60),
        lease_owner: Some("a".to_owned()),
        ..made()
    };
    assert_eq!(leased.resent(at(1)), None, "it is being sent");
}
