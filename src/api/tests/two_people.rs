//! Maker and checker, for merchants, keys and cases alike, over the API: two checkers at once, the maker
//! as checker, a maker who became a reviewer meanwhile, and content that was changed after it was read.

use super::operators::{add, browse_as};
use super::support::*;
use crate::domain::operator::Role;
use serde_json::{Value, json};

/// What somebody proposes and somebody else approves.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Merchant,
    Key,
    Case,
}

const ALL: [Subject; 3] = [Subject::Merchant, Subject::Key, Subject::Case];

/// Who acts: with a token, in a session made for the one act, or in one that goes on.
#[derive(Clone, Debug)]
enum Person {
    Token(&'static str),
    Account(&'static str),
    Session(String),
}

const MAKER: Person = Person::Token(OPERATOR);
const CHECKER: Person = Person::Token(REVIEWER);
const BOTH: Person = Person::Token(ADMIN);

/// Does something, and gives the payload.
async fn act(world: &World, who: &Person, field: &str, input: Value) -> Value {
    let shown = match field {
        merchant if merchant.starts_with("merchant") => {
            "merchant { version proposed { contentHash } }"
        }
        key if key.starts_with("key") => "key { keyId version }",
        case if case.starts_with("case") => "case { version }",
        _ => "",
    };
    let kind = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
    let document = format!(
        "mutation($i: {kind}!) {{ {field}(input: $i) {{ userErrors {{ code }} {shown} }} }}"
    );
    let variables = json!({ "i": input });
    let answer = match who {
        Person::Token(token) => world.ask(Some(token), &document, variables).await,
        Person::Account(name) => {
            let cookie = world.log_in(name).await;
            browse_as(world, &cookie, &document, variables).await
        }
        Person::Session(cookie) => browse_as(world, cookie, &document, variables).await,
    };
    answer.data()[field].clone()
}

/// The code of a refusal; empty where it was done.
fn code(payload: &Value) -> String {
    let code = payload["userErrors"][0]["code"].as_str();
    code.unwrap_or_default().to_owned()
}

async fn done(world: &World, who: &Person, field: &str, input: Value) -> Value {
    let payload = act(world, who, field, input).await;
    assert_eq!(code(&payload), "", "{field}");
    payload
}

impl Subject {
    /// The fields that approve and reject.
    fn fields(self) -> [&'static str; 2] {
        match self {
            Subject::Merchant => ["merchantApprove", "merchantReject"],
            Subject::Key => ["keyApprove", "keyReject"],
            Subject::Case => ["caseApprove", "caseReject"],
        }
    }

    /// Proposed by somebody, and all that comes before an approval done by rudi: what is approved.
    async fn propose(self, world: &World, maker: &Person) -> Value {
        match self {
            Subject::Merchant => propose_merchant(world, maker, "Happy Life").await,
            Subject::Key => {
                let input = json!({ "merchant": "alpha", "algorithm": "ED25519" });
                let issued = done(world, maker, "keyIssue", input).await;
                issued["key"].clone()
            }
            Subject::Case => {
                let (case_no, _) = world.case().await;
                propose_case(world, maker, &case_no, "FAILED").await
            }
        }
    }

    /// Another content under the same name.
    async fn change(self, world: &World, read: &Value) {
        match self {
            Subject::Merchant => drop(propose_merchant(world, &MAKER, "Happier Life").await),
            // A key's content never changes; its state does.
            Subject::Key => {
                let input = json!({ "keyId": read["keyId"], "reason": "lost on the way" });
                done(world, &MAKER, "keyRevoke", input).await;
            }
            Subject::Case => {
                let mut no = read.clone();
                no["reason"] = json!("ask the bank again");
                done(world, &CHECKER, "caseReject", no).await;
                let case_no = read["caseNo"].as_str().unwrap();
                propose_case(world, &MAKER, case_no, "SUCCEEDED").await;
            }
        }
    }
}

async fn propose_merchant(world: &World, maker: &Person, name: &str) -> Value {
    let profile = json!({
        "nameZh": name, "nameEn": name, "creditCode": "91310115000000002Y",
        "contact": { "name": "Li", "phone": "+86 21 5555 0101", "email": "li@happy.example" },
        "account": { "bankCode": "102290000012", "accountNo": "6222020000007654321", "holder": name },
    });
    let read = "{ merchant(code: \"happylife\") { version } }";
    let read = world.field(VIEWER, read, json!({})).await;
    let mut input = json!({ "code": "happylife", "profile": profile });
    let written = if read.is_null() {
        input["kind"] = json!("CHANNEL");
        done(world, maker, "merchantRegister", input).await
    } else {
        input["version"] = read["version"].clone();
        done(world, maker, "merchantUpdate", input).await
    };
    let submit = json!({ "code": "happylife", "version": written["merchant"]["version"] });
    let submitted = done(world, maker, "merchantSubmit", submit).await;
    let hash = &submitted["merchant"]["proposed"]["contentHash"];
    let read = json!({ "code": "happylife", "contentHash": hash });
    for item in [
        "LICENCE",
        "CREDIT_CODE",
        "CONTACT",
        "SETTLEMENT_ACCOUNT",
        "NOTIFY_URL",
        "TERMS",
    ] {
        let mut tick = read.clone();
        tick["item"] = json!(item);
        tick["note"] = json!("seen");
        done(world, &CHECKER, "merchantCheck", tick).await;
    }
    read
}

async fn propose_case(world: &World, maker: &Person, case_no: &str, decision: &str) -> Value {
    let input = json!({ "caseNo": case_no, "decision": decision, "evidence": "their desk" });
    let proposed = done(world, maker, "caseDecide", input).await;
    json!({ "caseNo": case_no, "version": proposed["case"]["version"] })
}

#[tokio::test]
async fn nobody_approves_or_rejects_what_they_proposed() {
    for subject in ALL {
        let world = World::new().await;
        let read = subject.propose(&world, &BOTH).await;
        let [approve, reject] = subject.fields();
        let own = act(&world, &BOTH, approve, read.clone()).await;
        assert_eq!(code(&own), "MAKER_IS_CHECKER", "{subject:?}");
        let mut no = read.clone();
        no["reason"] = json!("on second thoughts");
        let own = act(&world, &BOTH, reject, no).await;
        assert_eq!(code(&own), "MAKER_IS_CHECKER", "{subject:?}");
        done(&world, &CHECKER, approve, read).await;
    }
}

/// The role is another one by now, the person is not.
#[tokio::test]
async fn a_maker_who_became_a_reviewer_is_still_the_maker() {
    for subject in ALL {
        let world = World::new().await;
        add(&world, "max", Role::Operator).await;
        let read = subject.propose(&world, &Person::Account("max")).await;
        let promoted = json!({ "name": "max", "role": "REVIEWER" });
        let [approve, _] = subject.fields();
        let max = Person::Session(world.log_in("max").await);
        let early = act(&world, &max, approve, read.clone()).await;
        assert_eq!(code(&early), "NOT_ALLOWED", "{subject:?}");
        done(&world, &BOTH, "operatorSetRole", promoted).await;
        let own = act(&world, &max, approve, read.clone()).await;
        assert_eq!(code(&own), "MAKER_IS_CHECKER", "{subject:?}");
        done(&world, &CHECKER, approve, read).await;
    }
}

#[tokio::test]
async fn of_two_checkers_at_once_one_is_told_that_it_is_decided() {
    for (subject, lost) in [
        (Subject::Merchant, "MERCHANT_ALREADY_DECIDED"),
        (Subject::Key, "KEY_CHANGED"),
        (Subject::Case, "CASE_CHANGED"),
    ] {
        let world = World::new().await;
        let read = subject.propose(&world, &MAKER).await;
        let [approve, _] = subject.fields();
        // Each is asked before the other is answered.
        let (one, two) = tokio::join!(
            act(&world, &CHECKER, approve, read.clone()),
            act(&world, &BOTH, approve, read.clone()),
        );
        let mut codes = [code(&one), code(&two)];
        codes.sort();
        assert_eq!(codes, ["", lost], "{subject:?}");
    }
}

#[tokio::test]
async fn what_was_changed_since_it_was_read_is_not_approved() {
    for (subject, changed) in [
        (Subject::Merchant, "MERCHANT_CONTENT_CHANGED"),
        (Subject::Key, "KEY_CHANGED"),
        (Subject::Case, "CASE_CHANGED"),
    ] {
        let world = World::new().await;
        let read = subject.propose(&world, &MAKER).await;
        subject.change(&world, &read).await;
        let [approve, reject] = subject.fields();
        let late = act(&world, &CHECKER, approve, read.clone()).await;
        assert_eq!(code(&late), changed, "{subject:?}");
        let mut no = read;
        no["reason"] = json!("not this one");
        let late = act(&world, &CHECKER, reject, no).await;
        assert_eq!(code(&late), changed, "{subject:?}");
    }
}
