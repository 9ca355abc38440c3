use super::*;

fn at(seconds: i64) -> Instant {
    Instant::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn operator() -> Operator {
    Operator {
        name: OperatorName::try_new("ann").unwrap(),
        display_name: "Ann".into(),
        role: Role::Reviewer,
        disabled_at: None,
        password_hash: PasswordHash("$argon2id$…".into()),
        password_is_temporary: false,
        totp: None,
        totp_pending: None,
        totp_step: None,
        failures: 0,
        locked_until: None,
        created_at: at(0),
        last_login_at: None,
        version: 0,
    }
}

const RIGHT: Proof = Proof {
    is_password_right: true,
    code_step: None,
};
const WRONG: Proof = Proof {
    is_password_right: false,
    code_step: None,
};

#[test]
fn each_fifth_wrong_try_locks_twice_as_long_up_to_a_day() {
    for (failures, minutes) in [
        (0, None),
        (1, None),
        (4, None),
        (5, Some(15)),
        (6, None),
        (9, None),
        (10, Some(30)),
        (15, Some(60)),
        (30, Some(480)),
        (35, Some(960)),
        (40, Some(1_440)),
        (45, Some(1_440)),
        (325, Some(1_440)),
        (u32::MAX, Some(1_440)),
    ] {
        assert_eq!(
            lock_after(failures),
            minutes.map(Duration::minutes),
            "{failures}"
        );
    }
}

#[test]
fn the_fifth_wrong_try_locks_and_the_lock_ends_by_itself() {
    let mut account = operator();
    for failures in 1..=5 {
        let (after, judged) = account.judge(WRONG, at(0));
        assert_eq!(judged, Err(NotLetIn::WrongPassword));
        assert_eq!(
            (after.failures, after.version),
            (failures, account.version + 1)
        );
        account = after;
    }
    assert_eq!(account.state(at(899)), OperatorState::Locked);
    assert_eq!(account.state(at(900)), OperatorState::Active);
    // The right password does not open a lock, and a wrong one does not make it longer.
    for proof in [RIGHT, WRONG] {
        assert_eq!(
            account.judge(proof, at(899)),
            (account.clone(), Err(NotLetIn::Locked))
        );
    }
    let (open, judged) = account.judge(RIGHT, at(900));
    assert_eq!(judged, Ok(()));
    assert_eq!((open.failures, open.locked_until), (0, None));
    // Without a right one in between, the next five lock for longer.
    let mut tried = account;
    for _ in 0..5 {
        tried = tried.judge(WRONG, at(1_000)).0;
    }
    assert_eq!(tried.locked_until, Some(at(1_000) + Duration::minutes(30)));
}

#[test]
fn a_one_time_code_counts_once_and_none_before_it() {
    let account = Operator {
        totp: Some(Sealed(vec![1])),
        totp_step: Some(100),
        ..operator()
    };
    let judge = |code_step| account.judge(Proof { code_step, ..RIGHT }, at(0));
    assert_eq!(judge(None).1, Err(NotLetIn::WrongCode));
    assert_eq!(judge(Some(99)).1, Err(NotLetIn::UsedCode));
    assert_eq!(judge(Some(100)).1, Err(NotLetIn::UsedCode));
    let (after, judged) = judge(Some(101));
    assert_eq!((judged, after.totp_step), (Ok(()), Some(101)));
    assert_eq!(judge(None).0.failures, 1, "a missing code is a wrong try");
    let both_wrong = Proof {
        is_password_right: false,
        code_step: Some(101),
    };
    let (after, judged) = account.judge(both_wrong, at(0));
    assert_eq!(judged, Err(NotLetIn::WrongPassword));
    assert_eq!(after.totp_step, Some(100), "the code is not used up");
}

#[test]
fn a_disabled_account_lets_nobody_in_and_does_not_change() {
    let account = Operator {
        disabled_at: Some(at(0)),
        ..operator()
    };
    assert_eq!(account.state(at(1)), OperatorState::Disabled);
    assert_eq!(
        account.judge(RIGHT, at(1)),
        (account.clone(), Err(NotLetIn::Disabled))
    );
}

#[test]
fn what_a_password_has_to_be() {
    let name = OperatorName::try_new("ann.lee").unwrap();
    let check = |password: &str| check_password(&name, password);
    for good in [
        "correct horse battery",
        "缴费中心的一个长口令啊啊",
        "passwords-are-words",
        "Tr0ub4dor&3x",
    ] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for (bad, why) in [
        ("", BadPassword::Length),
        ("elevenchars", BadPassword::Length),
        (&"ab1!x".repeat(52), BadPassword::Length),
        ("my-Ann.Lee-2026", BadPassword::Name),
        ("Password1234", BadPassword::Common),
        ("p@ssw0rd!!!!!", BadPassword::Common),
        ("123456789012", BadPassword::Common),
        ("qwertyuiop[]", BadPassword::Common),
        ("aaaaaaaaaaaa", BadPassword::Common),
        ("abababababab", BadPassword::Common),
    ] {
        assert_eq!(check(bad), Err(why), "{bad}");
        assert!(bad.is_empty() || !why.to_string().contains(bad));
    }
}

#[test]
fn a_session_ends_unused_and_in_the_end() {
    let name = OperatorName::try_new("ann").unwrap();
    let begun = Session::begin("h".into(), name, at(0));
    assert!(begun.is_alive(at(0)) && begun.is_alive(at(899)));
    assert!(!begun.is_alive(at(900)), "unused for 15 minutes");
    let used = Session {
        seen_at: at(8 * 3_600 - 60),
        ..begun.clone()
    };
    assert!(used.is_alive(at(8 * 3_600 - 1)));
    assert!(!used.is_alive(at(8 * 3_600)), "8 hours, however much used");
    assert!(begun.is_fresh(at(299)) && !begun.is_fresh(at(300)));
    assert!(!begun.is_to_be_seen(at(59)) && begun.is_to_be_seen(at(60)));
    let ended = Session {
        ended_at: Some(at(1)),
        ..begun
    };
    assert!(!ended.is_alive(at(1)));
}

#[test]
fn secrets_are_not_printed() {
    let account = Operator {
        totp: Some(Sealed(b"s3cret".to_vec())),
        password_hash: PasswordHash("s3cret".into()),
        ..operator()
    };
    let printed = format!("{account:?}");
    assert!(
        !printed.contains("s3cret") && !printed.contains("115, 51"),
        "{printed}"
    );
}
