//! The catalogue's way into both databases: the shipped files, again and again, and never a half.

mod support;

use payhall::domain::catalogue::{Catalogue, CatalogueParts};
use payhall::domain::ids::{AdapterName, BillerCode};
use payhall::domain::region::{Place, RegionCode};
use payhall::engine::{Actor, ImportFile, import, read_catalogue};
use payhall::storage::{Store, StoreError, audit, catalogue};
use std::path::Path;
use std::sync::Arc;
use support::database::TestDatabase;
use support::given;

/// The files that come with the program.
fn shipped() -> Vec<ImportFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/catalogue");
    ["regions.csv", "billers.csv", "items.csv", "contracts.csv"]
        .map(|name| ImportFile {
            name: name.to_owned(),
            bytes: std::fs::read(folder.join(name)).unwrap(),
        })
        .into()
}

fn read(files: Vec<ImportFile>, known: &Catalogue) -> CatalogueParts {
    let adapters = ["bank", "legacy"].map(|name| AdapterName::try_new(name).unwrap());
    read_catalogue(files, known, &adapters).unwrap()
}

fn open(database: &TestDatabase) -> Store {
    let options = database.options("a");
    Store::migrate(&options).unwrap();
    Store::open(&options, Arc::new(|_| ())).unwrap()
}

async fn stored(store: &Store) -> Catalogue {
    store.read(catalogue::load).await.unwrap()
}

async fn audit_rows(store: &Store) -> Vec<payhall::domain::audit::AuditRow> {
    let about = |c: &mut _| audit::about(c, "catalogue");
    store.read(about).await.unwrap()
}

#[tokio::test]
async fn the_shipped_files_are_imported_and_found() {
    for database in TestDatabase::all() {
        let store = open(&database);
        let parts = read(shipped(), &stored(&store).await);
        let report = import(&store, parts.clone(), &Actor::system(), given::at(0)).await;
        let report = report.unwrap();
        assert_eq!(
            report.to_string(),
            "catalogue version 1: 399 regions, 5 billers, 5 items, 3 contracts"
        );
        let catalogue = stored(&store).await;
        assert_eq!(catalogue.version, 1, "{}", database.kind);
        assert_eq!(catalogue.regions().count(), 399);
        for item in &parts.items {
            assert_eq!(catalogue.item(&item.code), Some(item));
        }
        let pudong = catalogue.nearest(Place::parse("31.2215", "121.5447").unwrap());
        let payable = catalogue.payable(pudong.unwrap().code);
        let items: Vec<&str> = payable
            .values()
            .flatten()
            .map(|item| item.code.as_str())
            .collect();
        assert_eq!(items, ["sh-gas-bill", "sh-telecom-topup", "sh-school-fee"]);
        store.close().await;
    }
}

#[tokio::test]
async fn importing_again_is_harmless_and_leaves_a_trace_each_time() {
    for database in TestDatabase::all() {
        let store = open(&database);
        for version in 1..=2 {
            let parts = read(shipped(), &stored(&store).await);
            let report = import(&store, parts, &Actor::system(), given::at(version)).await;
            assert_eq!(report.unwrap().version, version);
        }
        let catalogue = stored(&store).await;
        assert_eq!(catalogue.regions().count(), 399);
        assert_eq!(catalogue.items().count(), 5);
        let rows = audit_rows(&store).await;
        let steps: Vec<_> = rows
            .iter()
            .map(|row| (row.entry.before.as_deref(), row.entry.after.as_deref()))
            .collect();
        assert_eq!(steps, [(Some("0"), Some("1")), (Some("1"), Some("2"))]);
        let entry = &rows[0].entry;
        assert_eq!(
            (entry.actor.as_str(), entry.action.as_str()),
            ("system", "CATALOGUE_IMPORTED")
        );
        store.close().await;
    }
}

#[tokio::test]
async fn a_later_file_changes_what_it_names_and_nothing_else() {
    for database in TestDatabase::all() {
        let store = open(&database);
        let parts = read(shipped(), &stored(&store).await);
        let imported = import(&store, parts, &Actor::system(), given::at(0)).await;
        imported.unwrap();
        let renamed = ImportFile {
            name: "billers.csv".to_owned(),
            bytes: b"kind,code,name_zh,name_en\r\nbiller,sh-gas,\"Gas, new\",New\r\n".to_vec(),
        };
        let parts = read(vec![renamed], &stored(&store).await);
        let imported = import(&store, parts, &Actor::system(), given::at(1)).await;
        imported.unwrap();
        let catalogue = stored(&store).await;
        let gas = catalogue.biller(&BillerCode::try_new("sh-gas").unwrap());
        assert_eq!(gas.unwrap().name_zh, "Gas, new");
        let counts = (catalogue.billers().count(), catalogue.items().count());
        assert_eq!(counts, (5, 5), "{}", database.kind);
        store.close().await;
    }
}

#[tokio::test]
async fn what_the_database_refuses_leaves_nothing_behind() {
    for database in TestDatabase::all() {
        let store = open(&database);
        let mut parts = read(shipped(), &stored(&store).await);
        // Past the reader: the last item names a biller that is nowhere.
        parts.items[4].biller = BillerCode::try_new("nobody").unwrap();
        let refused = import(&store, parts, &Actor::system(), given::at(0)).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{refused:?}"
        );
        let catalogue = stored(&store).await;
        assert_eq!(catalogue.version, 0);
        let beijing = RegionCode::try_new("110000").unwrap();
        assert!(catalogue.region(beijing).is_none(), "{}", database.kind);
        assert_eq!(audit_rows(&store).await, []);
        store.close().await;
    }
}
