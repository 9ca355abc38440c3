//! The playground's examples are run against the schema, so that none of them grows old.

use super::support::*;
use crate::api::playground::EXAMPLES;
use serde_json::Value;
use std::collections::BTreeSet;

#[tokio::test]
async fn every_example_is_valid() {
    let world = World::new().await;
    let (case_no, order_no) = world.case().await;
    for example in EXAMPLES {
        let variables = example
            .variables
            .replace("{{requestNo}}", "R-EXAMPLE")
            .replace("{{orderNo}}", &order_no)
            .replace("{{flowNo}}", "202001010000000000000000")
            .replace("{{caseNo}}", &case_no)
            .replace("{{caseVersion}}", "0");
        assert!(!variables.contains("{{"), "{}: {variables}", example.name);
        let variables: Value = serde_json::from_str(&variables).unwrap();
        if example.document.starts_with("subscription") {
            // By POST a subscription is refused as such, after the document was found good.
            let answer = world.ask(Some(ALPHA), example.document, variables).await;
            assert!(
                answer.text.contains("Subscriptions are not supported"),
                "{}",
                answer.text
            );
            continue;
        }
        for token in [ALPHA, ADMIN] {
            let answer = world
                .ask(Some(token), example.document, variables.clone())
                .await;
            assert_eq!(
                answer.status.as_u16(),
                200,
                "{}: {}",
                example.name,
                answer.text
            );
            assert!(
                !answer.text.contains("BAD_REQUEST"),
                "{}: {}",
                example.name,
                answer.text
            );
        }
        assert!(!example.zh.is_empty() && !example.en.is_empty());
    }
}

#[test]
fn no_file_is_left_out() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/examples");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed: BTreeSet<String> = EXAMPLES
        .iter()
        .flat_map(|example| ["graphql", "json"].map(|end| format!("{}.{end}", example.name)))
        .collect();
    assert_eq!(files, listed);
}
