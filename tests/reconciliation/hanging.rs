//! A partner that gives no answer: it holds up no other one, and what it does not send is late all the same.

use super::town::{BANK, TELECOM, Town, date, file_of, today};
use crate::support::database::TestDatabase;
use async_trait::async_trait;
use payhall::domain::time::BusinessDate;
use payhall::upstream::{Brought, FetchError, Fetched, PartnerSource, ScratchFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};

/// What a source does about a date that it has no file of.
#[derive(Clone, Copy, Default)]
enum Mood {
    #[default]
    Silent,
    Objects,
}

/// A source that writes down what it is asked about.
#[derive(Default)]
struct Sulking {
    asked: Mutex<Vec<BusinessDate>>,
    files: Mutex<BTreeMap<BusinessDate, Vec<u8>>>,
    mood: Mutex<Mood>,
}

impl Sulking {
    /// What it was asked about since the last time.
    fn asked(&self) -> Vec<BusinessDate> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl PartnerSource for Sulking {
    async fn fetch(&self, date: BusinessDate, _: &[&str]) -> Result<Fetched, FetchError> {
        self.asked.lock().unwrap().push(date);
        let Some(bytes) = self.files.lock().unwrap().get(&date).cloned() else {
            return Err(match *self.mood.lock().unwrap() {
                Mood::Silent => FetchError::Silent("not in time".to_owned()),
                Mood::Objects => FetchError::Source("HTTP status 500".to_owned()),
            });
        };
        let (file, mut to) = ScratchFile::try_new().unwrap();
        to.write_all(&bytes).unwrap();
        Ok(Fetched::File(Brought {
            name: "flows.csv".to_owned(),
            file,
            sha256: payhall::domain::audit::hex(&<sha2::Sha256 as sha2::Digest>::digest(&bytes)),
            bytes: bytes.len() as u64,
            mark: None,
            beside: None,
        }))
    }
}

fn days() -> [BusinessDate; 3] {
    [today(), date("2026-11-23"), date("2026-11-24")]
}

/// The morning after three days with two payments each, of which the biller's files are there.
fn in_the_morning(database: TestDatabase, source: &Arc<Sulking>) -> Town {
    let town = Town::with_source(database, source.clone());
    for (first, day) in (1..).step_by(2).zip(days()) {
        if day != today() {
            town.go_to(day, "04:00:00");
        }
        town.paid(first, 2);
    }
    // Ten o'clock in Shanghai.
    town.go_to(date("2026-11-25"), "02:00:00");
    town.close();
    for day in days() {
        town.drop_file(TELECOM, day, &town.honest(day));
    }
    town
}

#[test]
fn who_gives_no_answer_is_asked_once_a_run_and_holds_nobody_up() {
    for database in TestDatabase::all() {
        let source = Arc::new(Sulking::default());
        let town = in_the_morning(database, &source);
        let fetched = town.fetch();
        assert_eq!(source.asked().len(), 1);
        assert_eq!((fetched.accepted, fetched.refused), (3, 0), "{fetched:?}");
        assert_eq!((fetched.failed, fetched.not_yet), (1, 3), "{fetched:?}");
        assert_eq!(fetched.alarms, 3, "each of the three is late");
        for day in days() {
            assert_eq!(town.files(TELECOM, day).len(), 1, "{day}");
        }
        assert_eq!(town.fetch().alarms, 0, "people are called once");
    }
}

#[test]
fn a_date_about_which_it_never_answers_holds_up_no_other_date() {
    for database in TestDatabase::all() {
        let source = Arc::new(Sulking::default());
        let town = in_the_morning(database, &source);
        for day in &days()[1..] {
            let bytes = file_of(*day, &town.honest(*day));
            source.files.lock().unwrap().insert(*day, bytes);
        }
        town.fetch();
        assert_eq!(source.asked(), [today()]);
        town.go_to(date("2026-11-25"), "02:10:00");
        assert_eq!(town.fetch().accepted, 2);
        assert_eq!(source.asked().last(), Some(&today()));
        for (day, files) in days().into_iter().zip([0, 1, 1]) {
            assert_eq!(town.files(BANK, day).len(), files, "{day}");
        }
    }
}

#[test]
fn an_answer_that_is_of_no_use_is_a_matter_of_its_date() {
    let source = Arc::new(Sulking::default());
    *source.mood.lock().unwrap() = Mood::Objects;
    let town = in_the_morning(TestDatabase::sqlite(), &source);
    let fetched = town.fetch();
    assert_eq!((fetched.failed, fetched.not_yet), (3, 3), "{fetched:?}");
    let asked: BTreeSet<BusinessDate> = source.asked().into_iter().collect();
    assert_eq!(asked.len(), 3);
}
