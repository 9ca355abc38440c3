//! Two people and a merchant: who may do what with which content.

use super::super::tests::{code, profile};
use super::super::{Limits, Tick};
use super::*;

fn at(seconds: i64) -> Instant {
    Instant::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn draft() -> Dossier {
    Dossier::register(code(), MerchantKind::Channel, profile(), "ann", at(0))
}

fn submitted() -> Dossier {
    draft().submit(0, "ann", at(1)).unwrap()
}

fn hash(dossier: &Dossier) -> String {
    dossier.hash_of(dossier.proposed.as_ref().unwrap())
}

fn tick(item: CheckItem, by: &str) -> Tick {
    Tick {
        item,
        by: by.into(),
        note: "seen".into(),
        at: at(2),
    }
}

fn ticked(dossier: Dossier) -> Dossier {
    let hash = hash(&dossier);
    CheckItem::ALL.iter().fold(dossier, |dossier, item| {
        dossier.check(&hash, tick(*item, "bob")).unwrap()
    })
}

fn active() -> Dossier {
    let ticked = ticked(submitted());
    let approved = ticked.approve(&hash(&ticked), "bob", at(3)).unwrap();
    approved
        .switch(MerchantVerb::Activate, "contract", at(4))
        .unwrap()
}

#[test]
fn the_approval_holds_the_hash_of_what_was_approved() {
    let ticked = ticked(submitted());
    let approved = ticked.approve(&hash(&ticked), "bob", at(3)).unwrap();
    assert_eq!(approved.state, MerchantState::Approved);
    assert_eq!(approved.version, ticked.version + 1);
    assert_eq!(approved.proposed, None);
    let revision = approved.approved.as_ref().unwrap();
    assert_eq!(revision.stage, Stage::Approved);
    assert_eq!(revision.approved_hash, Some(approved.hash_of(revision)));
    assert_eq!(revision.checker.as_deref(), Some("bob"));
}

#[test]
fn who_wrote_or_submitted_it_neither_ticks_nor_approves_nor_rejects() {
    let edited = draft().edit(0, profile(), "carl", at(1)).unwrap();
    let waits = ticked(edited.submit(1, "ann", at(2)).unwrap());
    let hash = hash(&waits);
    for who in ["ann", "carl"] {
        let refused = Err(ReviewError::MakerIsChecker {
            code: code(),
            who: who.into(),
        });
        assert_eq!(waits.approve(&hash, who, at(3)), refused);
        assert_eq!(waits.reject(&hash, "no", who, at(3)), refused);
        assert_eq!(waits.check(&hash, tick(CheckItem::Licence, who)), refused);
    }
    assert!(waits.approve(&hash, "bob", at(3)).is_ok());
}

#[test]
fn an_edit_unticks_and_takes_the_submission_back() {
    let waits = ticked(submitted());
    let read = hash(&waits);
    let other = Profile {
        name_en: "Bigger Portal".into(),
        ..profile()
    };
    let edited = waits.edit(waits.version, other, "ann", at(5)).unwrap();
    assert_eq!(edited.state, MerchantState::Draft);
    assert_eq!(
        edited.approve(&read, "bob", at(6)),
        Err(ReviewError::ContentChanged(code()))
    );
    let again = edited.submit(edited.version, "ann", at(6)).unwrap();
    assert_eq!(
        again.approve(&read, "bob", at(7)),
        Err(ReviewError::ContentChanged(code()))
    );
    let missing = CheckItem::ALL.to_vec();
    assert_eq!(
        again.approve(&hash(&again), "bob", at(7)),
        Err(ReviewError::Unticked {
            code: code(),
            missing
        })
    );
}

#[test]
fn what_is_missing_is_named() {
    let waits = submitted();
    let hash = hash(&waits);
    let one_short = CheckItem::ALL[1..].iter().fold(waits, |dossier, item| {
        dossier.check(&hash, tick(*item, "bob")).unwrap()
    });
    let error = one_short.approve(&hash, "bob", at(3)).unwrap_err();
    assert!(error.to_string().contains(": LICENCE;"), "{error}");
    // The newer note of an item stands.
    let again = one_short.check(
        &hash,
        Tick {
            note: "seen again".into(),
            ..tick(CheckItem::Terms, "carl")
        },
    );
    let ticks = again.unwrap().proposed.unwrap().ticks;
    assert_eq!(ticks.len(), CheckItem::ALL.len() - 1);
    assert_eq!(ticks.last().unwrap().note, "seen again");
}

#[test]
fn the_second_checker_is_told_that_it_is_decided() {
    let waits = ticked(submitted());
    let hash = hash(&waits);
    for (decided, stage) in [
        (waits.approve(&hash, "bob", at(3)).unwrap(), Stage::Approved),
        (
            waits.reject(&hash, "no", "bob", at(3)).unwrap(),
            Stage::Rejected,
        ),
    ] {
        let code = code();
        let refused = Err(ReviewError::AlreadyDecided { code, stage });
        assert_eq!(decided.approve(&hash, "carl", at(4)), refused);
        assert_eq!(decided.reject(&hash, "no", "carl", at(4)), refused);
    }
    assert_eq!(
        draft().approve(&self::hash(&draft()), "bob", at(1)),
        Err(ReviewError::NotSubmitted(code()))
    );
}

#[test]
fn a_rejected_one_is_edited_back_into_a_draft() {
    let waits = submitted();
    let rejected = waits
        .reject(&hash(&waits), "no licence", "bob", at(3))
        .unwrap();
    assert_eq!(rejected.state, MerchantState::Rejected);
    assert_eq!(rejected.reason.as_deref(), Some("no licence"));
    assert!(rejected.submit(rejected.version, "ann", at(4)).is_err());
    let edited = rejected
        .edit(rejected.version, profile(), "ann", at(4))
        .unwrap();
    assert_eq!(
        (edited.state, edited.reason.clone()),
        (MerchantState::Draft, None)
    );
    assert_eq!(edited.proposed.unwrap().number, 2);
}

#[test]
fn what_is_approved_stays_in_force_until_the_other_is_approved() {
    let active = active();
    let wider = Profile {
        limits: Limits::NONE,
        ..profile()
    };
    let edited = active
        .edit(active.version, wider.clone(), "ann", at(5))
        .unwrap();
    assert_eq!(edited.state, MerchantState::Active);
    assert_eq!(edited.approved, active.approved);
    // The maker of the proposal may be the checker of what is in force.
    let waits = edited.submit(edited.version, "bob", at(6)).unwrap();
    let waits = CheckItem::ALL.iter().fold(waits, |dossier, item| {
        dossier.check(&hash(&dossier), tick(*item, "carl")).unwrap()
    });
    assert!(waits.approve(&hash(&waits), "bob", at(7)).is_err());
    let rejected = waits.reject(&hash(&waits), "no", "carl", at(7)).unwrap();
    assert_eq!(rejected.approved, active.approved);
    assert_eq!(
        (rejected.state, rejected.reason),
        (MerchantState::Active, None)
    );
    let approved = waits.approve(&hash(&waits), "carl", at(7)).unwrap();
    assert_eq!(approved.state, MerchantState::Active);
    assert_eq!(approved.approved.unwrap().profile, wider);
}

#[test]
fn an_edit_or_a_submission_says_what_was_read() {
    let draft = draft();
    let changed = Err(ReviewError::Changed(code()));
    assert_eq!(draft.edit(1, profile(), "ann", at(1)), changed);
    assert_eq!(draft.submit(1, "ann", at(1)), changed);
}

#[test]
fn reasons_and_notes_are_words() {
    let waits = submitted();
    let (long, hash) = ("x".repeat(1_001), hash(&waits));
    for words in ["", "  ", "a\u{0}b", long.as_str()] {
        let note = Tick {
            note: words.into(),
            ..tick(CheckItem::Licence, "bob")
        };
        assert_eq!(waits.check(&hash, note), Err(ReviewError::Words("note")));
        let refused = Err(ReviewError::Words("reason"));
        assert_eq!(waits.reject(&hash, words, "bob", at(3)), refused);
        assert_eq!(
            active().switch(MerchantVerb::Suspend, words, at(5)),
            refused
        );
    }
}

#[test]
fn suspending_resuming_and_closing() {
    let suspended = active()
        .switch(MerchantVerb::Suspend, "unpaid", at(5))
        .unwrap();
    assert_eq!(suspended.reason.as_deref(), Some("unpaid"));
    let resumed = suspended
        .switch(MerchantVerb::Resume, "paid", at(6))
        .unwrap();
    assert_eq!(
        (resumed.state, resumed.reason),
        (MerchantState::Active, None)
    );
    let closed = suspended
        .switch(MerchantVerb::Close, "left", at(6))
        .unwrap();
    assert_eq!(closed.state, MerchantState::Closed);
    assert_eq!(
        closed.edit(closed.version, profile(), "ann", at(7)),
        Err(ReviewError::State {
            code: code(),
            state: MerchantState::Closed,
            verb: MerchantVerb::Edit
        })
    );
}
