//! Where files come from: sources that cannot tell one file from the next, digests that lie beside them, and days
//! of long ago.

use super::town::{BANK, TELECOM, Town, date, file_of, name, today};
use crate::support::bank::alarms;
use crate::support::database::TestDatabase;
use async_trait::async_trait;
use payhall::domain::audit::hex;
use payhall::domain::partner::{PartnerFile, PartnerFileState};
use payhall::domain::time::BusinessDate;
use payhall::engine::{Actor, Received};
use payhall::storage::partner_files::Kept;
use payhall::storage::{Tx, partner_looks};
use payhall::upstream::{Brought, FetchError, Fetched, PartnerSource, ScratchFile};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// A source that hands its file of a date out, and says nothing else about it.
#[derive(Default)]
struct Untagged {
    files: Mutex<BTreeMap<BusinessDate, Vec<u8>>>,
    asked: Mutex<Vec<BusinessDate>>,
}

impl Untagged {
    fn has(&self, date: BusinessDate, bytes: Vec<u8>) {
        self.files.lock().unwrap().insert(date, bytes);
    }

    fn asked_about(&self, date: BusinessDate) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| **one == date).count()
    }
}

#[async_trait]
impl PartnerSource for Untagged {
    async fn fetch(&self, date: BusinessDate, known: &[&str]) -> Result<Fetched, FetchError> {
        assert!(known.is_empty(), "there is nothing to know it by");
        self.asked.lock().unwrap().push(date);
        let Some(bytes) = self.files.lock().unwrap().get(&date).cloned() else {
            return Ok(Fetched::NotYet);
        };
        let (file, mut to) = ScratchFile::try_new().unwrap();
        to.write_all(&bytes).unwrap();
        Ok(Fetched::File(Brought {
            name: "flows.csv".to_owned(),
            file,
            sha256: hex(&Sha256::digest(&bytes)),
            bytes: bytes.len() as u64,
            mark: None,
            beside: None,
        }))
    }
}

#[test]
fn a_corrected_file_is_seen_where_the_source_cannot_tell_it_from_the_first() {
    for database in TestDatabase::all() {
        let source = Arc::new(Untagged::default());
        let town = Town::with_source(database, source.clone());
        let orders = town.paid(1, 3);
        let number = town.payment(&orders[0]);
        town.send_honest(today());
        let right = file_of(today(), &town.honest(today()));
        let mut lines = town.honest(today());
        lines.retain(|said| said.flow_no != number);
        source.has(today(), file_of(today(), &lines));
        town.night(today());
        assert_eq!(town.classes(today()).len(), 1);
        assert_eq!(source.asked_about(today()), 1);

        town.go_to(today(), "19:29:59");
        assert_eq!(town.fetch().accepted, 0);
        assert_eq!(
            source.asked_about(today()),
            1,
            "it is left alone for an hour"
        );
        town.go_to(today(), "19:30:00");
        assert_eq!(town.fetch().accepted, 0);
        assert_eq!(source.asked_about(today()), 2);
        assert_eq!(
            town.files(BANK, today()).len(),
            1,
            "the same bytes are one file"
        );
        assert!(town.reconcile().published.is_empty());

        source.has(today(), right.clone());
        town.go_to(today(), "20:00:00");
        assert_eq!(town.fetch().accepted, 0);
        town.go_to(today(), "20:30:00");
        assert_eq!(town.fetch().accepted, 1);
        assert_eq!(source.asked_about(today()), 3);
        assert_eq!(town.reconcile().published, [today()]);
        assert!(town.classes(today()).is_empty());

        // What a person brings is not undone by what the source still has.
        lines.clear();
        let by_hand = add(&town, &file_of(today(), &lines), None);
        assert_eq!(by_hand.file().version, 3);
        town.go_to(today(), "23:00:00");
        assert_eq!(town.fetch().accepted, 0);
        assert_eq!(source.asked_about(today()), 3);

        // Nor by what the source was still sending when the person brought it.
        let fetched = PartnerFile {
            file_id: Uuid::now_v7(),
            version: 4,
            sha256: WRONG.to_owned(),
            mark: Some("on its way".to_owned()),
            ..by_hand.file().clone()
        };
        let keep = move |tx: &mut Tx<'_>| tx.keep_partner_file(&fetched);
        let kept = town.bank.wait(town.bank.store().solo(keep)).unwrap();
        assert!(matches!(kept, Kept::Same(same) if same.version == 3));
    }
}

/// A file that somebody brings by hand, with a digest beside it or not.
fn add(town: &Town, bytes: &[u8], digest: Option<&str>) -> Received {
    let path = town.folder.path().join("by-hand.csv");
    std::fs::write(&path, bytes).unwrap();
    if let Some(digest) = digest {
        std::fs::write(town.folder.path().join("by-hand.csv.sha256"), digest).unwrap();
    }
    let (partner, actor) = (name(BANK), Actor::system());
    let engine = town.bank.engine();
    let added = engine.add_partner_file((&partner, today()), &path, &actor);
    town.bank.wait(added).unwrap()
}

const WRONG: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn put_digest(town: &Town, digest: &str) {
    let path = format!("{}.sha256", town.inbox(BANK, today()).display());
    std::fs::write(path, format!("{digest}  flows.csv\n")).unwrap();
}

fn in_the_night(database: TestDatabase) -> (Town, String) {
    let town = Town::with_settings(database, "digest_suffix = \".sha256\"");
    town.paid(1, 3);
    town.send_honest(today());
    let bytes = std::fs::read(town.inbox(BANK, today())).unwrap();
    town.go_to_night_after(today());
    town.close();
    (town, hex(&Sha256::digest(bytes)))
}

#[test]
fn a_file_that_its_digest_contradicts_is_refused_when_it_stays_so() {
    for database in TestDatabase::all() {
        let (town, right) = in_the_night(database);
        put_digest(&town, WRONG);
        let first = town.fetch();
        assert_eq!((first.accepted, first.refused, first.not_yet), (1, 0, 1));
        assert!(town.files(BANK, today()).is_empty(), "it may be on its way");

        assert_eq!(town.fetch().refused, 1);
        let files = town.files(BANK, today());
        let complaint = files[0].complaint().unwrap();
        assert_eq!(
            (files.len(), files[0].state),
            (1, PartnerFileState::Refused)
        );
        for part in [
            WRONG,
            &right,
            "first-bank-2026-11-22.csv.sha256",
            "sent again",
        ] {
            assert!(complaint.contains(part), "{complaint}");
        }
        let cried = alarms::of_kind("PARTNER_FILE");
        assert!(cried.iter().any(|alarm| alarm.message.contains(&complaint)));
        for _ in 0..3 {
            assert_eq!(town.fetch().refused, 0, "it is told once");
        }
        assert_eq!(town.files(BANK, today()).len(), 1);
        assert_eq!(town.reconcile().waiting, [today()]);

        // The digest alone is corrected.
        put_digest(&town, &right);
        assert_eq!(town.fetch().accepted, 1);
        assert_eq!(town.reconcile().published, [today()]);
        // A correction of the file whose digest does not follow is no correction yet, and then refused.
        let lines = &town.honest(today())[1..];
        town.drop_file(BANK, today(), lines);
        let fetched = [0, 1, 2].map(|_| town.fetch());
        let counts = fetched.map(|one| (one.accepted, one.refused));
        assert_eq!(counts, [(0, 0), (0, 1), (0, 0)]);
        assert!(town.reconcile().published.is_empty());
        // The file is corrected to go with its digest: it is what counts already.
        town.drop_file(BANK, today(), &town.honest(today()));
        assert_eq!(town.fetch().refused, 0);
        assert_eq!(town.files(BANK, today()).len(), 3);
    }
}

#[test]
fn a_file_whose_digest_comes_right_by_the_next_look_is_taken() {
    let (town, right) = in_the_night(TestDatabase::sqlite());
    put_digest(&town, "not a digest yet");
    assert_eq!(town.fetch().refused, 0);
    put_digest(&town, WRONG);
    assert_eq!(town.fetch().refused, 0, "somebody is writing it");
    put_digest(&town, &right);
    let fetched = town.fetch();
    assert_eq!((fetched.accepted, fetched.refused), (1, 0));
    assert_eq!(town.files(BANK, today()).len(), 1);
}

#[test]
fn a_file_that_is_brought_beside_a_wrong_digest_is_refused_at_once() {
    for database in TestDatabase::all() {
        let (town, right) = in_the_night(database);
        let bytes = std::fs::read(town.inbox(BANK, today())).unwrap();
        for digest in [WRONG, "soon"] {
            let refused = add(&town, &bytes, Some(digest));
            let file = refused.file();
            assert_eq!(file.state, PartnerFileState::Refused, "{digest}");
            assert!(file.reason.as_ref().unwrap().contains(&right), "{file:?}");
        }
        assert_eq!(town.files(BANK, today()).len(), 1);
        let digest = format!("{right} *by-hand.csv\n");
        let taken = add(&town, &bytes, Some(&digest));
        assert_eq!(taken.file().state, PartnerFileState::Accepted);
    }
}

#[test]
fn after_a_long_outage_the_old_days_are_caught_up_with() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let days = ["2026-11-22", "2026-11-23", "2026-11-24"].map(date);
        for (n, day) in (0..).zip(days) {
            town.go_to(day, "04:00:00");
            town.paid(n * 10, 2);
        }
        // The files come while nobody looks.
        for day in days {
            town.send_honest(day);
        }
        town.go_to_night_after(date("2026-12-08"));
        town.close();
        assert_eq!(town.fetch().accepted, 6);
        assert_eq!(town.reconcile().published[..3], days);
        assert_eq!(town.fetch().accepted, 0);
        assert!(town.reconcile().published.is_empty());
    }
}

#[test]
fn old_days_take_turns_where_they_are_many() {
    let source = Arc::new(Untagged::default());
    let town = Town::with_source(TestDatabase::sqlite(), source.clone());
    let first = today().0;
    let days: Vec<BusinessDate> = first.iter_days().take(50).map(BusinessDate).collect();
    for (n, day) in (0..).zip(&days) {
        town.go_to(*day, "04:00:00");
        town.paid(n, 1);
    }
    town.go_to_night_after(date("2027-02-28"));
    town.close();
    let asked = |times: usize| {
        let asked = days.iter().map(|day| source.asked_about(*day));
        asked.filter(|asked| *asked == times).count()
    };
    town.fetch();
    assert_eq!(
        (asked(1), source.asked_about(days[0])),
        (30, 1),
        "the oldest first"
    );
    town.go_to(date("2027-02-28"), "18:40:00");
    town.fetch();
    assert_eq!((asked(2), asked(1)), (10, 40), "the others after them");
    let bank = name(BANK);
    let looked_at = move |c: &mut _| partner_looks::looked_at(c, &bank, today());
    assert!(town.bank.read(looked_at).is_some());
    // Of those that waited longest one has a file now.
    let last = days[49];
    source.has(last, file_of(last, &town.honest(last)));
    town.drop_file(TELECOM, last, &town.honest(last));
    for minute in ["18:50:00", "19:00:00"] {
        town.go_to(date("2027-02-28"), minute);
        town.fetch();
    }
    assert!(town.reconcile().published.contains(&last));
}
