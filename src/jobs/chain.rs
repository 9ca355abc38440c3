//! Which job comes after which: what is wrong with that is a mistake of the files.

use super::plan::{CatchUp, FileProblem, Plan};
use super::table::JobTable;

/// Everything that is wrong with what the jobs of a table come after: names of no job, circles, and jobs
/// that leave out the dates which are waited for.
pub(super) fn problems(table: &JobTable) -> Vec<FileProblem> {
    let mut found = Vec::new();
    for entry in table.entries() {
        let plan = &entry.plan;
        for (place, before) in plan.after.iter().enumerate() {
            let reason = match table.entry(before) {
                None => Some(format!("after: {}", table.no_such_job(before))),
                Some(other) => leaves_out(plan, before, &other.plan)
                    .or_else(|| circle(table, entry.name, before)),
            };
            found.extend(reason.map(|reason| plan.after_problem(place, reason)));
        }
    }
    found
}

/// A job that runs each date cannot wait for one that leaves dates out.
fn leaves_out(plan: &Plan, before: &str, other: &Plan) -> Option<String> {
    let is_enough = match other.catch_up {
        CatchUp::RunAll => true,
        CatchUp::RunOnce => plan.catch_up == CatchUp::RunOnce,
        CatchUp::Skip => false,
    };
    (!is_enough).then(|| {
        format!(
            "after: {before} has catch_up {}, so it leaves out dates that this job, with {}, would wait for",
            other.catch_up, plan.catch_up
        )
    })
}

/// The way from a job back to itself, if the one before it leads there.
fn circle(table: &JobTable, job: &str, before: &str) -> Option<String> {
    let way = way_to(table, before, job, &mut Vec::new())?;
    let names = [vec![job.to_owned()], way].concat();
    Some(format!("after goes in a circle: {}", names.join(" after ")))
}

fn way_to(table: &JobTable, from: &str, to: &str, seen: &mut Vec<String>) -> Option<Vec<String>> {
    if from == to {
        return Some(vec![to.to_owned()]);
    }
    if seen.iter().any(|name| name == from) {
        return None;
    }
    seen.push(from.to_owned());
    let after = &table.entry(from)?.plan.after;
    after.iter().find_map(|next| {
        let way = way_to(table, next, to, seen)?;
        Some([vec![from.to_owned()], way].concat())
    })
}
