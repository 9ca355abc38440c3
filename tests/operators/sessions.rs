//! How long a session holds, and what ends it.

use super::*;

#[tokio::test]
async fn a_session_ends_unused_and_after_eight_hours() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        let idle = center.login("ann").await;
        center.pass(15 * 60 - 1);
        assert!(center.resume(&idle).await.is_some());
        center.pass(15 * 60);
        assert!(center.resume(&idle).await.is_none(), "{}", center.kind());

        let busy = center.login("ann").await;
        for _ in 0..47 {
            center.pass(10 * 60);
            assert!(center.resume(&busy).await.is_some(), "{}", center.kind());
        }
        center.pass(10 * 60);
        assert!(center.resume(&busy).await.is_none(), "8 hours are over");
    }
}

#[tokio::test]
async fn its_use_is_written_down_at_most_once_a_minute() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        let logged_in = center.login("ann").await;
        let begun = logged_in.visit.session.seen_at;
        let seen_at = async || center.resume(&logged_in).await.unwrap().session.seen_at;
        center.pass(59);
        assert_eq!(seen_at().await, begun);
        assert_eq!(seen_at().await, begun);
        center.pass(1);
        seen_at().await;
        assert_eq!(seen_at().await, center.operators.now());
        // Looking in is no use.
        center.pass(600);
        let hash = &logged_in.visit.session.secret_hash;
        let look_in = center.operators.look_in(hash).await.unwrap();
        assert!(look_in.is_some());
        center.pass(300);
        assert!(center.resume(&logged_in).await.is_none());
    }
}

#[tokio::test]
async fn each_login_has_a_secret_of_its_own_and_ends_the_one_held_before() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        let first = center.login("ann").await;
        let held = center.resume(&first).await;
        let shown = shown(PASSWORD);
        let second = center
            .operators
            .login("ann", &shown, held.as_ref(), &anonymous())
            .await
            .unwrap();
        assert_ne!(first.secret.expose_secret(), second.secret.expose_secret());
        assert!(center.resume(&first).await.is_none());
        assert!(center.resume(&second).await.is_some());
        // One in another browser goes on.
        let third = center.login("ann").await;
        assert!(center.resume(&second).await.is_some());
        assert!(center.resume(&third).await.is_some());
    }
}

#[tokio::test]
async fn a_new_proof_changes_the_secret_and_not_the_beginning() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        let first = center.login("ann").await;
        center.pass(10 * 60);
        let visit = center.resume(&first).await.unwrap();
        assert!(!visit.session.is_fresh(center.operators.now()));
        let actor = visit.actor("r-2");
        let wrong = center
            .operators
            .reauthenticate(&visit, &shown("wrong"), &actor)
            .await;
        assert_eq!(code_of(wrong), RefusalCode::LoginRefused);
        assert!(center.resume(&first).await.is_some());
        let right = shown(PASSWORD);
        let second = center
            .operators
            .reauthenticate(&visit, &right, &actor)
            .await;
        let second = second.unwrap();
        assert!(second.visit.session.is_fresh(center.operators.now()));
        assert_eq!(second.visit.session.created_at, visit.session.created_at);
        assert!(center.resume(&first).await.is_none(), "the old secret");
        assert!(center.resume(&second).await.is_some());
        // The same visit a second time, as if two requests held one secret.
        let late = center
            .operators
            .reauthenticate(&visit, &right, &actor)
            .await;
        assert_eq!(code_of(late), RefusalCode::LoginRefused);
        let deeds = center.deeds("ann").await;
        for deed in [
            "REAUTHENTICATED",
            "REAUTHENTICATION_REFUSED OVERTAKEN",
            "REAUTHENTICATION_REFUSED WRONG_PASSWORD",
        ] {
            assert!(deeds.contains(&deed.to_owned()), "{deed}: {deeds:?}");
        }
    }
}

#[tokio::test]
async fn logging_out_and_being_switched_off_end_a_session() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        let one = center.login("ann").await;
        let other = center.login("ann").await;
        let visit = center.resume(&one).await.unwrap();
        let actor = visit.actor("r-2");
        for _ in 0..2 {
            center.operators.logout(&visit, &actor).await.unwrap();
        }
        assert!(center.resume(&one).await.is_none());
        assert!(center.resume(&other).await.is_some());
        let deeds = center.deeds("ann").await;
        let outs = deeds.iter().filter(|deed| *deed == "LOGGED_OUT").count();
        assert_eq!(outs, 1, "done already is not done again");
        let system = Actor::system();
        center
            .operators
            .disable(&name("ann"), &system)
            .await
            .unwrap();
        assert!(center.resume(&other).await.is_none());
        center
            .operators
            .enable(&name("ann"), &system)
            .await
            .unwrap();
        assert!(center.resume(&other).await.is_none(), "what ended stays so");
        center.login("ann").await;
    }
}

#[tokio::test]
async fn a_role_counts_from_the_next_request_on() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        let logged_in = center.login("ann").await;
        let (ann, system) = (name("ann"), Actor::system());
        let changed = center
            .operators
            .set_role(&ann, Role::Reviewer, &system)
            .await;
        changed.unwrap();
        let visit = center.resume(&logged_in).await.unwrap();
        assert_eq!(visit.operator.role, Role::Reviewer);
    }
}

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        let own = center.login("ann").await;
        let other = center.login("ann").await;
        let visit = center.resume(&own).await.unwrap();
        let actor = visit.actor("r-2");
        let change = async |old: &str, new: &str| {
            let (old, new) = (shown(old), SecretString::from(new));
            let operators = &center.operators;
            operators.change_password(&visit, &old, &new, &actor).await
        };
        let new = "a wholly other phrase";
        for bad in ["short", "password12345", PASSWORD, "it is ann's own phrase"] {
            let code = code_of(change(PASSWORD, bad).await);
            assert_eq!(code, RefusalCode::PasswordInvalid, "{bad}");
        }
        assert_eq!(
            code_of(change("wrong", new).await),
            RefusalCode::LoginRefused
        );
        let changed = change(PASSWORD, new).await.unwrap();
        assert!(center.resume(&changed).await.is_some());
        for ended in [&own, &other] {
            assert!(center.resume(ended).await.is_none(), "{}", center.kind());
        }
        refused(center.try_login("ann", shown(PASSWORD)).await);
        center.try_login("ann", shown(new)).await.unwrap();
    }
}
