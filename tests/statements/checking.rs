//! I12: the checker finds each thing that can be wrong with statements.

use crate::making::{a_day, houses, night};
use payhall::check::{Invariant, check_statements};
use payhall::output::Objects;

/// How a center's statements are spoilt: by a change of rows, and what the checker says then.
const SPOILT: [(&str, &str); 8] = [
    (
        "UPDATE statement_sums SET amount_minor = amount_minor + 1 WHERE party_kind = 'MERCHANT' \
         AND kind = 'PAYMENT' AND state = 'SUCCEEDED'",
        "a statement's sums are not those",
    ),
    (
        "UPDATE statement_sums SET fee_minor = fee_minor - 1 WHERE kind = 'REVERSAL'",
        "a statement's sums are not those",
    ),
    (
        "UPDATE statements SET flows = flows + 1 WHERE party = 'sh-telecom'",
        "a statement's sums are not those",
    ),
    (
        "UPDATE statements SET version = 2 WHERE party = 'portal'",
        "a version of a statement is missing",
    ),
    (
        "DELETE FROM statement_sums WHERE party = 'sh-power'; \
         DELETE FROM statements WHERE party = 'sh-power'",
        "flows of a closed day stand on no statement",
    ),
    (
        "UPDATE statements SET sha256 = 'ab' WHERE party = 'portal'",
        "does not have the digest of its row",
    ),
    (
        "UPDATE settlement_summaries SET fees_minor = fees_minor + 1, net_minor = net_minor - 1",
        "what is settled is not what",
    ),
    (
        "DELETE FROM settlement_summaries WHERE biller = 'sh-power'",
        "flows of a closed day are in no settlement",
    ),
];

#[tokio::test]
async fn what_is_sound_is_clean_and_each_fault_is_found() {
    for (spoil, words) in SPOILT {
        for house in houses().await {
            a_day(&house.database);
            night(&house.replica).await;
            let (url, folder) = (house.database.url.clone(), house.folder.path().to_owned());
            let check = async || {
                let (url, folder) = (url.clone(), folder.clone());
                let files = Objects::folder(&folder).unwrap();
                let check = move || check_statements(&url, Some(&files)).unwrap();
                tokio::task::spawn_blocking(check).await.unwrap()
            };
            let sound = check().await;
            assert!(sound.is_clean(), "{sound}");
            house.database.execute(spoil).unwrap();
            let spoilt = check().await;
            let is_it = |finding: &payhall::check::Finding| {
                finding.invariant == Invariant::Statements && finding.to_string().contains(words)
            };
            assert!(spoilt.findings.iter().any(is_it), "{spoil}: {spoilt}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_altered_or_gone_is_found() {
    for house in houses().await {
        a_day(&house.database);
        night(&house.replica).await;
        let (url, folder) = (house.database.url.clone(), house.folder.path().to_owned());
        let mut files = Vec::new();
        let mut folders = vec![folder.join("statements")];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push(path),
                }
            }
        }
        files.sort();
        std::fs::write(&files[0], "altered").unwrap();
        std::fs::remove_file(&files[1]).unwrap();
        let kept = Objects::folder(&folder).unwrap();
        let check = move || check_statements(&url, Some(&kept)).unwrap();
        let report = tokio::task::spawn_blocking(check).await.unwrap();
        let text = report.to_string();
        assert!(
            text.contains("does not have the digest of its row"),
            "{text}"
        );
        assert!(text.contains("cannot be read"), "{text}");
    }
}
