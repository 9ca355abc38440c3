//! Looks for the files that should be there: of each partner, for each closed day that has none yet, some
//! days back. That there is none yet is no fault; that there is none in the morning calls people, once.

use super::receive::Received;
use super::{FileFault, with_causes};
use crate::domain::exception::AlarmLevel;
use crate::domain::partner::{Covers, Partner, PartnerFile, PartnerFileState, PartnerName};
use crate::domain::progress::Progress;
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{Actor, Engine};
use crate::storage::{business_days, partner_files, reconciliations};
use crate::upstream::{Brought, Fetched, PartnerLink, ScratchFile};
use chrono::{Days, NaiveTime, TimeZone};
use serde::Serialize;
use std::io::{Read, Write};
use std::path::Path;

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
            for date in self.dates_of(&link.partner).await? {
                if self.0.stop.is_cancelled() {
                    return Ok(report);
                }
                self.fetch_one(link, date, actor, &mut report).await?;
            }
            progress.at(done, total);
        }
        Ok(report)
    }

    /// The closed days whose file may be looked for by now.
    async fn dates_of(&self, partner: &Partner) -> Result<Vec<BusinessDate>, FileFault> {
        let today = self.0.options.day.date_of(self.now());
        let back = Days::new(u64::from(partner.days_back) + 1);
        let after = today.0.checked_sub_days(back).map(BusinessDate);
        let read = move |c: &mut _| business_days::closed_after(c, after, DAYS_MAX);
        let days = self.0.store.read(read).await?;
        let dates = days.into_iter().map(|day| day.date);
        Ok(dates
            .filter(|date| self.now() >= self.on_next_day(*date, partner.expected_from_s))
            .collect())
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
    ) -> Result<(), FileFault> {
        let name = link.partner.name.clone();
        let read = move |c: &mut _| partner_files::of(c, &name, date);
        let known = self.0.store.read(read).await?;
        let is_there = known
            .iter()
            .any(|file| file.state == PartnerFileState::Accepted);
        let mark = known.last().and_then(|file| file.mark.clone());
        // Who has a file and cannot say whether it is still the same is not asked for it again.
        if let Some(source) = &link.source
            && (!is_there || mark.is_some())
        {
            match source.fetch(date, mark.as_deref()).await {
                Ok(Fetched::File(brought)) => {
                    let received = self.receive(&link.partner.name, date, brought, actor).await;
                    return self.count(link, date, (received, is_there), report).await;
                }
                Ok(Fetched::NotYet | Fetched::Unchanged) => {}
                Err(error) => {
                    let error = with_causes(&error);
                    let partner = &link.partner.name;
                    tracing::warn!(%partner, business_date = %date, error, "a partner's file could not be fetched");
                    report.failed += 1;
                }
            }
        }
        if !is_there {
            report.not_yet += 1;
            self.cry_if_late(&link.partner, date, report).await?;
        }
        Ok(())
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
        if now < self.on_next_day(date, partner.critical_at_s)
            || !self.had_flows(partner, date).await?
        {
            return Ok(());
        }
        let name = partner.name.clone();
        let raise = move |tx: &mut crate::storage::Tx<'_>| tx.raise_partner_alarm(&name, date, now);
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

    /// Takes a file over that somebody brings by hand.
    ///
    /// # Errors
    /// There is no such partner, the day is not closed, or the file cannot be read.
    pub async fn add_partner_file(
        &self,
        (partner, date): (&PartnerName, BusinessDate),
        path: &Path,
        actor: &Actor,
    ) -> Result<Received, FileFault> {
        self.partner(partner)?;
        let brought = {
            let path = path.to_owned();
            super::receive::blocking(move || copy(&path)).await?
        };
        self.receive(partner, date, brought, actor).await
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

/// Copies a file of somebody's into one of ours.
fn copy(path: &Path) -> Result<Brought, FileFault> {
    use sha2::Digest;
    let mut from = std::fs::File::open(path)?;
    let (scratch, mut to) = ScratchFile::try_new()?;
    let (mut hash, mut bytes) = (sha2::Sha256::new(), 0);
    let mut piece = vec![0; 256 * 1_024];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        to.write_all(&piece[..read])?;
        bytes += u64::try_from(read).unwrap_or(0);
    }
    to.flush()?;
    let name = path.file_name().map(|name| name.to_string_lossy());
    Ok(Brought {
        name: name.unwrap_or_default().into_owned(),
        file: scratch,
        sha256: crate::domain::audit::hex(&hash.finalize()),
        bytes,
        mark: None,
    })
}
