//! A night whose files lie in a bucket: those of the partners, and its result.

use super::check::found_in;
use super::town::{BANK, Banks, Town, partners, today};
use crate::support::bank::{Night, TestBank};
use crate::support::bucket::in_a_bucket;
use crate::support::database::TestDatabase;
use futures_util::TryStreamExt;
use payhall::domain::calendar::Calendar;
use payhall::domain::reconciliation::Class;
use payhall::engine::{Actor, ResultName};
use payhall::output::Objects;
use std::io::Read;
use tempfile::TempDir;

#[test]
fn a_night_in_a_bucket() {
    in_a_bucket("bucket::a_night_in_a_bucket", &[], |url| {
        for database in TestDatabase::all() {
            let place = format!("{url}/{}", database.kind);
            let objects = Objects::open(&place).unwrap();
            a_night(&town(database, objects.clone()), &objects);
        }
    });
}

/// A town that keeps its files elsewhere.
fn town(database: TestDatabase, objects: Objects) -> Town {
    let folder = TempDir::new().unwrap();
    let night = Night {
        partners: partners(folder.path(), Banks::One, ""),
        objects: Some(objects),
        calendar: Calendar::read("date,kind,name\n").unwrap(),
    };
    Town {
        bank: TestBank::with_night(database, night),
        folder,
    }
}

fn a_night(town: &Town, objects: &Objects) {
    let orders = town.paid(1, 5);
    let number = town.payment(&orders[1]);
    let miss = |bank: &mut Vec<super::town::Said>| bank.retain(|said| said.flow_no != number);
    town.send(today(), miss, |_| {});
    assert_eq!(town.night(today()).published, [today()]);
    assert_eq!(town.differences(today()).len(), 1);
    assert_eq!(found_in(town, objects.clone()), [""; 0]);
    assert!(!town.folder.path().join("files").exists());

    let file = town.files(BANK, today()).remove(0);
    let length = u64::try_from(file.bytes).unwrap();
    let mut kept = Vec::new();
    let mut brought = objects.file(&file.path, length).unwrap();
    brought.read_to_end(&mut kept).unwrap();
    let came = std::fs::read(town.inbox(BANK, today())).unwrap();
    assert_eq!(kept, came, "it is kept as it came");

    let engine = town.bank.engine();
    let explained = town.bank.wait(engine.reconciliation_explain(&number));
    let explained = explained.unwrap().expect("it is known");
    assert_eq!(explained.verdict.class, Class::Short, "{explained:?}");

    let run = town.run_of(today());
    let text = town.bank.wait(async {
        let document = engine.result_document(&ResultName::of(&run)).await;
        let document = document.unwrap().expect("there is a result");
        let whole = 0..document.bytes;
        let pieces: Vec<Vec<u8>> = document
            .stream(whole)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    });
    assert!(text.starts_with("flow_no,class,rule"), "{text}");
    assert_eq!(text.lines().count(), 6, "{text}");

    // What was changed in the bucket is not read, and what is gone is told.
    let spoilt = "partner's own file again";
    for (instead, words) in [
        (Some(came[1..].to_vec()), spoilt),
        (None, "is not in the store"),
    ] {
        town.bank.wait(objects.remove(&file.path)).unwrap();
        if let Some(bytes) = instead {
            town.bank.wait(objects.put(&file.path, bytes)).unwrap();
        }
        let actor = Actor::system();
        let again = engine.reconcile_again(today(), &actor, &payhall::domain::progress::Silent);
        let error = town.bank.wait(again).unwrap_err();
        let told = causes(&error);
        assert!(told.contains(words), "{told}");
    }
    town.bank.wait(objects.remove(&run.file_path)).unwrap();
    let found = found_in(town, objects.clone());
    assert!(
        found[0].contains("the result file is not there"),
        "{found:?}"
    );
}

/// An error with its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}
