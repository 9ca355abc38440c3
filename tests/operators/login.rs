//! Getting in, and not getting in.

use super::*;
use payhall::domain::operator::OperatorState;
use payhall::storage::operators;

#[tokio::test]
async fn the_right_password_opens_a_session_and_leaves_an_audit_row() {
    for center in Center::all() {
        center.add("ann", Role::Reviewer).await;
        let logged_in = center.login("ann").await;
        let visit = center.resume(&logged_in).await.unwrap();
        assert_eq!(visit.operator.role, Role::Reviewer);
        assert_eq!(visit.operator.last_login_at, Some(center.operators.now()));
        let audits = center.audits("ann").await;
        let login = audits.iter().find(|one| one.action == "LOGGED_IN").unwrap();
        assert_eq!(login.actor, "operator:ann");
        assert_eq!(login.subject_kind, "OPERATOR");
        assert_eq!(login.request_id.as_deref(), Some("r-1"));
    }
}

/// Whoever is not let in learns nothing from the answer, nor from how much was computed for it.
#[tokio::test]
async fn every_refusal_has_the_same_answer_and_the_same_work() {
    for center in Center::all() {
        for of in ["ann", "off", "locked"] {
            center.add(of, Role::Viewer).await;
        }
        let system = Actor::system();
        center
            .operators
            .disable(&name("off"), &system)
            .await
            .unwrap();
        for _ in 0..5 {
            refused(center.try_login("locked", shown("wrong")).await);
        }
        let long = "x".repeat(4_096);
        let mut answers = Vec::new();
        for (of, password) in [
            ("ann", "wrong"),
            ("ann", ""),
            ("ann", long.as_str()),
            ("nobody", PASSWORD),
            ("Not A Name", PASSWORD),
            ("", PASSWORD),
            ("off", PASSWORD),
            ("locked", PASSWORD),
            ("locked", "wrong"),
        ] {
            let before = center.operators.passwords().computed();
            answers.push(refused(center.try_login(of, shown(password)).await));
            let computed = center.operators.passwords().computed() - before;
            assert_eq!(computed, 1, "{}: {of:?} {password:?}", center.kind());
        }
        assert_eq!(answers[0].code, RefusalCode::LoginRefused);
        assert!(answers.iter().all(|one| *one == answers[0]), "{answers:?}");
        assert!(
            center
                .deeds("off")
                .await
                .contains(&"LOGIN_REFUSED DISABLED".to_owned())
        );
        let unknown = center.audits("unknown").await;
        assert_eq!(
            unknown.len(),
            3,
            "what was typed as a name is not written down"
        );
        assert!(unknown.iter().all(|one| one.actor == "anonymous"));
    }
}

#[tokio::test]
async fn five_wrong_tries_lock_and_time_opens() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        for _ in 0..4 {
            refused(center.try_login("ann", shown("wrong")).await);
        }
        // A right one in between takes the count back.
        center.login("ann").await;
        for _ in 0..5 {
            refused(center.try_login("ann", shown("wrong")).await);
        }
        refused(center.try_login("ann", shown(PASSWORD)).await);
        center.pass(15 * 60 - 1);
        refused(center.try_login("ann", shown(PASSWORD)).await);
        center.pass(1);
        center.login("ann").await;
        let last = center.audits("ann").await.into_iter();
        let locked: Vec<_> = last
            .filter(|one| one.before.as_deref() == Some("ACTIVE"))
            .filter(|one| one.after.as_deref() == Some("LOCKED"))
            .collect();
        assert_eq!(locked.len(), 1, "the row that locks says so");
    }
}

/// Of many wrong tries at once five are judged, however they overlap.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_try_slips_past_the_lock() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        let tries = (0..24).map(|_| {
            let operators = center.operators.clone();
            tokio::spawn(async move {
                let shown = shown("wrong");
                operators.login("ann", &shown, None, &anonymous()).await
            })
        });
        for one in tries.collect::<Vec<_>>() {
            refused(one.await.unwrap());
        }
        let deeds = center.deeds("ann").await;
        let count = |deed: &str| deeds.iter().filter(|one| *one == deed).count();
        assert_eq!(
            count("LOGIN_REFUSED WRONG_PASSWORD"),
            5,
            "{}",
            center.kind()
        );
        assert_eq!(count("LOGIN_REFUSED LOCKED"), 19, "{}", center.kind());
        let found = center
            .store
            .read(|c| operators::find(c, &name("ann")))
            .await;
        let ann = found.unwrap().unwrap();
        assert_eq!(ann.failures, 5);
        assert_eq!(ann.state(center.operators.now()), OperatorState::Locked);
    }
}

#[tokio::test]
async fn a_one_time_code_is_asked_for_and_counts_once() {
    for center in Center::all() {
        center.add("ann", Role::Admin).await;
        let logged_in = center.login("ann").await;
        let secret = center.set_up_codes(&logged_in).await;
        let confirmed_with = center.code(&secret, 0);
        refused(center.try_login("ann", shown(PASSWORD)).await);
        refused(center.try_login("ann", with_code(&confirmed_with)).await);
        refused(center.try_login("ann", with_code("000000")).await);
        let next = center.code(&secret, 30);
        center.try_login("ann", with_code(&next)).await.unwrap();
        refused(center.try_login("ann", with_code(&next)).await);
        // A code with a wrong password is not used up by it.
        center.pass(60);
        let now = center.code(&secret, 0);
        let wrong = Credentials {
            password: SecretString::from("wrong"),
            ..with_code(&now)
        };
        refused(center.try_login("ann", wrong).await);
        center.try_login("ann", with_code(&now)).await.unwrap();
        let deeds = center.deeds("ann").await;
        for deed in [
            "LOGIN_REFUSED USED_CODE",
            "LOGIN_REFUSED WRONG_CODE",
            "TOTP_BEGUN",
            "TOTP_CONFIRMED",
        ] {
            assert!(deeds.contains(&deed.to_owned()), "{deed}: {deeds:?}");
        }
    }
}

/// One code, two at once: one of them gets in.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_code_lets_one_in() {
    for center in Center::all() {
        center.add("ann", Role::Admin).await;
        let logged_in = center.login("ann").await;
        let secret = center.set_up_codes(&logged_in).await;
        center.pass(30);
        let code = center.code(&secret, 0);
        let (one, other) = tokio::join!(
            center.try_login("ann", with_code(&code)),
            center.try_login("ann", with_code(&code)),
        );
        assert_eq!(
            usize::from(one.is_ok()) + usize::from(other.is_ok()),
            1,
            "{}",
            center.kind()
        );
    }
}

/// A secret that was copied into another row does not open there: its holder gets in nowhere else.
#[tokio::test]
async fn a_secret_of_codes_belongs_to_its_row() {
    for center in Center::all() {
        for of in ["ann", "bob"] {
            center.add(of, Role::Viewer).await;
        }
        let logged_in = center.login("ann").await;
        let secret = center.set_up_codes(&logged_in).await;
        let copy = "UPDATE operators SET totp = (SELECT totp FROM operators WHERE name = 'ann') \
                    WHERE name = 'bob'";
        center.database.execute(copy).unwrap();
        center.pass(60);
        let code = center.code(&secret, 0);
        let tried = center.try_login("bob", with_code(&code)).await;
        assert!(matches!(tried, Err(EngineError::Store(_))), "{tried:?}");
    }
}

/// A stored hash of another cost is computed anew when its password comes along.
#[tokio::test]
async fn a_hash_follows_the_cost() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        let hash = async || {
            let found = center
                .store
                .read(|c| operators::find(c, &name("ann")))
                .await;
            found.unwrap().unwrap().password_hash.0
        };
        assert!(hash().await.contains("$argon2id$v=19$m=8,t=1,p=1$"));
        let dearer = PasswordCost {
            memory_kib: 16,
            passes: 2,
            lanes: 1,
        };
        let operators = desk(&center.store, &center.clock, dearer, 1);
        let wrong = operators
            .login("ann", &shown("wrong"), None, &anonymous())
            .await;
        refused(wrong);
        assert!(hash().await.contains("m=8,t=1"));
        let right = shown(PASSWORD);
        let login = operators.login("ann", &right, None, &anonymous()).await;
        login.unwrap();
        assert!(hash().await.contains("m=16,t=2"));
        operators
            .login("ann", &right, None, &anonymous())
            .await
            .unwrap();
    }
}

/// A new master key takes over every secret, and the same app goes on.
#[tokio::test]
async fn codes_outlive_their_master_key() {
    for center in Center::all() {
        for of in ["ann", "bob", "eve"] {
            center.add(of, Role::Viewer).await;
        }
        let logged_in = center.login("ann").await;
        let secret = center.set_up_codes(&logged_in).await;
        let bob = center.login("bob").await;
        let actor = bob.visit.actor("r");
        center
            .operators
            .begin_codes(&bob.visit, &actor)
            .await
            .unwrap();
        let newer = desk(&center.store, &center.clock, PasswordCost::LEAST, 2);
        let system = Actor::system();
        assert_eq!(newer.rewrap_codes(&system).await.unwrap(), 2, "ann and bob");
        assert_eq!(newer.rewrap_codes(&system).await.unwrap(), 0);
        for operator in newer.list().await.unwrap() {
            for sealed in operator.totp.iter().chain(&operator.totp_pending) {
                assert_eq!(sealed.0[0], 2, "{}: {}", center.kind(), operator.name);
            }
        }
        center.pass(60);
        let shown = with_code(&center.code(&secret, 0));
        newer
            .login("ann", &shown, None, &anonymous())
            .await
            .unwrap();
        let deeds = center.deeds("ann").await;
        assert!(deeds.contains(&"TOTP_REWRAPPED".to_owned()), "{deeds:?}");
    }
}
