//! Looks for the files that should be there: of each partner, for each closed day that has none yet, some
//! days back. That there is none yet is no fault; that there is none in the morning calls people, once.
//!
//! A partner holds nobody else up: one that gives no answer, which may take it ten minutes, is asked once in a
//! run, about the date that it was not asked about for the longest time. What is wrong with one of its files
//! is a line in the log and a number in the report.

use super::receive::Received;
use super::refused_before::fetch_anew;
use super::{FileFault, with_causes};
use crate::domain::exception::AlarmLevel;
use crate::domain::partner::{Covers, Partner, PartnerFile, PartnerFileState, PartnerName};
use crate::domain::progress::Progress;
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{Actor, Engine};
use crate::storage::{Tx, business_days, partner_files, partner_looks, reconciliations};
use crate::upstream::{FetchError, Fetched, PartnerLink};
use chrono::{Days, NaiveTime, TimeDelta, TimeZone};
use serde::Serialize;

/// What a run brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FetchReport {
    /// Files that are new and right.
    pub accepted: u32,
    /// Files that are new and wrong.
    pub refused: u32,
    /// Dates for which a partner has no file yet.
    pub not_yet: u32,
    /// Partners and dates that could not be asked about.
    pub failed: u32,
    /// Files that people were called about because they are not there.
    pub alarms: u32,
}

/// How many closed days are looked at, at most.
const DAYS_MAX: i64 = 400;
/// How many of the days that are older than a partner's reach it is asked about in one run.
const OLD_DAYS_MAX: usize = 30;
/// How long a date is left alone whose file is there, where the source cannot say whether it is still the same.
const UNTAGGED_EVERY: TimeDelta = TimeDelta::hours(1);
/// Of so many files of a date a source is told at most that they are known.
const MARKS_MAX: usize = 16;
/// The mark of a file of which its source says nothing. What was brought by hand has no mark at all.
const UNTAGGED: &str = "untagged";

/// Whether a source is asked about a date.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask<'a> {
    /// It is, for a file other than those with these marks.
    For { known: Vec<&'a str> },
    /// It is not, this time.
    Not,
}

/// What a look told of a partner's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// It answers, or was not asked.
    Open,
    /// It gave no answer.
    Dead,
}

/// The file that counts, among all of a date.
fn counts(known: &[PartnerFile]) -> Option<&PartnerFile> {
    let accepted = |file: &&PartnerFile| file.state == PartnerFileState::Accepted;
    known.iter().rfind(accepted)
}

/// Decides whether a source is asked, by what came of the date before. As long as nothing counts it is. Where
/// a person has brought what counts it is not: it would bring its own file again. Where the source tells its
/// files apart it is asked for one that neither counts nor was refused; where it does not, it has to send it
/// all, and what comes is compared: once an hour, but for a look that left a doubt.
fn ask(files: &[PartnerFile], looked_at: Option<Instant>, now: Instant) -> Ask<'_> {
    let counts = counts(files);
    let is_known = |file: &&PartnerFile| {
        file.state == PartnerFileState::Refused || counts.is_some_and(|one| one == *file)
    };
    // Of very many the last ones do: nobody's line of headers is without end.
    let marks = files.iter().rev().filter(is_known);
    let marks = marks.filter_map(|file| file.mark.as_deref());
    let mut known: Vec<&str> = marks.filter(|mark| *mark != UNTAGGED).collect();
    known.dedup();
    known.truncate(MARKS_MAX);
    let Some(counts) = counts else {
        return Ask::For { known };
    };
    let last = files.iter().rev().find_map(|file| file.mark.as_deref());
    let is_due = looked_at.is_none_or(|at| at + UNTAGGED_EVERY <= now);
    if counts.mark.is_none() || (last == Some(UNTAGGED) && !is_due) {
        return Ask::Not;
    }
    Ask::For { known }
}

impl FetchReport {
    /// Takes note of a refused file that could not be judged again. Of storage it is everybody's matter.
    fn fail<T>(
        &mut self,
        link: &PartnerLink,
        date: BusinessDate,
        fault: FileFault,
    ) -> Result<Option<T>, FileFault> {
        if let FileFault::Store(_) = fault {
            return Err(fault);
        }
        let (partner, error) = (&link.partner.name, with_causes(&fault));
        tracing::warn!(%partner, business_date = %date, error, "a refused file could not be judged again");
        self.failed += 1;
        Ok(None)
    }
}

impl Engine {
    /// Looks for the files of every partner.
    ///
    /// # Errors
    /// Storage failed. A partner that cannot be asked holds nobody else up.
    pub async fn fetch_partner_files(
        &self,
        actor: &Actor,
        progress: &dyn Progress,
    ) -> Result<FetchReport, FileFault> {
        let mut report = FetchReport::default();
        let links: Vec<PartnerLink> = self.0.upstreams.partners().iter().cloned().collect();
        let total = u64::try_from(links.len()).ok();
        for (done, link) in (1..).zip(&links) {
            // A copy, whose source is taken away once it gives no answer.
            let mut link = link.clone();
            for date in self.dates_of(&link.partner).await? {
                if self.0.stop.is_cancelled() {
                    return Ok(report);
                }
                if self.fetch_one(&link, date, actor, &mut report).await? == Line::Dead {
                    link.source = None;
                }
            }
            progress.at(done, total);
        }
        Ok(report)
    }

    /// The closed days whose file may be looked for by now: those in the partner's reach, and some of those
    /// that are older and still wait for it. Those that it was not asked about for the longest time come first,
    /// so that one about which it never answers holds up no other.
    async fn dates_of(&self, partner: &Partner) -> Result<Vec<BusinessDate>, FileFault> {
        let today = self.0.options.day.date_of(self.now());
        let back = Days::new(u64::from(partner.days_back) + 1);
        let after = today.0.checked_sub_days(back).map(BusinessDate);
        let name = partner.name.clone();
        let read = move |c: &mut _| {
            let mut dates = match after {
                Some(until) => partner_looks::missing(c, &name, until, OLD_DAYS_MAX)?,
                None => Vec::new(),
            };
            let days = business_days::closed_after(c, after, DAYS_MAX)?;
            dates.extend(days.into_iter().map(|day| day.date));
            partner_looks::sort_by_looks(c, &name, &mut dates)?;
            Ok(dates)
        };
        let mut dates = self.0.store.browse(read).await?;
        dates.retain(|date| self.now() >= self.on_next_day(*date, partner.expected_from_s));
        Ok(dates)
    }

    /// An instant of the day after a date, by the center's zone.
    pub(in crate::engine) fn on_next_day(&self, date: BusinessDate, seconds: u32) -> Instant {
        let next = date.0.succ_opt().unwrap_or(date.0);
        let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0);
        let local = next.and_time(time.unwrap_or(NaiveTime::MIN));
        let zone = self.0.options.day.zone;
        match zone.from_local_datetime(&local).latest() {
            Some(at) => at.with_timezone(&chrono::Utc),
            // An hour that the zone leaves out.
            None => chrono::Utc.from_utc_datetime(&local),
        }
    }

    async fn fetch_one(
        &self,
        link: &PartnerLink,
        date: BusinessDate,
        actor: &Actor,
        report: &mut FetchReport,
    ) -> Result<Line, FileFault> {
        let name = link.partner.name.clone();
        let mut line = Line::Open;
        let read = move |c: &mut _| {
            let files = partner_files::of(c, &name, date)?;
            Ok((files, partner_looks::looked_at(c, &name, date)?))
        };
        let (files, looked_at) = self.0.store.read(read).await?;
        let is_there = counts(&files).is_some();
        if let Some(source) = &link.source
            && let Ask::For { known } = ask(&files, looked_at, self.now())
        {
            let mut fetched = source.fetch(date, &known).await;
            if let Ok(Fetched::Unchanged(Some(mark))) = &fetched {
                let judged = self.right_by_now(&link.partner, &files, mark).await;
                if let Some(refused) = judged.or_else(|fault| report.fail(link, date, fault))? {
                    fetched = fetch_anew(source.as_ref(), refused).await;
                }
            }
            let doubt = match &fetched {
                Ok(Fetched::File(brought)) => brought.contradiction(),
                Ok(Fetched::NotYet | Fetched::Unchanged(_)) | Err(_) => None,
            };
            let name = &link.partner.name;
            let is_sure = self.note_look(name, date, doubt.as_deref()).await?;
            match fetched {
                // One of both may still be being written. The next look shows whether it is.
                Ok(Fetched::File(_)) if !is_sure => {
                    let why = doubt.unwrap_or_default();
                    tracing::warn!(partner = %name, business_date = %date, why, "a partner's file waits for the next look");
                }
                Ok(Fetched::File(mut brought)) => {
                    brought.mark.get_or_insert_with(|| UNTAGGED.to_owned());
                    let received = self.receive(name, date, brought, actor).await;
                    self.count(link, date, (received, is_there), report).await?;
                    return Ok(line);
                }
                Ok(Fetched::NotYet | Fetched::Unchanged(_)) => {}
                Err(error) => {
                    if matches!(error, FetchError::Silent(_)) {
                        line = Line::Dead;
                    }
                    let error = with_causes(&error);
                    tracing::warn!(partner = %name, business_date = %date, error, "a partner's file could not be fetched");
                    report.failed += 1;
                }
            }
        }
        if !is_there {
            report.not_yet += 1;
            self.cry_if_late(&link.partner, date, report).await?;
        }
        Ok(line)
    }

    /// Writes a look down; whether what was found is to be taken at its word: nothing speaks against it, or the
    /// look before has found the same, so that nobody is writing it any more.
    async fn note_look(
        &self,
        partner: &PartnerName,
        date: BusinessDate,
        doubt: Option<&str>,
    ) -> Result<bool, FileFault> {
        let (name, now) = (partner.clone(), self.now());
        let found = doubt.map(str::to_owned);
        let note = move |tx: &mut Tx<'_>| tx.note_partner_look(&name, date, found.as_deref(), now);
        let is_same = self.0.store.solo(note).await?;
        if is_same {
            // It is taken at its word: from here on it is asked about as seldom as others.
            let name = partner.clone();
            let note = move |tx: &mut Tx<'_>| tx.note_partner_look(&name, date, None, now);
            self.0.store.solo(note).await?;
        }
        Ok(doubt.is_none() || is_same)
    }

    async fn count(
        &self,
        link: &PartnerLink,
        date: BusinessDate,
        (received, was_there): (Result<Received, FileFault>, bool),
        report: &mut FetchReport,
    ) -> Result<(), FileFault> {
        match received {
            Ok(Received::New(file)) if file.state == PartnerFileState::Accepted => {
                report.accepted += 1;
            }
            Ok(received) => {
                report.refused += u32::from(matches!(received, Received::New(_)));
                if !was_there {
                    self.cry_if_late(&link.partner, date, report).await?;
                }
            }
            Err(FileFault::Store(error)) => return Err(error.into()),
            Err(error) => {
                let partner = &link.partner.name;
                let error = with_causes(&error);
                tracing::error!(%partner, business_date = %date, error, "a partner's file could not be taken over");
                report.failed += 1;
                if !was_there {
                    self.cry_if_late(&link.partner, date, report).await?;
                }
            }
        }
        Ok(())
    }

    /// Calls people, once, about a file that should be there and is not. Where the partner had nothing to
    /// do on the day nobody is called.
    async fn cry_if_late(
        &self,
        partner: &Partner,
        date: BusinessDate,
        report: &mut FetchReport,
    ) -> Result<(), FileFault> {
        let now = self.now();
        if now < self.on_next_day(date, partner.critical_at_s) {
            return Ok(());
        }
        let name = partner.name.clone();
        let read = move |c: &mut _| partner_files::is_alarmed(c, &name, date);
        if self.0.store.read(read).await? || !self.had_flows(partner, date).await? {
            return Ok(());
        }
        let name = partner.name.clone();
        let raise = move |tx: &mut Tx<'_>| tx.raise_partner_alarm(&name, date, now);
        if self.0.store.solo(raise).await? {
            report.alarms += 1;
            self.cry_about_file(
                AlarmLevel::Critical,
                format!(
                    "{} has sent no file for {date} that can be used; the day is not reconciled until it \
                     has (docs/RUNBOOK.md)",
                    partner.name
                ),
            );
        }
        Ok(())
    }

    async fn had_flows(&self, partner: &Partner, date: BusinessDate) -> Result<bool, FileFault> {
        let covers = partner.covers.clone();
        let read = move |c: &mut _| match covers {
            Covers::Adapter(adapter) => {
                let adapters = reconciliations::adapters_of(c, date)?;
                Ok(adapters.iter().any(|one| one == adapter.as_str()))
            }
            Covers::Billers(billers) => {
                let found = reconciliations::billers_of(c, date)?;
                let is_ours = |one: &String| billers.iter().any(|code| code.as_str() == one);
                Ok(found.iter().any(is_ours))
            }
        };
        Ok(self.0.store.scan(read).await?)
    }

    /// Every version of a partner's file for a date.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn partner_files_of(
        &self,
        partner: &PartnerName,
        date: BusinessDate,
    ) -> Result<Vec<PartnerFile>, FileFault> {
        let name = partner.clone();
        let read = move |c: &mut _| partner_files::of(c, &name, date);
        Ok(self.0.store.read(read).await?)
    }
}
