//! Files that were refused, from a source that tells its files apart: none of them is sent again for nothing, and
//! one that is right once the partner's profile is mended needs nobody's hand.

use super::town::{BANK, Banks, TELECOM, Town, file_of, name, partners, today};
use crate::support::database::TestDatabase;
use async_trait::async_trait;
use payhall::domain::audit::hex;
use payhall::domain::partner::PartnerFileState::{self, Accepted, Refused};
use payhall::domain::time::BusinessDate;
use payhall::upstream::{
    Brought, FetchError, Fetched, PartnerLink, PartnerSource, Partners, ScratchFile,
};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::{Arc, Mutex};

/// A source that marks its file of today, as a server with tags does.
#[derive(Default)]
struct Tagged {
    bytes: Mutex<Vec<u8>>,
    sent: Mutex<u32>,
}

impl Tagged {
    fn has(&self, bytes: &[u8]) {
        *self.bytes.lock().unwrap() = bytes.to_vec();
    }

    fn sent(&self) -> u32 {
        *self.sent.lock().unwrap()
    }
}

#[async_trait]
impl PartnerSource for Tagged {
    async fn fetch(&self, date: BusinessDate, known: &[&str]) -> Result<Fetched, FetchError> {
        assert_eq!(date, today());
        let bytes = self.bytes.lock().unwrap().clone();
        let mark = hex(&Sha256::digest(&bytes));
        if known.contains(&mark.as_str()) {
            return Ok(Fetched::Unchanged(Some(mark)));
        }
        *self.sent.lock().unwrap() += 1;
        let (file, mut to) = ScratchFile::try_new().unwrap();
        to.write_all(&bytes).unwrap();
        Ok(Fetched::File(Brought {
            name: "flows.csv".to_owned(),
            file,
            sha256: mark.clone(),
            bytes: bytes.len() as u64,
            mark: Some(mark),
            beside: None,
        }))
    }
}

/// The night after a day with three payments, whose bank has this file.
fn in_the_night(database: TestDatabase, source: &Arc<Tagged>) -> (Town, Vec<u8>) {
    let town = Town::with_source(database, source.clone());
    town.paid(1, 3);
    town.send_honest(today());
    town.go_to_night_after(today());
    town.close();
    let right = file_of(today(), &town.honest(today()));
    (town, right)
}

/// Starts the program again, with another profile for the bank's files.
fn restart(town: &mut Town, profile: &str) {
    let known = partners(town.folder.path(), Banks::One, "");
    let before = town.bank.night.partners.clone();
    let links = known.iter().map(|link| {
        let mut partner = link.partner.clone();
        let source = before.get(&partner.name).unwrap().source.clone();
        if partner.name == name(BANK) {
            profile.clone_into(&mut partner.profile);
        }
        PartnerLink { partner, source }
    });
    town.bank.night.partners = Partners::new(links);
    town.bank.crash();
}

fn states(town: &Town) -> Vec<PartnerFileState> {
    let files = town.files(BANK, today());
    files.iter().map(|file| file.state).collect()
}

#[test]
fn a_file_that_our_own_profile_refused_is_taken_once_the_profile_is_mended() {
    for database in TestDatabase::all() {
        let source = Arc::new(Tagged::default());
        let (mut town, right) = in_the_night(database, &source);
        source.has(&right);
        restart(&mut town, "pipe");
        assert_eq!(town.fetch().refused, 1);
        for _ in 0..3 {
            let again = town.fetch();
            assert_eq!((again.accepted, again.refused), (0, 0), "it is told once");
        }
        assert_eq!((states(&town), source.sent()), (vec![Refused], 1));
        assert_eq!(town.reconcile().waiting, [today()]);

        restart(&mut town, "payhall-csv");
        assert_eq!(town.fetch().accepted, 1);
        assert_eq!((states(&town), source.sent()), (vec![Refused, Accepted], 2));
        assert_eq!(town.reconcile().published, [today()]);
        assert_eq!(town.fetch().accepted, 0, "once");
        assert_eq!(source.sent(), 2);

        // And what the partner corrects after that is heard as ever.
        source.has(&file_of(today(), &town.honest(today())[1..]));
        assert_eq!(town.fetch().accepted, 1);
        assert_eq!(town.reconcile().published, [today()]);
        assert_eq!(town.classes(today()).len(), 1);
    }
}

#[test]
fn a_correction_that_our_own_profile_refused_counts_once_the_profile_is_mended() {
    let source = Arc::new(Tagged::default());
    let (mut town, right) = in_the_night(TestDatabase::sqlite(), &source);
    source.has(&file_of(today(), &town.honest(today())[1..]));
    assert_eq!(town.fetch().accepted, 2, "the bank's and the biller's");
    restart(&mut town, "pipe");
    source.has(&right);
    assert_eq!(town.fetch().refused, 1);
    restart(&mut town, "payhall-csv");
    assert_eq!(town.fetch().accepted, 1);
    assert_eq!(states(&town), [Accepted, Refused, Accepted]);
    assert_eq!(town.files(BANK, today())[2].row_count, 3);
}

#[test]
fn a_source_that_goes_back_sends_nothing_that_is_known_twice() {
    for database in TestDatabase::all() {
        let source = Arc::new(Tagged::default());
        let (town, right) = in_the_night(database, &source);
        let torn = &right[..right.len() / 2];
        let shorn = &right[..right.len() - 1];
        for (bytes, sent, wanted) in [
            (torn, 1, &[Refused][..]),
            (shorn, 2, &[Refused, Refused]),
            (torn, 2, &[Refused, Refused]),
            (&right[..], 3, &[Refused, Refused, Accepted]),
            (shorn, 3, &[Refused, Refused, Accepted]),
            (&right[..], 3, &[Refused, Refused, Accepted]),
        ] {
            source.has(bytes);
            for _ in 0..3 {
                town.fetch();
            }
            assert_eq!((source.sent(), &states(&town)[..]), (sent, wanted));
        }
        // One that counted once and goes back to it has corrected its correction.
        let other = file_of(today(), &town.honest(today())[1..]);
        for (bytes, sent) in [(&other, 4), (&right, 5), (&right, 5)] {
            source.has(bytes);
            town.fetch();
            assert_eq!(source.sent(), sent);
        }
        let files = town.files(BANK, today());
        assert_eq!((files.len(), files[4].row_count), (5, 3));
    }
}

#[test]
fn a_refused_file_that_cannot_be_judged_again_holds_nobody_up() {
    let source = Arc::new(Tagged::default());
    let (mut town, right) = in_the_night(TestDatabase::sqlite(), &source);
    source.has(&right);
    restart(&mut town, "pipe");
    assert_eq!(town.fetch().refused, 1);
    restart(&mut town, "nobody-s");
    town.drop_file(TELECOM, today(), &town.honest(today())[1..]);
    let fetched = town.fetch();
    assert_eq!((fetched.failed, fetched.not_yet), (1, 1), "{fetched:?}");
    assert_eq!(fetched.accepted, 1, "the biller's correction");
    restart(&mut town, "payhall-csv");
    assert_eq!(town.fetch().accepted, 1);
}

#[test]
fn what_is_kept_of_a_refused_file_and_lost_is_no_reason_to_stop() {
    let source = Arc::new(Tagged::default());
    let (mut town, right) = in_the_night(TestDatabase::sqlite(), &source);
    source.has(&right);
    restart(&mut town, "pipe");
    assert_eq!(town.fetch().refused, 1);
    let kept = town
        .folder
        .path()
        .join("files")
        .join(&town.files(BANK, today())[0].path);
    std::fs::remove_file(kept).unwrap();
    restart(&mut town, "payhall-csv");
    let fetched = town.fetch();
    assert_eq!((fetched.accepted, fetched.not_yet), (0, 1), "{fetched:?}");
    // Another one is brought as ever.
    source.has(&file_of(today(), &town.honest(today())[1..]));
    assert_eq!(town.fetch().accepted, 1);
}
