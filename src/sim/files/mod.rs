//! The files that the banks and the billers write each day, made from the ledger when they are asked
//! for.
//!
//! | call | |
//! |---|---|
//! | `GET /files/{partner}/{date}?format=` | the file of that day; 404 `NOT_READY` before it is there |
//! | `GET /files/{partner}/{date}.sha256?format=` | its digest and its name |
//! | `POST /admin/files {"date", "partner", "format"}` | writes it, or those of all, into the drop folder |
//! | `GET /admin/partners`, `POST /admin/partners` | how each writes its files; changes that |
//! | `POST /admin/plants` | plants differences, and answers exactly which, see [`mod@plant`] |
//! | `GET /admin/plants`, `GET /admin/plants/{partner}/{date}` | lists what is planted |
//! | `DELETE /admin/plants`, `…/{id}`, `…/{partner}/{date}` | takes it back: the file is corrected |
//!
//! The ledger is the truth, and nothing here writes to it. A line counts on the day of its partner's
//! own clock, zone and cut-off on which it took effect, so a payment at midnight can be on another day
//! at the bank than at the center, as it is between real banks. The same ledger, date, terms and plants
//! give the same bytes.
//!
//! To break it: hold the lock of the world while a day is read. The places of the day are asked for under
//! it; reading, choosing and writing happen beside it, on a thread that may wait.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, NaiveDate, Utc};
use hyper::StatusCode;

mod book;
mod layout;
mod partner;
mod plant;
mod planter;
mod routes;
mod row;

use super::bank::State;
use super::ledger::BankName;
use super::options::SimOptions;
use super::shared::Shared;
use book::{Book, Which};
use layout::{Format, Sheet};
use partner::{Partner, Terms, Unmoved};
use plant::{Plant, PlantSpec, PlantsSpec};
use planter::{Ground, Planter};
pub(super) use routes::{answer, is_mine};
use row::{Day, Row};

/// Where the files come from, besides the ledger.
#[derive(Debug)]
pub(super) struct Desk {
    book: Mutex<Book>,
    drop_folder: PathBuf,
}

/// Why there is no answer.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    ready_at: Option<DateTime<Utc>>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            ready_at: None,
        }
    }

    fn input(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    fn fault(error: impl Into<anyhow::Error>) -> Self {
        let message = format!("{:#}", error.into());
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "FAULT", message)
    }
}

/// Whose file of which day, and in which layout.
#[derive(Clone, Copy, Debug)]
struct Ask {
    partner: Partner,
    date: NaiveDate,
    /// None: the partner's own.
    format: Option<Format>,
}

/// A file, ready to be sent.
#[derive(Debug)]
struct DayFile {
    name: String,
    bytes: Vec<u8>,
    content_type: &'static str,
    /// What it is called in the drop folder, where a corrected file takes the place of the first.
    first_name: String,
    /// As the sidecar has it.
    digest: String,
    /// Another for every file that is another.
    tag: String,
}

impl DayFile {
    /// The sidecar's content, as `sha256sum` writes it.
    fn sidecar(&self, name: &str) -> String {
        format!("{}  {name}\n", self.digest)
    }
}

impl Desk {
    /// Opens what is kept beside the ledger.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(options: &SimOptions) -> anyhow::Result<Self> {
        let drop_folder = options.drop_folder.clone();
        Ok(Self {
            book: Mutex::new(Book::open(&options.ledger)?),
            drop_folder: drop_folder.unwrap_or_else(|| book::beside(&options.ledger, "drop")),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file of one day.
fn make(shared: &Shared, ask: Ask) -> Result<DayFile, Refusal> {
    let Ask { partner, date, .. } = ask;
    let now = shared.clock.now();
    let (terms, plants, version) = {
        let book = shared.files.book();
        let plants = book.kept.plants.iter();
        let plants: Vec<Plant> = plants
            .filter(|plant| plant.touches(partner.name(), date))
            .cloned()
            .collect();
        (
            book.terms(partner),
            plants,
            book.kept.version(partner.name(), date, now),
        )
    };
    let times = over(&terms, date, now)?;
    let format = ask.format.unwrap_or(terms.format);
    let day = read(shared, partner, &times)?;
    let mut rows = listed(partner, &terms, &day);
    drop(day);
    let faults = plant::lay(&mut rows, date, plants.iter(), now);
    rows.retain(|row| format.has_status(row.status));
    let sheet = Sheet {
        partner: partner.name(),
        is_bank: matches!(partner, Partner::Bank(_)),
        date,
        zone: terms.zone,
        version,
        rows: &rows,
        faults,
    };
    let bytes = format.write(&sheet).map_err(Refusal::input)?;
    let digest = layout::sha256(&bytes);
    Ok(DayFile {
        name: format.file_name(partner.name(), date, version),
        first_name: format.file_name(partner.name(), date, 1),
        content_type: format.content_type(),
        digest: if faults.wrong_digest {
            other_than(&digest)
        } else {
            digest.clone()
        },
        tag: format!("\"{digest}-v{version}\""),
        bytes,
    })
}

/// A digest that is wrong in its first digit.
fn other_than(digest: &str) -> String {
    let other = if digest.starts_with('0') { '1' } else { '0' };
    digest
        .chars()
        .skip(1)
        .fold(String::from(other), |hex, digit| hex + &digit.to_string())
}

/// The times of a day whose file is there.
fn over(
    terms: &Terms,
    date: NaiveDate,
    now: DateTime<Utc>,
) -> Result<Range<DateTime<Utc>>, Refusal> {
    let far = || Refusal::input(format!("{date} is out of the calendar"));
    let times = terms.day(date).ok_or_else(far)?;
    let ready_at = terms.ready_at(date).ok_or_else(far)?;
    if now < ready_at {
        let message = format!("not yet: the file of {date} is there from {ready_at} on");
        let refusal = Refusal::new(StatusCode::NOT_FOUND, "NOT_READY", message);
        return Err(Refusal {
            ready_at: Some(ready_at),
            ..refusal
        });
    }
    Ok(times)
}

fn read(shared: &Shared, partner: Partner, times: &Range<DateTime<Utc>>) -> Result<Day, Refusal> {
    let part = shared.world().part(times);
    Day::read(&part, partner, times).map_err(Refusal::fault)
}

/// The lines of a day as the partner lists them, before anything is planted.
fn listed(partner: Partner, terms: &Terms, day: &Day) -> Vec<Row> {
    let mut rows = day.moved.clone();
    if matches!(partner, Partner::Bank(_)) && terms.unmoved == Unmoved::Listed {
        rows.extend_from_slice(&day.unmoved);
    }
    rows.sort_by_key(|row| row.at);
    rows
}

/// Plants what is asked for, all of it or nothing, and returns what it was.
fn plant(shared: &Shared, spec: &PlantsSpec) -> Result<Vec<Plant>, Refusal> {
    let partner = partner(&spec.partner)?;
    // Held to the end, so that two who plant do not choose the same line.
    let mut book = shared.files.book();
    let terms = book.terms(partner);
    let times = over(&terms, spec.date, shared.clock.now())?;
    let day = read(shared, partner, &times)?;
    let mut rows = listed(partner, &terms, &day);
    rows.retain(|row| terms.format.has_status(row.status));
    for wish in &spec.plants {
        check(wish, terms.format).map_err(Refusal::input)?;
    }
    let taken = book
        .kept
        .plants
        .iter()
        .filter_map(|plant| plant.flow_no.clone());
    let taken: HashSet<String> = taken.collect();
    let stands = |flow_no: &str| {
        known(shared, |bank| {
            let state = bank.payment(flow_no).map(|payment| payment.state);
            state == Some(State::Paid(1))
        })
    };
    let is_known = |flow_no: &str| {
        known(shared, |bank| {
            bank.payment(flow_no).is_some() || bank.reversal_of(flow_no).is_some()
        })
    };
    let ground = Ground {
        partner,
        date: spec.date,
        times,
        day: &day,
        rows: &rows,
        taken,
        stands: &stands,
        known: &is_known,
    };
    let mut planter = Planter::new(ground, spec);
    let mut plants = Vec::new();
    for wish in &spec.plants {
        plants.extend(planter.plant(wish).map_err(Refusal::input)?);
    }
    book.change(|kept| kept.add(plants)).map_err(Refusal::fault)
}

/// Whether the partner's layout can show what is wished for.
fn check(wish: &PlantSpec, format: Format) -> Result<(), String> {
    match wish {
        PlantSpec::Status { status, .. } if !format.has_status(*status) => Err(format!(
            "status: {} has no word for {status:?}",
            format.name()
        )),
        PlantSpec::Bill(_) if !format.has_bill() => {
            Err(format!("bill: {} names no bill", format.name()))
        }
        _ => Ok(()),
    }
}

/// Whether this is so at one of the banks. The world is locked for a moment only.
fn known(shared: &Shared, is_so: impl Fn(&super::bank::Bank) -> bool) -> bool {
    let world = shared.world();
    [BankName::Bank, BankName::Legacy]
        .into_iter()
        .any(|name| is_so(world.books.bank(name)))
}

/// Writes the files of a day into the drop folder, and returns where they are.
fn drop_files(shared: &Shared, asks: &[Ask]) -> Result<Vec<PathBuf>, Refusal> {
    let mut paths = Vec::with_capacity(asks.len());
    for ask in asks {
        let file = make(shared, *ask)?;
        let folder = shared.files.drop_folder.join(ask.partner.name());
        paths.push(drop_file(&folder, &file).map_err(Refusal::fault)?);
    }
    Ok(paths)
}

/// The digest comes first: who sees the file can check it.
fn drop_file(folder: &Path, file: &DayFile) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let name = &file.first_name;
    let sidecar = folder.join(format!("{name}.sha256"));
    book::replace(&sidecar, file.sidecar(name).as_bytes())?;
    let path = folder.join(name);
    book::replace(&path, &file.bytes)?;
    Ok(path)
}

fn partner(name: &str) -> Result<Partner, Refusal> {
    Partner::find(name).ok_or_else(|| {
        let names: Vec<&str> = Partner::all().map(Partner::name).collect();
        let message = format!("no partner {name:?}; there are {}", names.join(", "));
        Refusal::new(StatusCode::NOT_FOUND, "NO_SUCH_PARTNER", message)
    })
}
