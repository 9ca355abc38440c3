//! What the engine and the API know of the jobs. The room of the jobs stands above the engine, so what
//! there is to know is handed in.

use super::{Engine, Standing};
use crate::domain::job::JobInfo;
use crate::domain::time::{BusinessDate, BusinessDay, Instant};
use crate::storage::StoreError;
use chrono::TimeDelta;
use futures_util::future::BoxFuture;

/// The jobs that there are.
pub trait JobBook: Send + Sync {
    /// Every job and when it is due next, by name.
    fn jobs(&self, now: Instant) -> Vec<JobInfo>;

    /// The first due time of a job after an instant; none where there is no such job, or it is never due
    /// again.
    fn next_due(&self, job: &str, after: Instant) -> Option<Instant>;

    /// How a job stands with a business date; of one that is not there, its runs say it.
    fn standing(
        &self,
        engine: &Engine,
        job: &str,
        date: BusinessDate,
    ) -> BoxFuture<'static, Result<Standing, StoreError>>;

    /// From when on a job can do what a business date needs of it, at the earliest; of one that is not there,
    /// from the end of the date on.
    fn ready_from(&self, engine: &Engine, _job: &str, date: BusinessDate) -> Instant {
        engine.business_day().end_of(date)
    }
}

/// The first due time at which a job works on a business date: the first between the end of the date and
/// the end of the next one. None where it does not work on that date.
pub(super) fn due_of(
    book: &dyn JobBook,
    day: BusinessDay,
    job: &str,
    date: BusinessDate,
) -> Option<Instant> {
    let (begin, end) = (day.end_of(date), day.end_of(date.next()));
    let due = book.next_due(job, begin - TimeDelta::microseconds(1));
    due.filter(|due| *due < end)
}
