//! What administrators do with the accounts of others, and what nobody may do.

use super::*;

fn by(who: &str) -> Actor {
    Actor {
        who: format!("operator:{who}"),
        request_id: Some("r-9".to_owned()),
    }
}

#[tokio::test]
async fn somebody_added_has_to_change_the_temporary_password() {
    for center in Center::all() {
        let new = || NewOperator {
            name: name("lee"),
            display_name: "Lee Wang".to_owned(),
            role: Role::Operator,
        };
        let added = center.operators.add(new(), &by("root")).await.unwrap();
        let again = center.operators.add(new(), &by("root")).await;
        assert_eq!(code_of(again), RefusalCode::OperatorExists);
        let given = added.password.expose_secret().to_owned();
        let first = center.try_login("lee", shown(&given)).await.unwrap();
        assert!(first.visit.operator.password_is_temporary);
        let (old, own) = (shown(&given), SecretString::from("my own long phrase"));
        let changed = center
            .operators
            .change_password(&first.visit, &old, &own, &first.visit.actor("r-2"))
            .await
            .unwrap();
        assert!(!changed.visit.operator.password_is_temporary);
        refused(center.try_login("lee", shown(&given)).await);
    }
}

#[tokio::test]
async fn a_display_name_is_a_name() {
    let center = Center::on(TestDatabase::sqlite());
    for bad in ["", " lee", "lee\n", &"x".repeat(81)] {
        let new = NewOperator {
            name: name("lee"),
            display_name: bad.to_owned(),
            role: Role::Viewer,
        };
        let added = center.operators.add(new, &by("root")).await;
        assert_eq!(refused(added).field, Some("displayName"), "{bad:?}");
    }
}

#[tokio::test]
async fn a_reset_ends_everything_that_was() {
    for center in Center::all() {
        center.add("ann", Role::Viewer).await;
        let logged_in = center.login("ann").await;
        center.set_up_codes(&logged_in).await;
        for _ in 0..5 {
            refused(center.try_login("ann", shown("wrong")).await);
        }
        let reset = center
            .operators
            .reset_password(&name("ann"), &by("root"))
            .await;
        let reset = reset.unwrap();
        assert!(center.resume(&logged_in).await.is_none());
        refused(center.try_login("ann", shown(PASSWORD)).await);
        let given = reset.password.expose_secret();
        let back = center.try_login("ann", shown(given)).await.unwrap();
        assert!(back.visit.operator.password_is_temporary);
        assert!(back.visit.operator.totp.is_none());
        let deeds = center.deeds("ann").await;
        assert!(deeds.contains(&"PASSWORD_RESET".to_owned()), "{deeds:?}");
    }
}

#[tokio::test]
async fn nobody_changes_the_own_account_and_one_administrator_stays() {
    for center in Center::all() {
        center.add("ann", Role::Admin).await;
        center.add("bob", Role::Viewer).await;
        let (ann, bob, desk) = (name("ann"), name("bob"), &center.operators);
        let own = by("ann");
        let codes = [
            code_of(desk.set_role(&ann, Role::Viewer, &own).await),
            code_of(desk.disable(&ann, &own).await),
            code_of(desk.enable(&ann, &own).await),
            code_of(desk.reset_password(&ann, &own).await),
        ];
        assert_eq!(codes, [RefusalCode::OwnAccount; 4]);
        let other = by("root");
        let last = desk.disable(&ann, &other).await;
        assert_eq!(code_of(last), RefusalCode::LastAdministrator);
        let last = desk.set_role(&ann, Role::Auditor, &other).await;
        assert_eq!(code_of(last), RefusalCode::LastAdministrator);
        let missing = desk.disable(&name("nobody"), &other).await;
        assert_eq!(code_of(missing), RefusalCode::OperatorNotFound);

        desk.set_role(&bob, Role::Admin, &own).await.unwrap();
        let changed = center.audits("bob").await;
        let changed = changed.iter().find(|one| one.action == "ROLE_CHANGED");
        let changed = changed.unwrap();
        assert_eq!(changed.before.as_deref(), Some("ACTIVE VIEWER"));
        assert_eq!(changed.after.as_deref(), Some("ACTIVE ADMIN"));
        assert_eq!(changed.actor, "operator:ann");
        desk.disable(&ann, &by("bob")).await.unwrap();
        // Done already: nothing is written.
        desk.disable(&ann, &by("bob")).await.unwrap();
        let deeds = center.deeds("ann").await;
        assert_eq!(deeds.iter().filter(|deed| *deed == "DISABLED").count(), 1);
    }
}

/// Two administrators switch each other off at the same moment: one of them is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_who_switch_each_other_off_leave_one() {
    for center in Center::all() {
        for round in 0..10 {
            let (one, other) = (format!("a{round}-one"), format!("a{round}-two"));
            for of in [&one, &other] {
                center.add(of, Role::Admin).await;
            }
            let off = |who: &str, of: &str| {
                let (desk, who, of) = (center.operators.clone(), by(who), name(of));
                tokio::spawn(async move { desk.disable(&of, &who).await })
            };
            let (first, second) = (off(&one, &other), off(&other, &one));
            let ended = [first.await.unwrap(), second.await.unwrap()];
            let done = ended.iter().filter(|one| one.is_ok()).count();
            assert_eq!(done, 1, "{} {round}: {ended:?}", center.kind());
            // The one who is left goes before the next round, made a viewer by hand.
            let clear = "UPDATE operators SET role = 'VIEWER'";
            center.database.execute(clear).unwrap();
        }
    }
}
