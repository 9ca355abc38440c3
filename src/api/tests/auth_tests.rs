use super::*;

fn merchant(kind: MerchantKind) -> Principal {
    Principal::Merchant {
        code: MerchantCode::try_new("alpha").unwrap(),
        kind,
    }
}

fn operator(role: Role) -> Principal {
    Principal::Operator {
        name: "ann".to_owned(),
        role,
    }
}

/// The whole table, as one can read it at a desk: a letter for who may.
#[test]
fn the_table_of_rights() {
    let who = [
        ('0', Principal::Anonymous),
        ('C', merchant(MerchantKind::Channel)),
        ('W', merchant(MerchantKind::Own)),
        ('v', operator(Role::Viewer)),
        ('o', operator(Role::Operator)),
        ('r', operator(Role::Reviewer)),
        ('a', operator(Role::Admin)),
        ('u', operator(Role::Auditor)),
    ];
    let table = [
        (Right::Browse, "0CWvorau"),
        (Right::Bill, "CWvorau"),
        (Right::OrderRead, "CWvorau"),
        (Right::OrderCreate, "CW"),
        (Right::OrderConfirm, "CW"),
        (Right::OrderCancel, "CWoa"),
        (Right::Oversee, "vorau"),
        (Right::MerchantRead, "CWvorau"),
        (Right::MerchantPrivate, "orau"),
        (Right::MerchantEdit, "oa"),
        (Right::MerchantReview, "ra"),
        (Right::MerchantSuspend, "ora"),
        (Right::MerchantOperate, "ra"),
        (Right::NotificationRead, "CWvorau"),
        (Right::NotificationResend, "CWoa"),
        (Right::KeyRead, "CWvorau"),
        (Right::KeyIssue, "CWoa"),
        (Right::KeyApprove, "ra"),
        (Right::KeyRevoke, "CWora"),
        (Right::KeyHandOut, "0CWvorau"),
        (Right::CaseDecide, "oa"),
        (Right::CaseApprove, "ra"),
        (Right::CaseReject, "ra"),
        (Right::Login, "0vorau"),
        (Right::OwnAccount, "vorau"),
        (Right::OwnCodes, "vorau"),
        (Right::OperatorRead, "au"),
        (Right::OperatorManage, "a"),
    ];
    assert_eq!(table.map(|(right, _)| right), *Right::ALL);
    for (right, allowed) in table {
        let may: String = who
            .iter()
            .filter(|(_, principal)| principal.may(right))
            .map(|(letter, _)| *letter)
            .collect();
        assert_eq!(may, allowed, "{right}");
    }
}

/// What moves money or gives rights wants a session that is fresh.
#[test]
fn what_needs_a_fresh_session() {
    let fresh: Vec<Right> = Right::ALL
        .iter()
        .copied()
        .filter(|r| r.needs_fresh())
        .collect();
    let expected = [
        Right::MerchantReview,
        Right::MerchantOperate,
        Right::KeyApprove,
        Right::CaseDecide,
        Right::CaseApprove,
        Right::OwnCodes,
        Right::OperatorManage,
    ];
    assert_eq!(fresh, expected);
}

#[test]
fn the_page_of_rights_is_this_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/RIGHTS.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(
        page == crate::api::rights_table(),
        "docs/RIGHTS.md is old: print it again with `payhall rights > docs/RIGHTS.md`"
    );
}

#[test]
fn a_token_is_found_by_its_hash_and_a_stranger_is_a_stranger() {
    let tokens = Tokens::try_new([
        (SecretString::from("one"), operator(Role::Viewer)),
        (SecretString::from("two"), merchant(MerchantKind::Own)),
    ])
    .unwrap();
    let name = |header| tokens.principal(header).map(|found| (*found).clone());
    assert_eq!(name(None), Ok(Principal::Anonymous));
    assert_eq!(name(Some("Bearer one")), Ok(operator(Role::Viewer)));
    assert_eq!(name(Some("bearer two")), Ok(merchant(MerchantKind::Own)));
    for bad in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer On",
        "Basic one",
        "one",
        "Bearer one two",
    ] {
        assert_eq!(name(Some(bad)), Err(Stranger), "{bad:?}");
    }
}

#[test]
fn the_rest_of_the_hash_counts_as_well() {
    let mut tokens =
        Tokens::try_new([(SecretString::from("one"), operator(Role::Viewer))]).unwrap();
    for entry in tokens.by_prefix.values_mut() {
        entry.hash[31] ^= 1;
    }
    assert_eq!(tokens.resolve("one"), None);
}

#[test]
fn a_table_with_a_shared_or_malformed_token_is_refused_without_showing_it() {
    let two = |token: &str| {
        Tokens::try_new([
            (SecretString::from(token), operator(Role::Viewer)),
            (SecretString::from(token), operator(Role::Admin)),
        ])
        .unwrap_err()
    };
    assert_eq!(two("same"), TokenError::Twice("operator:ann".into()));
    assert_eq!(
        two("has space"),
        TokenError::Malformed("operator:ann".into())
    );
    assert_eq!(two(""), TokenError::Malformed("operator:ann".into()));
    assert!(!two("s3cret s3cret").to_string().contains("s3cret"));
}

#[test]
fn a_principal_says_whose_things_it_sees_and_how_the_audit_names_it() {
    let alpha = merchant(MerchantKind::Channel);
    let scope = Scope::Merchant(MerchantCode::try_new("alpha").unwrap());
    assert_eq!(alpha.scope(), Some(scope));
    assert_eq!(operator(Role::Viewer).scope(), Some(Scope::All));
    assert_eq!(Principal::Anonymous.scope(), None);
    let actor = alpha.actor("request-1");
    assert_eq!(actor.who, "merchant:alpha");
    assert_eq!(actor.request_id.as_deref(), Some("request-1"));
    assert_eq!(operator(Role::Admin).actor("x").who, "operator:ann");
}
