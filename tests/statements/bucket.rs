//! Statements that lie in a bucket.

use crate::given::at;
use crate::making::{a_day, night, rules, statement};
use crate::support::bucket::in_a_bucket;
use crate::support::database::TestDatabase;
use crate::support::replica::{Manner, Replica};
use payhall::check::check_statements;
use payhall::domain::statement::Party;
use payhall::output::Objects;
use sha2::{Digest, Sha256};
use std::sync::Arc;

#[test]
fn statements_in_a_bucket() {
    in_a_bucket("bucket::statements_in_a_bucket", &[], |url| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for database in TestDatabase::all() {
            let place = format!("{url}/{}", database.kind);
            runtime.block_on(a_night(&database, Objects::open(&place).unwrap()));
        }
    });
}

async fn a_night(database: &TestDatabase, objects: Objects) {
    let manner = Manner::keeping(Arc::new(rules(objects.clone())));
    let replica = Replica::start_as(database, "a", at("2026-11-22T17:00:00Z"), manner).await;
    a_day(database);
    night(&replica).await;
    let stated = statement(&replica, Party::merchant("portal"), "2026-11-22").await;
    let file = stated.expect("there is a statement").file;
    let bytes = objects.read(&file.object).await.unwrap();
    assert_eq!(hex(&Sha256::digest(&bytes)), file.sha256);
    assert_eq!(i64::try_from(bytes.len()).unwrap(), file.bytes);

    let check = async || {
        let (url, objects) = (database.url.clone(), objects.clone());
        let check = move || check_statements(&url, Some(&objects)).unwrap();
        tokio::task::spawn_blocking(check).await.unwrap()
    };
    let sound = check().await;
    assert!(sound.is_clean(), "{sound}");
    objects.remove(&file.object).await.unwrap();
    let text = check().await.to_string();
    assert!(text.contains("cannot be read"), "{text}");
    objects
        .put(&file.object, b"altered".to_vec())
        .await
        .unwrap();
    let text = check().await.to_string();
    assert!(
        text.contains("does not have the digest of its row"),
        "{text}"
    );
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
