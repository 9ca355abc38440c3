//! Who may see and do what: every field of the schema that a running center tells of itself, by every
//! way that leads to it, for every caller, about one's own objects and another's, against the table in
//! `rules.txt`. Nothing here lists fields: a field that is new is in the schema, and without a line in
//! the table it fails.

mod callers;
mod center;
mod judge;
mod night;
mod rules;
mod shape;

use super::support::Answer;
use crate::api::auth::Right;
use callers::{CALLERS, Half, Who, input_of, refusal, settled};
use center::{Center, NOBODY, inputs};
use rules::{FILE, Object, Rule, Way};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An administrator, who has every right but a merchant's own.
const ADMINISTRATOR: Who = CALLERS[8];

#[tokio::test]
async fn no_field_is_without_a_rule_and_no_rule_without_a_field() {
    let center = Center::new().await;
    let (there, known) = (center.shape.names(), center.rules.names());
    let missing = there.difference(&known).map(|field| {
        let line = match field.split_once('.') {
            Some(("Query" | "Subscription", _)) => "RIGHT own ARGUMENTS",
            Some(("Mutation", _)) => "RIGHT own INPUT=VALUE",
            _ => "with",
        };
        format!("{field} has no rule: add a line like `{field} {line}` to {FILE}")
    });
    let idle = known.difference(&there).map(|field| {
        format!("{FILE} has a rule for {field}, which is not in the schema: take the line out")
    });
    let wrong: Vec<String> = missing.chain(idle).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The rights of the table are those of the program: who has them, and what a session needs for them.
#[test]
fn the_rights_of_the_table_are_the_program_s() {
    let rules = rules::Rules::read();
    let there: BTreeSet<&str> = Right::ALL.iter().map(|right| right.as_str()).collect();
    let known: BTreeSet<&str> = rules.rights.keys().map(String::as_str).collect();
    assert_eq!(
        there, known,
        "{FILE} has a line `right NAME CALLERS` for each"
    );
    for right in Right::ALL {
        let line = &rules.rights[right.as_str()];
        assert_eq!(line.is_fresh, right.needs_fresh(), "{right}");
        assert_eq!(
            line.is_temporary,
            right.fits_temporary_password(),
            "{right}"
        );
        for who in CALLERS {
            let may = rules.may(who.letter, right.as_str());
            assert_eq!(who.principal().may(*right), may, "{right}: {}", who.letter);
        }
    }
}

/// Reading: by every way, for everybody, about the things of both merchants.
#[tokio::test]
async fn every_field_follows_its_rule() {
    let center = Center::new().await;
    let mut secret = 0;
    for way in center
        .rules
        .ways
        .iter()
        .filter(|way| way.kind != "Mutation")
    {
        let is_about_somebody = way.arguments.contains('{') && !way.arguments.contains("{center}");
        let holders: &[char] = if is_about_somebody {
            &['a', 'b']
        } else {
            &['a']
        };
        for holder in holders {
            let clear = ask(&center, way, ADMINISTRATOR, *holder).await;
            let clear = clear.data();
            center.reach(&way.kind, &clear);
            assert!(!clear[&way.field].is_null(), "{} finds nothing", way.name());
            for who in CALLERS {
                secret += told_by_the_rules(&center, way, who, (*holder, &clear)).await;
            }
        }
    }
    assert!(secret > 0, "nothing was refused to anybody");
    reach_what_sessions_show(&center).await;
    let reached = center.reached();
    for field in center.rules.names() {
        let is_unseen = center.rules.unseen.contains(&field);
        assert_ne!(
            reached.contains(&field) || is_of_a_mutation(&field),
            is_unseen,
            "{field}: either nothing in the center of these tests reaches it, so that its rule is \
             not tried (furnish one, or end its line in {FILE} with `unseen`), or it is reached and \
             its line says `unseen`"
        );
    }
}

/// Mutations and their payloads are tried by the tests below.
fn is_of_a_mutation(field: &str) -> bool {
    field.starts_with("Mutation.") || field.contains("Payload.")
}

/// What only a session shows of the caller, and what only a refusal shows.
async fn reach_what_sessions_show(center: &Center) {
    let ways = center.rules.ways.iter();
    for way in ways.filter(|way| way.kind == "Query" && way.object == Object::Caller) {
        let selection = center.selection(way, ADMINISTRATOR);
        let question = center.question(way, &selection, &center.things[&'a']);
        let answer = Half::Stale.ask(&center.world, &question, json!({})).await;
        center.reach("Query", &answer.data());
    }
    let (cancel, _) = center.mutation("orderCancel");
    let nothing = input_of("orderCancel", &[]);
    let answer = ADMINISTRATOR.ask(&center.world, &cancel, nothing).await;
    center.reach("Mutation", &answer.data());
}

async fn ask(center: &Center, way: &Way, who: Who, holder: char) -> Answer {
    let selection = center.selection(way, who);
    let question = center.question(way, &selection, &center.things[&holder]);
    who.ask(&center.world, &question, json!({})).await
}

/// Holds what one caller is told by one way; gives how many fields were refused by themselves.
async fn told_by_the_rules(
    center: &Center,
    way: &Way,
    who: Who,
    (holder, clear): (char, &Value),
) -> usize {
    let name = format!("{} {} by {}", way.name(), way.arguments, who.letter);
    let answer = ask(center, way, who, holder).await;
    if !center.rules.may(who.letter, &way.right) {
        refused(&answer, way, who, &name);
        return 0;
    }
    keeps_to_itself(center, who, &answer, holder, &name);
    if !center.sees(way, who, holder) {
        // Another's is as if there were none: word for word.
        let none = ask(center, way, who, NOBODY).await;
        let hidden = |answer: &Answer, of: char| blind(center, &settled(answer), of);
        assert_eq!(hidden(&answer, holder), hidden(&none, NOBODY), "{name}");
        return 0;
    }
    let data = answer.data();
    center.reach(&way.kind, &data);
    let is_same = way.object == Object::Same || way.arguments.contains('{') || who.is_staff();
    if is_same && way.object != Object::Caller {
        let judged = center.judge(who, &way.kind, clear, &data);
        judged.unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    }
    refused_parts(center, way, who, holder).await
}

/// The whole field is refused, in the words that the API documents.
fn refused(answer: &Answer, way: &Way, who: Who, name: &str) {
    let json = answer.json();
    assert!(
        json["data"].is_null() || json["data"][&way.field].is_null(),
        "{name}: {json}"
    );
    let (status, code) = match who.letter {
        '0' => (401, "UNAUTHENTICATED"),
        _ => (200, "FORBIDDEN"),
    };
    assert_eq!(answer.code(), code, "{name}");
    if way.kind != "Subscription" {
        assert_eq!(answer.status.as_u16(), status, "{name}");
    }
}

/// Who is not of the center reads no name of an operator and nothing of another merchant.
fn keeps_to_itself(center: &Center, who: Who, answer: &Answer, holder: char, name: &str) {
    if who.is_staff() {
        return;
    }
    let told = blind(
        center,
        &settled(answer),
        if who.letter == holder { NOBODY } else { holder },
    );
    for mark in ["operator:", "olga", "rudi", "vera"] {
        assert!(!told.contains(mark), "{name}: {mark}: {told}");
    }
    for other in ['a', 'b'].into_iter().filter(|other| *other != who.letter) {
        for mark in center.marks(other) {
            assert!(!told.contains(mark), "{name}: {mark}: {told}");
        }
    }
}

/// An answer without what was asked for by name.
fn blind(center: &Center, answer: &Value, holder: char) -> String {
    let mut text = answer.to_string();
    for place in [
        "order",
        "flow",
        "case",
        "request",
        "merchant",
        "key",
        "notification",
    ] {
        text = text.replace(&center.things[&holder][place], "WHAT-WAS-ASKED-FOR");
    }
    text
}

/// Each field that asks for a right of its own is refused by itself, and says nothing.
async fn refused_parts(center: &Center, way: &Way, who: Who, holder: char) -> usize {
    let (of, _) = center.shape.behind(&way.kind, &way.field);
    let mut count = 0;
    for (field, rule) in &center.rules.fields {
        let Rule::Right(right) = rule else { continue };
        if center.rules.may(who.letter, right) {
            continue;
        }
        for (selection, path) in center.shape.ways_to(of, field) {
            let question = center.question(way, &selection, &center.things[&holder]);
            let answer = who.ask(&center.world, &question, json!({})).await;
            let name = format!("{field} through {} by {}", way.name(), who.letter);
            assert_eq!(answer.code(), "FORBIDDEN", "{name}");
            let pointer = format!("/data/{}/{}", way.field, path.join("/"));
            let value = answer.json().pointer(&pointer).cloned();
            assert!(
                value.is_none_or(|value| value.is_null()),
                "{name}: {}",
                answer.text
            );
            keeps_to_itself(center, who, &answer, holder, &name);
            count += 1;
        }
    }
    count
}

/// Changing: every mutation asked by everybody, about nothing that there is.
#[tokio::test]
async fn every_mutation_asks_for_its_right() {
    let center = Center::new().await;
    for way in center
        .rules
        .ways
        .iter()
        .filter(|way| way.kind == "Mutation")
    {
        let (document, takes_input) = center.mutation(&way.field);
        let nobody = if takes_input {
            input_of(&way.field, &[])
        } else {
            json!({})
        };
        for who in CALLERS {
            let answer = who.ask(&center.world, &document, nobody.clone()).await;
            let name = format!("{} by {}", way.name(), who.letter);
            if center.rules.may(who.letter, &way.right) {
                let code = refusal(&answer, &way.field).unwrap_or_default();
                let no = ["UNAUTHENTICATED", "FORBIDDEN", "NOT_ALLOWED"];
                assert!(!no.contains(&code.as_str()), "{name}: {}", answer.text);
                assert!(
                    !answer.text.contains("BAD_REQUEST"),
                    "{name}: {}",
                    answer.text
                );
                keeps_to_itself(&center, who, &answer, NOBODY, &name);
            } else if who.letter == '0' {
                refused(&answer, way, who, &name);
            } else {
                let payload = &answer.data()[&way.field];
                assert_eq!(payload["userErrors"][0]["code"], "NOT_ALLOWED", "{name}");
                assert_eq!(payload["userErrors"][0]["retry"], "NEVER", "{name}");
                only_refused(payload, &name);
            }
        }
    }
}

/// A refused mutation's payload holds why, and nothing else.
fn only_refused(payload: &Value, name: &str) {
    let fields = payload.as_object().unwrap().iter();
    let mut others =
        fields.filter(|(field, _)| !["userErrors", "__typename"].contains(&field.as_str()));
    let is_nothing =
        |value: &Value| value.is_null() || *value == json!(false) || *value == json!([]);
    assert!(
        others.all(|(_, value)| is_nothing(value)),
        "{name}: {payload}"
    );
}

/// Changing what is another's: the answer is the one about what is not there, and nothing moves.
#[tokio::test]
async fn another_s_object_is_as_if_it_were_not_there() {
    let center = Center::new().await;
    let ways = || center.rules.ways.iter();
    let mut tried = 0;
    for way in ways().filter(|way| way.kind == "Mutation" && way.object == Object::Own) {
        let (document, _) = center.mutation(&way.field);
        assert!(
            !way.arguments.is_empty(),
            "{}: say which input names the object",
            way.name()
        );
        for who in CALLERS.into_iter().filter(|who| !who.is_staff()) {
            if !center.rules.may(who.letter, &way.right) {
                continue;
            }
            for holder in ['a', 'b']
                .into_iter()
                .filter(|holder| *holder != who.letter)
            {
                let before = clear_view(&center, holder).await;
                let about = |of: char| input_of(&way.field, &inputs(way, &center.things[&of]));
                let theirs = who.ask(&center.world, &document, about(holder)).await;
                let none = who.ask(&center.world, &document, about(NOBODY)).await;
                let name = format!("{} of {holder} by {}", way.name(), who.letter);
                let payload = &theirs.data()[&way.field];
                assert!(
                    payload["userErrors"][0]["code"].is_string(),
                    "{name}: {payload}"
                );
                only_refused(payload, &name);
                let hidden = |answer: &Answer, of: char| blind(&center, &settled(answer), of);
                assert_eq!(hidden(&theirs, holder), hidden(&none, NOBODY), "{name}");
                keeps_to_itself(&center, who, &theirs, holder, &name);
                assert_eq!(clear_view(&center, holder).await, before, "{name}");
                tried += 1;
            }
        }
    }
    assert!(tried > 20, "{tried}");
}

/// Everything that an administrator reads about a merchant's things.
async fn clear_view(center: &Center, holder: char) -> Vec<Value> {
    let mut view = Vec::new();
    let ways = center.rules.ways.iter();
    for way in ways.filter(|way| way.kind == "Query" && way.object == Object::Own) {
        view.push(ask(center, way, ADMINISTRATOR, holder).await.data());
    }
    view
}

/// A session that has to do something else first is told so by everything that it may not do before.
#[tokio::test]
async fn half_a_session_does_half_of_it() {
    let center = Center::new().await;
    for way in &center.rules.ways {
        let right = &center.rules.rights[&way.right];
        if !right.callers.contains(ADMINISTRATOR.letter) {
            continue;
        }
        let (document, variables) = if way.kind == "Mutation" {
            let (document, takes_input) = center.mutation(&way.field);
            let input = if takes_input {
                input_of(&way.field, &[])
            } else {
                json!({})
            };
            (document, input)
        } else {
            let selection = center.selection(way, ADMINISTRATOR);
            (
                center.question(way, &selection, &center.things[&'a']),
                json!({}),
            )
        };
        for half in [Half::Temporary, Half::Stale] {
            let is_enough = match half {
                Half::Temporary => right.is_temporary,
                Half::Stale => !right.is_fresh,
            };
            let answer = half.ask(&center.world, &document, variables.clone()).await;
            let code = refusal(&answer, &way.field).unwrap_or_default();
            let name = format!("{} by {half:?}: {}", way.name(), answer.text);
            assert_eq!(code == half.code(), !is_enough, "{name}");
            if !is_enough {
                let data = answer.json()["data"][&way.field].clone();
                if way.kind == "Mutation" {
                    only_refused(&data, &name);
                } else {
                    assert!(data.is_null(), "{name}");
                }
            }
        }
    }
}
