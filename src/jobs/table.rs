//! The list of jobs: each with what it does and when. A file that nobody reads, a job without a
//! file and a name spelled in two ways are errors at start or in a test, never a silent job.

use super::chain;
use super::plan::{FileProblem, Plan};
use super::{AnyJob, Job};
use crate::domain::job::JobInfo;
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{Engine, JobBook, Standing};
use crate::storage::StoreError;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Joins each job with the file that is compiled in for it.
macro_rules! built_in {
    ($($module:ident :: $job:ident),+ $(,)?) => {
        vec![$(
            BuiltIn {
                name: <super::$module::$job as Job>::NAME,
                text: include_str!(concat!("../../jobs/", stringify!($module), ".toml")),
                job: Arc::new(super::$module::$job),
            },
        )+]
    };
}

struct BuiltIn {
    name: &'static str,
    text: &'static str,
    job: Arc<dyn AnyJob>,
}

/// Every job of the program, by name.
fn built_in() -> Vec<BuiltIn> {
    built_in![
        archive_records::ArchiveRecords,
        audit_cache::AuditCache,
        close_day::CloseDay,
        expire_keys::ExpireKeys,
        expire_orders::ExpireOrders,
        fetch_partner_files::FetchPartnerFiles,
        make_biller_statements::MakeBillerStatements,
        make_merchant_statements::MakeMerchantStatements,
        poll_exceptions::PollExceptions,
        publish_audit_heads::PublishAuditHeads,
        reconcile_day::ReconcileDay,
        send_notifications::SendNotifications,
        summarise_settlement::SummariseSettlement,
        watch_runs::WatchRuns,
    ]
}

/// A job and its plan.
pub(super) struct Entry {
    pub name: &'static str,
    pub plan: Plan,
    pub job: Arc<dyn AnyJob>,
}

/// The jobs by name. Made once at start.
#[derive(Clone, Default)]
pub struct JobTable {
    entries: BTreeMap<&'static str, Arc<Entry>>,
}

/// What is wrong with the job files: all of it, a line each.
#[derive(Debug, thiserror::Error)]
pub enum JobFilesError {
    /// Files with mistakes in them.
    #[error("{}", lines(.0))]
    Bad(Vec<FileProblem>),
    /// The folder or a file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

fn lines(problems: &[FileProblem]) -> String {
    let lines: Vec<String> = problems.iter().map(FileProblem::to_string).collect();
    lines.join("\n")
}

/// A name that is no job's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no job {asked:?}; there are {known}")]
pub struct NoSuchJob {
    asked: String,
    known: String,
}

impl JobTable {
    /// The jobs of the program. Where a folder is given, its `NAME.toml` stands in for the one that
    /// is compiled in; a job that has none there keeps its own.
    ///
    /// # Errors
    /// When the folder cannot be read, a file of it is no job's, or any file has a mistake.
    pub fn load(folder: Option<&Path>) -> Result<Self, JobFilesError> {
        let mut texts = match folder {
            Some(folder) => read_folder(folder)?,
            None => BTreeMap::new(),
        };
        let built_in = built_in();
        let known: Vec<&str> = built_in.iter().map(|job| job.name).collect();
        let known = known.join(", ");
        let mut table = Self::default();
        let mut problems = Vec::new();
        for BuiltIn { name, text, job } in built_in {
            let compiled_in = (format!("jobs/{name}.toml"), text.to_owned());
            let (file, text) = texts.remove(name).unwrap_or(compiled_in);
            match Plan::parse(&file, &text) {
                Ok(plan) => table.add(Entry { name, plan, job }),
                Err(found) => problems.extend(found),
            }
        }
        for (asked, (file, _)) in texts {
            let known = known.clone();
            let reason = NoSuchJob { asked, known }.to_string();
            let line = 1;
            problems.push(FileProblem { file, line, reason });
        }
        problems.extend(chain::problems(&table));
        if problems.is_empty() {
            Ok(table)
        } else {
            Err(JobFilesError::Bad(problems))
        }
    }

    /// The table with one job more, whose file is given as a text.
    ///
    /// # Errors
    /// When the text has a mistake.
    pub fn with<J: Job>(mut self, job: J, text: &str) -> Result<Self, JobFilesError> {
        let plan =
            Plan::parse(&format!("jobs/{}.toml", J::NAME), text).map_err(JobFilesError::Bad)?;
        self.add(Entry {
            name: J::NAME,
            plan,
            job: Arc::new(job),
        });
        let problems = chain::problems(&self);
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(JobFilesError::Bad(problems))
        }
    }

    /// Every job and when it is due next, by name.
    pub fn list(&self, now: Instant) -> Vec<JobInfo> {
        let info = |entry: &Arc<Entry>| JobInfo {
            name: entry.name,
            schedule: entry.plan.schedule.expression().to_owned(),
            zone: entry.plan.schedule.zone(),
            catch_up: entry.plan.catch_up,
            after: entry.plan.after.clone(),
            alarm_at: entry.plan.alarm_at,
            lease: entry.plan.lease,
            timeout: entry.plan.timeout,
            why: entry.plan.why.clone(),
            next_due: entry.plan.schedule.next(now),
        };
        self.entries.values().map(info).collect()
    }

    /// What the jobs' files set, as settings: path and value.
    pub fn settings(&self) -> Vec<(String, String)> {
        let seconds = |span: Duration| span.as_secs().to_string();
        let of_job = |entry: &Arc<Entry>| {
            // Without `..`, so that a new line of the files cannot be forgotten here.
            let Plan {
                schedule,
                catch_up,
                on_time,
                lease,
                timeout,
                keep_quiet,
                after,
                alarm_at,
                why: _,
                after_lines: _,
            } = &entry.plan;
            let alarm_at = alarm_at.map_or("never".to_owned(), |at| at.format("%H:%M").to_string());
            let keep_quiet = keep_quiet.map_or("for ever".to_owned(), seconds);
            [
                ("schedule", schedule.expression().to_owned()),
                ("zone", schedule.zone().to_string()),
                ("catch_up", catch_up.to_string()),
                ("on_time_s", seconds(*on_time)),
                ("lease_s", seconds(*lease)),
                ("timeout_s", seconds(*timeout)),
                ("keep_quiet_s", keep_quiet),
                ("after", after.join(", ")),
                ("alarm_at", alarm_at),
            ]
            .map(|(key, value)| (format!("job {}.{key}", entry.name), value))
        };
        self.entries.values().flat_map(of_job).collect()
    }

    /// The next due times of a job, at most so many.
    ///
    /// # Errors
    /// When there is no such job.
    pub fn next(&self, job: &str, after: Instant, most: usize) -> Result<Vec<Instant>, NoSuchJob> {
        let upcoming = self.get(job)?.plan.schedule.upcoming(after);
        Ok(upcoming.take(most).collect())
    }

    fn get(&self, job: &str) -> Result<&Arc<Entry>, NoSuchJob> {
        self.entries.get(job).ok_or_else(|| self.no_such_job(job))
    }

    pub(super) fn no_such_job(&self, asked: &str) -> NoSuchJob {
        let known: Vec<&str> = self.entries.keys().copied().collect();
        NoSuchJob {
            asked: asked.to_owned(),
            known: known.join(", "),
        }
    }

    pub(super) fn entry(&self, job: &str) -> Option<&Arc<Entry>> {
        self.entries.get(job)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    fn add(&mut self, entry: Entry) {
        self.entries.insert(entry.name, Arc::new(entry));
    }
}

impl JobBook for JobTable {
    fn jobs(&self, now: Instant) -> Vec<JobInfo> {
        self.list(now)
    }

    fn next_due(&self, job: &str, after: Instant) -> Option<Instant> {
        self.entry(job)?.plan.schedule.next(after)
    }

    fn standing(
        &self,
        engine: &Engine,
        job: &str,
        date: BusinessDate,
    ) -> BoxFuture<'static, Result<Standing, StoreError>> {
        match self.entry(job) {
            Some(entry) => entry.job.standing(engine.clone(), date),
            None => Box::pin(std::future::ready(Ok(Standing::AsRunsSay))),
        }
    }

    /// The jobs that it comes after have their own times; they go in no circle.
    fn ready_from(&self, engine: &Engine, job: &str, date: BusinessDate) -> Instant {
        let Some(entry) = self.entry(job) else {
            return engine.business_day().end_of(date);
        };
        let before = entry.plan.after.iter();
        before
            .map(|before| self.ready_from(engine, before, date))
            .fold(entry.job.ready_from(engine, date), Instant::max)
    }
}

/// The `.toml` files of a folder by job: each with its path and its text.
fn read_folder(folder: &Path) -> Result<BTreeMap<String, (String, String)>, JobFilesError> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |source| JobFilesError::Unreadable { path, source }
    };
    let mut texts = BTreeMap::new();
    for file in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = file.map_err(unreadable(folder))?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let (Some(name), Some("toml")) = (name, path.extension().and_then(|end| end.to_str()))
        else {
            continue;
        };
        let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
        texts.insert(name.to_owned(), (path.display().to_string(), text));
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn folder(path: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    fn stems(path: &str, end: &str, is_wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let files = std::fs::read_dir(folder(path)).unwrap();
        files
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|found| found == end))
            .filter(|path| is_wanted(&std::fs::read_to_string(path).unwrap()))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_table_the_files_and_the_modules_name_the_same_jobs() {
        let table: BTreeSet<String> = built_in().iter().map(|job| job.name.to_owned()).collect();
        assert_eq!(table, stems("jobs", "toml", |_| true));
        assert_eq!(
            table,
            stems("src/jobs", "rs", |text| text.contains("\nimpl Job for "))
        );
        for name in table {
            let module = folder("src/jobs").join(format!("{name}.rs"));
            let text = std::fs::read_to_string(module).unwrap();
            assert!(
                text.contains(&format!("NAME: &'static str = {name:?};")),
                "{name}"
            );
            assert!(
                text.lines().count() <= 80,
                "{name} is long: the work belongs to the engine"
            );
        }
    }

    #[test]
    fn the_compiled_in_files_are_good_and_due_when_the_center_promises() {
        let table = JobTable::load(None).unwrap();
        let now: Instant = "2026-11-22T04:00:03Z".parse().unwrap();
        let waits: Vec<(&str, i64)> = table
            .list(now)
            .iter()
            .map(|job| (job.name, (job.next_due.unwrap() - now).num_seconds()))
            .collect();
        assert_eq!(
            waits,
            [
                // 04:00:03 UTC is noon in Shanghai.
                ("archive_records", 55_797),
                ("audit_cache", 317),
                ("close_day", 597),
                ("expire_keys", 27),
                ("expire_orders", 57),
                ("fetch_partner_files", 57),
                ("make_biller_statements", 297),
                ("make_merchant_statements", 297),
                ("poll_exceptions", 7),
                ("publish_audit_heads", 44_997),
                ("reconcile_day", 237),
                ("send_notifications", 2),
                ("summarise_settlement", 477),
                ("watch_runs", 12),
            ]
        );
        let due = table.next("poll_exceptions", now, 3).unwrap();
        let seconds: Vec<i64> = due.iter().map(|at| (*at - now).num_seconds()).collect();
        assert_eq!(seconds, [7, 17, 27]);
        let unknown = table.next("open_day", now, 3).unwrap_err();
        let said = unknown.to_string();
        assert!(
            said.starts_with("there is no job \"open_day\"; there are archive_records, "),
            "{said}"
        );
    }

    #[test]
    fn a_folder_stands_in_for_what_is_compiled_in() {
        let folder = tempfile::tempdir().unwrap();
        let text = include_str!("../../jobs/poll_exceptions.toml").replace("*/10", "*/30");
        std::fs::write(folder.path().join("poll_exceptions.toml"), text).unwrap();
        std::fs::write(folder.path().join("README.md"), "not a job").unwrap();
        let table = JobTable::load(Some(folder.path())).unwrap();
        let of = |table: JobTable| -> BTreeMap<&str, String> {
            let jobs = table.list(Instant::UNIX_EPOCH).into_iter();
            jobs.map(|job| (job.name, job.schedule)).collect()
        };
        let (own, mut wanted) = (of(table), of(JobTable::load(None).unwrap()));
        wanted.insert("poll_exceptions", "*/30 * * * * *".to_owned());
        assert_eq!(own, wanted);
    }

    #[test]
    fn a_folder_with_mistakes_is_refused_with_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("poll_exceptions.toml", "\nschedule = 1\n");
        write("pol_exceptions.toml", "");
        let error = JobTable::load(Some(folder.path())).err().unwrap();
        let path = folder.path().display();
        let said = error.to_string();
        let wanted = format!(
            "{path}/poll_exceptions.toml:2: invalid type: integer `1`, expected a string\n\
             {path}/pol_exceptions.toml:1: there is no job \"pol_exceptions\"; there are \
             archive_records, "
        );
        assert!(said.starts_with(&wanted), "{said}");
        let missing = folder.path().join("missing");
        let error = JobTable::load(Some(&missing)).err().unwrap();
        assert!(matches!(error, JobFilesError::Unreadable { .. }), "{error}");
    }
}
