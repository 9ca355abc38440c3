//! Whether what the night owes a business date is done. A job that looks for work all day long succeeds
//! just as well when there is nothing to do yet; so what waits for it, and who watches over it, look at
//! what it leaves behind.
//!
//! What is done again because a day's count has changed is not asked about here: the date had its turn.

use super::statements::work_of;
use super::{Engine, JobBook, summarise_settlement};
use crate::domain::statement::PartyKind;
use crate::domain::time::BusinessDate;
use crate::storage::{AnyConnection, StoreError};
use crate::storage::{business_days, job_runs, partner_files, reconciliations};

/// How a job stands with a business date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// What it does for the date is there, or the date needs nothing of it.
    Done,
    /// What it does for the date is not there yet, whatever its runs came to.
    Open,
    /// It is done when a run of it has succeeded for the date.
    AsRunsSay,
}

impl Standing {
    fn of(is_done: bool) -> Self {
        match is_done {
            true => Standing::Done,
            false => Standing::Open,
        }
    }
}

/// What there is to say of a date before anything is done about it.
enum Closing {
    Closed,
    Open,
    /// The center has nothing of that date: it began later.
    Never,
}

impl Engine {
    /// Whether a job is done with a business date.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn is_done(
        &self,
        book: &dyn JobBook,
        job: &str,
        date: BusinessDate,
    ) -> Result<bool, StoreError> {
        match book.standing(self, job, date).await? {
            Standing::Done => Ok(true),
            Standing::Open => Ok(false),
            Standing::AsRunsSay => {
                let job = job.to_owned();
                let read = move |c: &mut _| job_runs::has_succeeded(c, &job, date);
                self.0.store.read(read).await
            }
        }
    }

    /// Whether a date is closed.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn closing_of(&self, date: BusinessDate) -> Result<Standing, StoreError> {
        let read = move |c: &mut _| closing(c, date);
        let closing = self.0.store.read(read).await?;
        Ok(Standing::of(!matches!(closing, Closing::Open)))
    }

    /// Whether the statements of one kind of party are made for a date. A center that keeps none owes none.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn statements_of(
        &self,
        kind: PartyKind,
        date: BusinessDate,
    ) -> Result<Standing, StoreError> {
        match self.0.options.statements {
            Some(_) => self.work_about(date, work_of(kind)).await,
            None => Ok(Standing::Done),
        }
    }

    /// Whether it is summed up what is settled for a date.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn settlement_of(&self, date: BusinessDate) -> Result<Standing, StoreError> {
        self.work_about(date, summarise_settlement::WORK).await
    }

    /// Whether a date is reconciled. A center without partners owes no result, and neither does a date
    /// without flows and files.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn reconciling_of(&self, date: BusinessDate) -> Result<Standing, StoreError> {
        if self.0.upstreams.partners().is_empty() {
            return Ok(Standing::Done);
        }
        let read = move |c: &mut _| match closing(c, date)? {
            Closing::Never => Ok(true),
            Closing::Open => Ok(false),
            Closing::Closed => {
                let is_empty = business_days::find(c, date)?.is_some_and(|day| day.flows == 0);
                let has_nothing = is_empty && partner_files::that_count(c, date)?.is_empty();
                Ok(has_nothing || reconciliations::current(c, date)?.is_some())
            }
        };
        Ok(Standing::of(self.0.store.read(read).await?))
    }

    async fn work_about(
        &self,
        date: BusinessDate,
        work: &'static str,
    ) -> Result<Standing, StoreError> {
        let read = move |c: &mut _| match closing(c, date)? {
            Closing::Never => Ok(true),
            Closing::Open => Ok(false),
            Closing::Closed => business_days::is_worked(c, date, work),
        };
        Ok(Standing::of(self.0.store.read(read).await?))
    }
}

/// A date that is not closed will be, unless the center's first date is behind it.
fn closing(c: &mut AnyConnection, date: BusinessDate) -> Result<Closing, StoreError> {
    if business_days::find(c, date)?.is_some() {
        return Ok(Closing::Closed);
    }
    let firsts = [
        business_days::first_flow(c)?,
        business_days::first_closed(c)?,
    ];
    Ok(match firsts.into_iter().flatten().min() {
        Some(first) if date < first => Closing::Never,
        _ => Closing::Open,
    })
}
