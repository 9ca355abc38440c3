//! The schema itself: as it was exported, documented in every corner, spelled like the database.

use super::support::World;
use crate::api::sdl;
use crate::domain::refusal::{RefusalCode, Retry};
use crate::domain::{
    case, exception, flow, item, job, key, merchant, notification, operator, order, partner,
    reconciliation, region, statement,
};
use crate::engine;
use serde_json::{Value, json};

#[test]
fn the_exported_schema_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    let exported = std::fs::read_to_string(path).unwrap();
    assert!(
        exported == sdl(),
        "schema.graphql is old: export it again with `payhall schema > schema.graphql`"
    );
}

/// The types that every schema has; the language itself documents them.
const BUILT_IN: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

/// The schema as its own introspection tells it, without what every schema has.
async fn types() -> Vec<Value> {
    let world = World::open().await;
    let answer = world
        .ask(None, include_str!("introspection.graphql"), json!({}))
        .await;
    let data = answer.data();
    let types = data["__schema"]["types"].as_array().unwrap().iter();
    types
        .filter(|one| {
            let name = one["name"].as_str().unwrap();
            !name.starts_with("__") && !BUILT_IN.contains(&name)
        })
        .cloned()
        .collect()
}

#[tokio::test]
async fn everything_is_documented() {
    let mut silent = Vec::new();
    let mut check = |place: String, thing: &Value| {
        if thing["description"]
            .as_str()
            .unwrap_or("")
            .trim()
            .is_empty()
        {
            silent.push(place);
        }
    };
    for one in types().await {
        let name = one["name"].as_str().unwrap();
        check(name.to_owned(), &one);
        for list in ["fields", "inputFields", "enumValues"] {
            for inner in one[list].as_array().into_iter().flatten() {
                let place = format!("{name}.{}", inner["name"].as_str().unwrap());
                check(place.clone(), inner);
                for argument in inner["args"].as_array().into_iter().flatten() {
                    check(
                        format!("{place}({})", argument["name"].as_str().unwrap()),
                        argument,
                    );
                }
            }
        }
    }
    assert!(silent.is_empty(), "without a description: {silent:#?}");
}

/// Each enum of the schema has the stored names, all of them, and nothing else.
#[tokio::test]
async fn enums_are_spelled_like_the_database() {
    macro_rules! stored {
        ($($path:path as $name:literal),+ $(,)?) => {
            vec![$(($name, {
                use $path as Named;
                Named::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>()
            })),+]
        };
    }
    let mut expected = stored![
        region::RegionLevel as "RegionLevel",
        item::Category as "Category",
        item::ItemMode as "ItemMode",
        item::AmountRuleKind as "AmountRuleKind",
        order::OrderState as "OrderState",
        flow::FlowKind as "FlowKind",
        flow::FlowState as "FlowState",
        flow::Operation as "Operation",
        flow::AttemptOutcome as "AttemptOutcome",
        exception::Phase as "Phase",
        exception::AlarmLevel as "AlarmLevel",
        case::CaseKind as "CaseKind",
        case::CaseState as "CaseState",
        case::Decision as "Decision",
        case::BatchState as "CaseBatchState",
        partner::PartnerSide as "PartnerSide",
        partner::PartnerFileState as "PartnerFileState",
        reconciliation::Class as "ReconciliationClass",
        key::Algorithm as "Algorithm",
        key::KeyOrigin as "KeyOrigin",
        key::KeyState as "KeyState",
        notification::NotificationState as "NotificationState",
        notification::GiveUpReason as "GiveUpReason",
        notification::TryOutcome as "TryOutcome",
        merchant::MerchantKind as "MerchantKind",
        merchant::MerchantState as "MerchantState",
        merchant::Stage as "MerchantStage",
        merchant::CheckItem as "MerchantCheckItem",
        job::JobRunState as "JobRunState",
        statement::PartyKind as "PartyKind",
        job::CatchUp as "CatchUp",
        operator::Role as "Role",
        operator::OperatorState as "OperatorState",
        engine::TimelineKind as "TimelineKind",
        RefusalCode as "RefusalCode",
        Retry as "Retry",
    ];
    // What is asked for and never stored.
    expected.push((
        "ReconciliationCounted",
        vec!["OURS", "BANK", "BILLER", "FLOWS"],
    ));
    expected.push(("ReconciliationMode", vec!["PUBLISH", "DRY_RUN"]));
    expected.push(("CaseBatchMode", vec!["PREVIEW", "PROPOSE"]));
    let mut found = Vec::new();
    for one in types().await {
        if one["kind"] == "ENUM" {
            let values = one["enumValues"].as_array().unwrap().iter();
            let values = values.map(|value| value["name"].as_str().unwrap().to_owned());
            found.push((
                one["name"].as_str().unwrap().to_owned(),
                values.collect::<Vec<_>>(),
            ));
        }
    }
    found.sort();
    for (_, values) in &mut expected {
        values.sort_unstable();
    }
    for (_, values) in &mut found {
        values.sort_unstable();
    }
    expected.sort();
    let expected: Vec<(String, Vec<String>)> = expected
        .into_iter()
        .map(|(name, values)| {
            (
                name.to_owned(),
                // The names of algorithms are those of an RFC, which GraphQL could not spell.
                values
                    .into_iter()
                    .map(|value| value.to_uppercase().replace('-', "_"))
                    .collect(),
            )
        })
        .collect();
    assert_eq!(found, expected);
}

/// Money and degrees are never numbers of JSON, which would lose digits.
#[tokio::test]
async fn no_field_is_a_float() {
    let text = json!(types().await).to_string();
    assert!(!text.contains("\"Float\""));
}
