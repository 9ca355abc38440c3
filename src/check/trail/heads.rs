//! The heads that were published: files in a folder that the database's administrator cannot change, each
//! signed by the center and holding the hash of the one before it.

use super::report::{TrailFault, TrailFinding};
use crate::domain::audit_heads::{HeadsFile, Previous, read, read_name, sha256};
use crate::domain::ids::KeyId;
use crate::domain::key::{Algorithm, KeyOwner};
use crate::output::{OutputError, OutputFolder};
use crate::storage::{StoreError, View, audit, keys};
use crate::trust::{PublicKey, document_is_signed_by};
use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

/// What was published of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its hash, in hexadecimal digits.
    pub hash: String,
    /// The file that tells it.
    pub file: String,
}

/// What was published, by chain and row. A chain that stands still is published again every day and
/// held once.
#[derive(Debug, Default)]
pub struct Pins(BTreeMap<String, BTreeMap<i64, Pin>>);

impl Pins {
    /// What was published of a chain; it is used up.
    pub fn take(&mut self, stream: &str) -> BTreeMap<i64, Pin> {
        self.0.remove(stream).unwrap_or_default()
    }

    /// What was published of chains that nobody asked about.
    pub fn left(&mut self) -> BTreeMap<String, BTreeMap<i64, Pin>> {
        std::mem::take(&mut self.0)
    }

    fn add(&mut self, file: &str, heads: &HeadsFile, found: &mut impl FnMut(TrailFinding)) {
        for head in &heads.heads.streams {
            let pins = self.0.entry(head.stream.clone()).or_default();
            let pin = pins.entry(head.seq).or_insert_with(|| Pin {
                hash: head.hash.clone(),
                file: file.to_owned(),
            });
            if pin.hash != head.hash {
                let evidence = format!(
                    "chain {} row {}: {file} and {} tell of different rows",
                    head.stream, head.seq, pin.file
                );
                let problem = "two files of heads contradict each other";
                found(TrailFinding::file(
                    TrailFault::HeadsAltered,
                    file,
                    problem,
                    evidence,
                ));
            }
        }
    }
}

/// Who says whether a signature holds.
pub enum Checker {
    /// Keys that the auditor keeps, as PEM.
    Given(Vec<String>),
    /// The keys that the database has.
    OfDatabase,
}

impl Checker {
    /// Takes public keys as texts; those of the database where there are none.
    ///
    /// # Errors
    /// One of them is no public key.
    pub fn try_new(keys: Vec<String>) -> anyhow::Result<Self> {
        for (place, key) in keys.iter().enumerate() {
            let mut all = Algorithm::ALL.iter();
            if !all.any(|algorithm| PublicKey::from_text(*algorithm, key).is_ok()) {
                bail!("key {} is no public key in PEM", place + 1);
            }
        }
        Ok(match keys.is_empty() {
            true => Self::OfDatabase,
            false => Self::Given(keys),
        })
    }

    /// What it is, in words.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Given(_) => "the key that was given",
            Self::OfDatabase => {
                "the database's own key, which its administrator could exchange (see --key)"
            }
        }
    }

    /// The key for a file's signature, or what is wrong with it.
    fn keys(&self, view: &mut View, file: &HeadsFile) -> anyhow::Result<Vec<PublicKey>> {
        let signature = &file.signature;
        let read = |text: &String| PublicKey::from_text(signature.algorithm, text).ok();
        match self {
            Self::Given(texts) => Ok(texts.iter().filter_map(read).collect()),
            Self::OfDatabase => {
                let Ok(key_id) = signature.key_id.parse::<KeyId>() else {
                    return Ok(Vec::new());
                };
                let key = keys::find(view.connection(), &key_id)?;
                let ours = key.filter(|key| {
                    key.owner == KeyOwner::Center && key.algorithm == signature.algorithm
                });
                let key = ours.map(|key| PublicKey::from_der(key.algorithm, &key.public_key));
                Ok(key.transpose()?.into_iter().collect())
            }
        }
    }
}

/// A folder of heads, as it was listed.
pub struct Published {
    folder: OutputFolder,
    /// The files, by the order of their dates.
    pub files: Vec<String>,
}

impl Published {
    /// Lists a folder. That comes before the database is looked at: what is published after that look tells
    /// of rows that it does not see.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(folder: OutputFolder) -> Result<Self, OutputError> {
        let mut files = folder.names(|name| read_name(name).is_some())?;
        files.sort_by_key(|name| read_name(name));
        Ok(Self { folder, files })
    }
}

/// Reads the files of a folder one after the other, and holds each against its signature, the file that
/// it says was published before it, and what the database says of it. What a file tells counts only where its signature holds.
///
/// # Errors
/// The folder or the database cannot be read.
pub fn read_all(
    view: &mut View,
    published: &Published,
    checker: &Checker,
    found: &mut impl FnMut(TrailFinding),
) -> anyhow::Result<Pins> {
    let Published { folder, files } = published;
    let mut pins = Pins::default();
    let mut hashes = BTreeMap::new();
    let mut said = Vec::new();
    for file in files {
        let bytes = folder.read(file)?;
        let hash = sha256(&bytes);
        match read(&bytes) {
            Ok(heads) => {
                let is_signed = is_signed(view, checker, &heads).context("cannot read a key")?;
                if is_signed {
                    pins.add(file, &heads, found);
                } else {
                    found(unsigned(file, checker, &heads));
                }
                judge_date(file, &heads, found);
                said.push(Said {
                    file: file.clone(),
                    rows: heads.heads.rows,
                    previous: heads.heads.previous,
                });
            }
            Err(error) => {
                let problem = "a file of heads cannot be read";
                let evidence = format!("{file}: {error}");
                let fault = TrailFault::HeadsAltered;
                found(TrailFinding::file(fault, file, problem, evidence));
            }
        }
        hashes.insert(file.clone(), hash);
    }
    judge_previous(published, &said, &hashes, found);
    judge_rows(view, published, &hashes, found)?;
    Ok(pins)
}

fn is_signed(view: &mut View, checker: &Checker, file: &HeadsFile) -> anyhow::Result<bool> {
    let Ok(signature) = STANDARD.decode(&file.signature.value) else {
        return Ok(false);
    };
    let keys = checker.keys(view, file)?;
    let mut keys = keys.iter();
    Ok(keys.any(|key| document_is_signed_by(key, &file.payload, &signature)))
}

fn unsigned(file: &str, checker: &Checker, heads: &HeadsFile) -> TrailFinding {
    let problem = "the signature of a file of heads does not hold";
    let evidence = format!(
        "{file}: it names key {} ({}); checked by {}",
        heads.signature.key_id,
        heads.signature.algorithm,
        checker.words()
    );
    TrailFinding::file(TrailFault::HeadsAltered, file, problem, evidence)
}

/// A file that was renamed tells of another day than its name.
fn judge_date(file: &str, heads: &HeadsFile, found: &mut impl FnMut(TrailFinding)) {
    let date = heads.heads.business_date;
    if read_name(file).is_none_or(|(named, _)| named != date) {
        let problem = "a file of heads tells of another date than its name";
        let evidence = format!("{file}: it is about {date}");
        let fault = TrailFault::HeadsAltered;
        found(TrailFinding::file(fault, file, problem, evidence));
    }
}

/// What a file says of the one before it.
struct Said {
    file: String,
    /// How many rows it tells of.
    rows: i64,
    previous: Option<Previous>,
}

/// Each file holds the hash of the one that was published before it. That need not be the one before it by
/// date: a clock that was ahead published for later dates first. What came before the first that is there
/// may have been put away: what it told, the others tell too.
fn judge_previous(
    published: &Published,
    said: &[Said],
    hashes: &BTreeMap<String, String>,
    found: &mut impl FnMut(TrailFinding),
) {
    let first = published.files.first().and_then(|name| read_name(name));
    for one in said {
        let file = &one.file;
        let (fault, about, problem, evidence) = match &one.previous {
            Some(named) => match hashes.get(&named.file) {
                Some(hash) if *hash == named.sha256 => continue,
                None if read_name(&named.file) < first => continue,
                Some(hash) => (
                    TrailFault::HeadsAltered,
                    &named.file,
                    "a file of heads is not the one that the next tells of",
                    format!(
                        "{}: {file} tells of one that begins with {}, it is {}",
                        named.file,
                        short(&named.sha256),
                        short(hash)
                    ),
                ),
                None => (
                    TrailFault::HeadsMissing,
                    &named.file,
                    "a file of heads is missing",
                    format!("{}: {file} was published after it", named.file),
                ),
            },
            None => {
                // The rows grow from file to file, whatever the clock says.
                let is_older = |other: &&Said| {
                    read_name(&other.file) < read_name(file) && other.rows < one.rows
                };
                let Some(older) = said.iter().find(is_older) else {
                    continue;
                };
                (
                    TrailFault::HeadsAltered,
                    file,
                    "a file of heads says that it is the first",
                    format!("{file}: {} was published before it", older.file),
                )
            }
        };
        found(TrailFinding::file(fault, about, problem, evidence));
    }
}

/// Each file that was published has an audit row with its hash. Those before the first that is there may
/// have been put away.
fn judge_rows(
    view: &mut View,
    published: &Published,
    hashes: &BTreeMap<String, String>,
    found: &mut impl FnMut(TrailFinding),
) -> Result<(), StoreError> {
    let first = published.files.first().and_then(|name| read_name(name));
    let mut after = String::new();
    loop {
        let rows = audit::published_heads(view.connection(), &after)?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        after.clone_from(last);
        for (file, hash) in rows {
            let is_old = first.is_some() && read_name(&file) < first;
            // One that was published between the two looks is there by now.
            let is_new = || read_name(&file).is_some() && published.folder.read(&file).is_ok();
            let told = match hashes.get(&file) {
                Some(there) if Some(there) == hash.as_ref() => continue,
                None if is_old || is_new() => continue,
                Some(there) => {
                    let evidence = format!("{file}: it is {}", short(there));
                    let problem = "a file of heads is not the one that its audit row tells of";
                    (TrailFault::HeadsAltered, problem, evidence)
                }
                None => {
                    let evidence = format!("{file}: its audit row tells that it was published");
                    let problem = "a file of heads is missing";
                    (TrailFault::HeadsMissing, problem, evidence)
                }
            };
            let (fault, problem, evidence) = told;
            found(TrailFinding::file(fault, &file, problem, evidence));
        }
    }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
