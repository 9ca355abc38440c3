//! Every verb that changes something leaves exactly the rows of a table, each with the request that caused
//! it; and whoever is refused leaves none, logins aside.

use crate::support::bank::{Deed, TestBank, refused};
use crate::support::database::TestDatabase;
use crate::support::given;
use crate::support::replica::{MASTER, Replica};
use payhall::check::{VerifyOptions, verify};
use payhall::domain::case::Decision;
use payhall::domain::flow::Operation;
use payhall::domain::ids::{MerchantCode, OperatorName};
use payhall::domain::key::{Algorithm, KeyOwner, OVERLAP};
use payhall::domain::merchant::{CheckItem, MerchantKind, MerchantVerb};
use payhall::domain::operator::Role;
use payhall::domain::order::OrderState;
use payhall::engine::{
    Actor, ConfirmInput, Credentials, KeyIssueInput, NewOperator, Operators, OperatorsParts,
    PasswordCost, Passwords, Scope, Seal, import, rewrap_keys, samples,
};
use payhall::storage::{Store, StoreError, audit};
use payhall::trust::Masters;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use totp_rs::{Algorithm as TotpAlgorithm, TOTP};
use zeroize::Zeroizing;

/// The rows of each request: kind and action, in the order of their words.
pub type Told = BTreeMap<String, Vec<String>>;

/// Somebody who does something; the request is called after it.
pub fn by(who: &str, request: &str) -> Actor {
    Actor {
        who: who.to_owned(),
        request_id: Some(request.to_owned()),
    }
}

pub async fn told(store: &Store) -> Told {
    let read = |c: &mut _| -> Result<Told, StoreError> {
        let mut told = Told::new();
        for stream in audit::streams(c)? {
            for row in audit::stretch(c, &stream, 0, i64::MAX)? {
                let Some(request) = row.entry.request_id else {
                    continue;
                };
                let words = format!("{} {}", row.entry.subject_kind, row.entry.action);
                told.entry(request).or_default().push(words);
            }
        }
        told.values_mut().for_each(|rows| rows.sort());
        Ok(told)
    };
    store.read(read).await.unwrap()
}

pub fn assert_told(kind: &str, told: &Told, table: &[(&str, &[&str])]) {
    let wanted = table.iter().map(|(request, rows)| {
        let rows = rows.iter().map(|row| (*row).to_owned());
        ((*request).to_owned(), rows.collect())
    });
    let wanted: Told = wanted
        .filter(|(_, rows): &(_, Vec<_>)| !rows.is_empty())
        .collect();
    assert_eq!(told, &wanted, "{kind}");
}

pub fn assert_clean(database: &TestDatabase) {
    let report = verify(&VerifyOptions::new(&database.url), |_, _| ()).unwrap();
    assert!(report.is_clean(), "{}: {report}", database.kind);
}

pub fn code(text: &str) -> MerchantCode {
    MerchantCode::try_new(text).unwrap()
}

const BILL: &str = "13800000001";

#[test]
fn orders_and_cases() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        let engine = bank.engine();
        let create = |bill: &str, request: &str| {
            let input = bank.input("topup", bill, 1_000);
            let actor = by("merchant:portal", request);
            refused(bank.wait(engine.create(input, &actor)))
                .unwrap()
                .order_no
        };
        let all = &Scope::All;
        let order = create("13800000009", "create");
        let cancel = |request| {
            let actor = by("merchant:portal", request);
            refused(bank.wait(engine.cancel(&order, all, &actor)))
        };
        cancel("cancel").unwrap();
        cancel("cancel again").unwrap();
        let confirm = |order_no: &_, request: &str| {
            let input = ConfirmInput {
                order_no: Clone::clone(order_no),
                credential: None,
                pass: None,
            };
            let actor = by("merchant:portal", request);
            refused(bank.wait(engine.confirm(input, all, &actor)))
        };
        assert!(confirm(&order, "confirm a closed one").is_err());
        let paid = create("13800000008", "create another");
        confirm(&paid, "confirm").unwrap();
        confirm(&paid, "confirm again").unwrap();

        // A doubt that nothing settles, until people do.
        bank.far.tell(Operation::Pay, BILL, [Deed::Lost]);
        for operation in [Operation::Query, Operation::Reverse] {
            bank.far.tell_for_ever(operation, BILL, Deed::Unknown);
        }
        let order = bank.create("topup", BILL, 1_000).order_no;
        bank.confirm(&order).unwrap();
        let is_manual = || bank.state(&order) == OrderState::Manual;
        assert!(bank.run_until(Duration::from_secs(7_200), is_manual));
        let case = bank.case(&order).unwrap();
        let propose = |who: &str, request: &str| {
            let actor = by(who, request);
            let step = engine.case_propose(&case.case_no, Decision::Succeeded, "the slip", &actor);
            refused(bank.wait(step))
        };
        let proposed = propose("operator:ann", "propose").unwrap();
        assert!(propose("operator:ann", "propose again").is_err());
        let reject = by("operator:bob", "reject");
        let step = engine.case_reject(&case.case_no, proposed.version, "unreadable", &reject);
        refused(bank.wait(step)).unwrap();
        let proposed = propose("operator:ann", "propose anew").unwrap();
        let approve = |who: &str, request: &str| {
            let actor = by(who, request);
            let step = engine.case_approve(&case.case_no, proposed.version, &actor);
            refused(bank.wait(step))
        };
        assert!(approve("operator:ann", "approve alone").is_err());
        approve("operator:bob", "approve").unwrap();

        let import_by = by("operator:ann", "import");
        let parts = crate::support::bank::catalogue::parts();
        bank.wait(import(bank.store(), parts, &import_by, given::at(0)))
            .unwrap();

        let table: &[(&str, &[&str])] = &[
            ("create", &["ORDER CREATED"]),
            ("cancel", &["ORDER CANCELLED"]),
            ("cancel again", &[]),
            ("confirm a closed one", &[]),
            ("create another", &["ORDER CREATED"]),
            ("confirm", &["ORDER CONFIRMED", "ORDER PAYMENT_SUCCEEDED"]),
            ("confirm again", &[]),
            ("propose", &["CASE PROPOSED"]),
            ("propose again", &[]),
            ("reject", &["CASE REJECTED"]),
            ("propose anew", &["CASE PROPOSED"]),
            ("approve alone", &[]),
            ("approve", &["CASE APPROVED", "ORDER DECIDED_SUCCEEDED"]),
            ("import", &["CATALOGUE CATALOGUE_IMPORTED"]),
        ];
        assert_told(bank.database.kind, &bank.wait(told(bank.store())), table);
        assert_clean(&bank.database);
    }
}

#[tokio::test]
async fn merchants() {
    for database in TestDatabase::all() {
        let replica = Replica::start(&database, "a", given::at(0)).await;
        let desk = replica.engine.onboarding();
        let profile = || samples::profile("甲", "A", MerchantKind::Channel);
        let (kind, a) = (MerchantKind::Channel, code("a"));
        let (maker, checker) = ("operator:ann", "operator:bob");
        let register = |request| {
            let (desk, profile, a) = (desk.clone(), profile(), a.clone());
            async move { desk.register(&a, kind, profile, &by(maker, request)).await }
        };
        let dossier = register("register").await.unwrap();
        assert!(register("register again").await.is_err());
        let edited = desk
            .edit(&a, dossier.version, profile(), &by(maker, "edit"))
            .await
            .unwrap();
        assert!(
            desk.edit(&a, dossier.version, profile(), &by(maker, "edit too late"))
                .await
                .is_err()
        );
        let submitted = desk
            .submit(&a, edited.version, &by(maker, "submit"))
            .await
            .unwrap();
        let hash = submitted.hash_of(submitted.proposed.as_ref().unwrap());
        let rejected = desk
            .reject(&a, &hash, "a stamp is missing", &by(checker, "reject"))
            .await
            .unwrap();
        let again = desk
            .edit(&a, rejected.version, profile(), &by(maker, "edit again"))
            .await
            .unwrap();
        let submitted = desk
            .submit(&a, again.version, &by(maker, "submit again"))
            .await
            .unwrap();
        let hash = submitted.hash_of(submitted.proposed.as_ref().unwrap());
        for item in CheckItem::ALL {
            let request = by(checker, &format!("check {item}"));
            desk.check(&a, &hash, (*item, "seen"), &request)
                .await
                .unwrap();
        }
        assert!(
            desk.approve(&a, &hash, &by(maker, "approve alone"))
                .await
                .is_err()
        );
        desk.approve(&a, &hash, &by(checker, "approve"))
            .await
            .unwrap();
        for (verb, request) in [
            (MerchantVerb::Activate, "activate"),
            (MerchantVerb::Suspend, "suspend"),
            (MerchantVerb::Resume, "resume"),
            (MerchantVerb::Suspend, "suspend again"),
            (MerchantVerb::Close, "close"),
        ] {
            desk.switch(&a, verb, "said so", &by(checker, request))
                .await
                .unwrap();
        }
        let mut all = told(replica.engine.store()).await;
        let checks: Vec<_> = CheckItem::ALL
            .iter()
            .map(|item| all.remove(&format!("check {item}")).unwrap())
            .collect();
        assert!(
            checks
                .iter()
                .all(|rows| rows == &["MERCHANT MERCHANT_CHECK"])
        );
        let table: &[(&str, &[&str])] = &[
            ("register", &["MERCHANT MERCHANT_REGISTER"]),
            ("edit", &["MERCHANT MERCHANT_EDIT"]),
            ("submit", &["MERCHANT MERCHANT_SUBMIT"]),
            ("reject", &["MERCHANT MERCHANT_REJECT"]),
            ("edit again", &["MERCHANT MERCHANT_EDIT"]),
            ("submit again", &["MERCHANT MERCHANT_SUBMIT"]),
            ("approve", &["MERCHANT MERCHANT_APPROVE"]),
            ("activate", &["MERCHANT MERCHANT_ACTIVATE"]),
            ("suspend", &["MERCHANT MERCHANT_SUSPEND"]),
            ("resume", &["MERCHANT MERCHANT_RESUME"]),
            ("suspend again", &["MERCHANT MERCHANT_SUSPEND"]),
            ("close", &["MERCHANT MERCHANT_CLOSE"]),
        ];
        assert_told(database.kind, &all, table);
        assert_clean(&database);
    }
}

#[tokio::test]
async fn keys() {
    const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    for database in TestDatabase::all() {
        let replica = Replica::start(&database, "a", given::at(0)).await;
        let engine = &replica.engine;
        samples::bring_all_in(engine.store()).await.unwrap();
        engine.refresh_catalogue().await.unwrap();
        engine.refresh_center_key().await.unwrap();
        let (maker, checker) = ("operator:ann", "operator:bob");
        let input = |replaces| KeyIssueInput {
            owner: KeyOwner::Merchant(code("portal")),
            algorithm: Algorithm::Ed25519,
            public_key: None,
            replaces,
            overlap: OVERLAP,
            expires_at: None,
        };
        let first = engine
            .key_issue(input(None), &by(maker, "issue"))
            .await
            .unwrap();
        let id = first.key.key_id;
        assert!(
            engine
                .key_approve(&id, 0, &by(maker, "approve alone"))
                .await
                .is_err()
        );
        engine
            .key_approve(&id, 0, &by(checker, "approve"))
            .await
            .unwrap();

        let both = Masters::read([NEW, MASTER]).unwrap();
        let request = by("system", "rewrap");
        let rewrap = || rewrap_keys(engine.store(), &both, (&request, given::at(0)));
        assert_eq!(
            rewrap().await.unwrap().rewrapped,
            2,
            "the center's and the portal's"
        );
        assert_eq!(rewrap().await.unwrap().rewrapped, 0);
        let other = Replica::start_with(&database, "b", given::at(0), both).await;
        let ticket = first.ticket.unwrap();
        assert!(
            other
                .engine
                .key_hand_out(&id, "wrong", &by(maker, "hand out wrong"))
                .await
                .is_err()
        );
        let hand_out = by(maker, "hand out");
        other
            .engine
            .key_hand_out(&id, ticket.expose_secret(), &hand_out)
            .await
            .unwrap();

        let next = engine
            .key_issue(input(Some(id.clone())), &by(maker, "issue the next"))
            .await
            .unwrap()
            .key
            .key_id;
        engine
            .key_approve(&next, 0, &by(checker, "rotate"))
            .await
            .unwrap();
        engine
            .key_revoke(&next, "lost", &by(maker, "revoke"))
            .await
            .unwrap();
        let third = engine
            .key_issue(input(None), &by(maker, "issue a third"))
            .await
            .unwrap()
            .key
            .key_id;
        engine
            .key_reject(&third, 0, "not asked for", &by(checker, "reject"))
            .await
            .unwrap();
        replica.clock.advance(OVERLAP + Duration::from_secs(1));
        engine
            .tend_keys(&by("job:expire_keys", "expire"))
            .await
            .unwrap();

        let table: &[(&str, &[&str])] = &[
            ("issue", &["KEY ISSUED"]),
            ("approve alone", &[]),
            ("approve", &["KEY APPROVED"]),
            ("rewrap", &["KEY REWRAPPED", "KEY REWRAPPED"]),
            ("hand out wrong", &[]),
            ("hand out", &["KEY HANDED_OUT"]),
            ("issue the next", &["KEY ISSUED"]),
            ("rotate", &["KEY APPROVED", "KEY RETIRED"]),
            ("revoke", &["KEY REVOKED"]),
            ("issue a third", &["KEY ISSUED"]),
            ("reject", &["KEY REJECTED"]),
            ("expire", &["KEY EXPIRED"]),
        ];
        assert_told(database.kind, &told(engine.store()).await, table);
        assert_clean(&database);
    }
}

/// Seals nothing: what is kept is seen in this test only.
struct OpenSeal(u8);

impl Seal for OpenSeal {
    fn wrap(&self, _: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        Ok([&[self.0], plain].concat())
    }

    fn unwrap(&self, _: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        Ok(Zeroizing::new(sealed[1..].to_vec()))
    }

    fn rewrap(&self, aad: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let is_old = sealed[0] != self.0;
        is_old.then(|| self.wrap(aad, &sealed[1..])).transpose()
    }
}

const PASSWORD: &str = "correct horse battery";

fn shown(password: &str, code: Option<String>) -> Credentials {
    Credentials {
        password: SecretString::from(password),
        code: code.map(SecretString::from),
    }
}

#[tokio::test]
async fn operators() {
    for database in TestDatabase::all() {
        let replica = Replica::start(&database, "a", given::at(0)).await;
        let store = replica.engine.store().clone();
        let desk = |master| {
            Operators::new(OperatorsParts {
                store: store.clone(),
                clock: Arc::new(replica.clock.clone()),
                passwords: Passwords::try_new(PasswordCost::LEAST).unwrap(),
                seal: Some(Arc::new(OpenSeal(master))),
            })
        };
        let people = desk(1);
        let root = "operator:root";
        let ann = OperatorName::try_new("ann").unwrap();
        let add = |name: &str, role, request: &str| {
            let new = NewOperator {
                name: OperatorName::try_new(name).unwrap(),
                display_name: name.to_owned(),
                role,
            };
            let (people, actor) = (people.clone(), by(root, request));
            async move {
                let password = SecretString::from(PASSWORD);
                people.add_with_password(new, &password, &actor).await
            }
        };
        add("boss", Role::Admin, "add an administrator")
            .await
            .unwrap();
        add("ann", Role::Viewer, "add").await.unwrap();
        assert!(add("ann", Role::Viewer, "add again").await.is_err());
        let login = |password: &str, code, request: &str| {
            let (people, shown) = (people.clone(), shown(password, code));
            let actor = by("anonymous", request);
            async move { people.login("ann", &shown, None, &actor).await }
        };
        let visit = login(PASSWORD, None, "login").await.unwrap().visit;
        assert!(login("wrong", None, "login wrong").await.is_err());
        let actor = by("anonymous", "login of nobody");
        assert!(
            people
                .login("nobody", &shown(PASSWORD, None), None, &actor)
                .await
                .is_err()
        );

        let begun = people
            .begin_codes(&visit, &visit.actor("begin codes"))
            .await
            .unwrap();
        let bytes = totp_rs::Secret::Encoded(begun.secret.expose_secret().to_owned()).to_bytes();
        let app = TOTP::new(TotpAlgorithm::SHA1, 6, 1, 30, bytes.unwrap()).unwrap();
        let code = || app.generate(u64::try_from(people.now().timestamp()).unwrap());
        let first = SecretString::from(code());
        people
            .confirm_codes(&visit, &first, &visit.actor("confirm codes"))
            .await
            .unwrap();
        desk(2)
            .rewrap_codes(&by("system", "rewrap codes"))
            .await
            .unwrap();
        replica.clock.advance(Duration::from_secs(60));
        let again = shown(PASSWORD, Some(code()));
        let visit = people
            .reauthenticate(&visit, &again, &visit.actor("prove again"))
            .await
            .unwrap()
            .visit;
        assert!(
            people
                .reauthenticate(
                    &visit,
                    &shown("wrong", None),
                    &visit.actor("prove again wrong"),
                )
                .await
                .is_err()
        );
        replica.clock.advance(Duration::from_secs(60));
        let new = SecretString::from("another long phrase");
        let old = shown(PASSWORD, Some(code()));
        let actor = visit.actor("change the password");
        let changed = people
            .change_password(&visit, &old, &new, &actor)
            .await
            .unwrap();
        let visit = changed.visit;
        people
            .logout(&visit, &visit.actor("log out"))
            .await
            .unwrap();
        people
            .logout(&visit, &visit.actor("log out again"))
            .await
            .unwrap();

        for try_no in 1..=5 {
            let request = format!("knock {try_no}");
            assert!(login("wrong", None, &request).await.is_err());
        }
        people.enable(&ann, &by(root, "unlock")).await.unwrap();
        people
            .set_role(&ann, Role::Operator, &by(root, "give a role"))
            .await
            .unwrap();
        people
            .set_role(&ann, Role::Operator, &by(root, "the same role"))
            .await
            .unwrap();
        people.disable(&ann, &by(root, "switch off")).await.unwrap();
        people
            .disable(&ann, &by(root, "switch off again"))
            .await
            .unwrap();
        people.enable(&ann, &by(root, "switch on")).await.unwrap();
        people
            .reset_password(&ann, &by(root, "reset"))
            .await
            .unwrap();

        let table: &[(&str, &[&str])] = &[
            ("add an administrator", &["OPERATOR ADDED"]),
            ("add", &["OPERATOR ADDED"]),
            ("add again", &[]),
            ("login", &["OPERATOR LOGGED_IN"]),
            ("login wrong", &["OPERATOR LOGIN_REFUSED"]),
            ("login of nobody", &["OPERATOR LOGIN_REFUSED"]),
            ("begin codes", &["OPERATOR TOTP_BEGUN"]),
            ("confirm codes", &["OPERATOR TOTP_CONFIRMED"]),
            ("rewrap codes", &["OPERATOR TOTP_REWRAPPED"]),
            ("prove again", &["OPERATOR REAUTHENTICATED"]),
            ("prove again wrong", &["OPERATOR REAUTHENTICATION_REFUSED"]),
            ("change the password", &["OPERATOR PASSWORD_CHANGED"]),
            ("log out", &["OPERATOR LOGGED_OUT"]),
            ("log out again", &[]),
            ("knock 1", &["OPERATOR LOGIN_REFUSED"]),
            ("knock 2", &["OPERATOR LOGIN_REFUSED"]),
            ("knock 3", &["OPERATOR LOGIN_REFUSED"]),
            ("knock 4", &["OPERATOR LOGIN_REFUSED"]),
            ("knock 5", &["OPERATOR LOGIN_REFUSED"]),
            ("unlock", &["OPERATOR ENABLED"]),
            ("give a role", &["OPERATOR ROLE_CHANGED"]),
            ("the same role", &[]),
            ("switch off", &["OPERATOR DISABLED"]),
            ("switch off again", &[]),
            ("switch on", &["OPERATOR ENABLED"]),
            ("reset", &["OPERATOR PASSWORD_RESET"]),
        ];
        assert_told(database.kind, &told(&store).await, table);
        assert_clean(&database);
    }
}
