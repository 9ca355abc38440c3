//! What was set and planted about the files, kept in a file beside the ledger, so that a restart knows it
//! again. The ledger itself never hears of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::partner::{Partner, Terms};
use super::plant::Plant;

/// The book that lies beside the ledger.
#[derive(Debug)]
pub(super) struct Book {
    path: PathBuf,
    pub kept: Kept,
}

/// What is in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Kept {
    /// The terms that were changed, by partner.
    pub terms: BTreeMap<String, Terms>,
    pub plants: Vec<Plant>,
    next_id: u64,
    /// How often the plants of a day were taken back, by partner and date: each time is one version
    /// of the file more.
    corrections: BTreeMap<String, u32>,
}

/// Which plants: those of one partner, of one day, or one of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which<'a> {
    All,
    Day(&'a str, NaiveDate),
    One(u64),
}

impl Which<'_> {
    /// Whether this one is among them.
    pub fn holds(self, plant: &Plant) -> bool {
        match self {
            Self::All => true,
            Self::Day(partner, date) => plant.partner == partner && plant.date == date,
            Self::One(id) => plant.id == id,
        }
    }
}

impl Book {
    /// The one beside this ledger; an empty one if there is none.
    ///
    /// # Errors
    /// It cannot be read, or it is not what this program writes.
    pub fn open(ledger: &Path) -> anyhow::Result<Self> {
        let path = beside(ledger, "files.json");
        let kept = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is not what this program writes", path.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self { path, kept })
    }

    /// How a partner writes.
    pub fn terms(&self, partner: Partner) -> Terms {
        let changed = self.kept.terms.get(partner.name());
        changed.cloned().unwrap_or_else(|| Terms::of(partner))
    }

    /// Changes what is kept: on the disk first, and then here.
    ///
    /// # Errors
    /// The file cannot be written; nothing is changed then.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Kept) -> T) -> io::Result<T> {
        let mut kept = self.kept.clone();
        let result = change(&mut kept);
        replace(&self.path, &serde_json::to_vec(&kept)?)?;
        self.kept = kept;
        Ok(result)
    }
}

impl Kept {
    /// Takes in what is planted, and gives each its number.
    pub fn add(&mut self, plants: Vec<Plant>) -> Vec<Plant> {
        let first = self.plants.len();
        for plant in plants {
            self.next_id += 1;
            let id = self.next_id;
            self.plants.push(Plant { id, ..plant });
        }
        self.plants.split_at(first).1.to_vec()
    }

    /// Takes plants back, and returns how many there were.
    pub fn remove(&mut self, which: Which<'_>) -> usize {
        let (gone, left) = std::mem::take(&mut self.plants)
            .into_iter()
            .partition::<Vec<_>, _>(|plant| which.holds(plant));
        self.plants = left;
        let mut days: Vec<String> = gone
            .iter()
            .map(|plant| day_key(&plant.partner, plant.date))
            .collect();
        days.sort_unstable();
        days.dedup();
        for day in days {
            *self.corrections.entry(day).or_default() += 1;
        }
        gone.len()
    }

    /// Which version of its file a day has come to, from 1.
    pub fn version(&self, partner: &str, date: NaiveDate, now: DateTime<Utc>) -> u32 {
        let corrections = self.corrections.get(&day_key(partner, date));
        let mut over: Vec<_> = self
            .plants
            .iter()
            .filter(|plant| Which::Day(partner, date).holds(plant) && plant.is_over(now))
            .map(|plant| plant.until)
            .collect();
        over.sort_unstable();
        over.dedup();
        let over = u32::try_from(over.len()).unwrap_or(u32::MAX);
        corrections
            .copied()
            .unwrap_or_default()
            .saturating_add(over)
            .saturating_add(1)
    }
}

fn day_key(partner: &str, date: NaiveDate) -> String {
    format!("{partner}/{date}")
}

/// The name of something that lies beside the ledger and is called after it.
pub(super) fn beside(ledger: &Path, ending: &str) -> PathBuf {
    let mut name = ledger.file_stem().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    ledger.with_file_name(name)
}

/// Puts a whole file in its place, or leaves the old one there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(path.file_name().unwrap_or_default());
    hidden.push(".part");
    let part = path.with_file_name(hidden);
    let mut file = fs::File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)
}
