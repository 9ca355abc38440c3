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

#[cfg(test)]
mod tests {
    use super::super::JobTable;

    fn file(catch_up: &str, after: &str) -> String {
        format!(
            "schedule = \"0 0 2 * * *\"\nzone = \"UTC\"\ncatch_up = {catch_up:?}\non_time_s = 60\n\
             lease_s = 60\ntimeout_s = 600\nwhy = \"a test\"\nafter = [{after}]\n"
        )
    }

    /// What is said of a folder with these job files.
    fn said(files: &[(&str, &str, &str)]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        for (job, catch_up, after) in files {
            let path = folder.path().join(format!("{job}.toml"));
            std::fs::write(path, file(catch_up, after)).unwrap();
        }
        let error = JobTable::load(Some(folder.path())).err()?;
        let folder = format!("{}/", folder.path().display());
        Some(error.to_string().replace(&folder, ""))
    }

    #[test]
    fn a_chain_is_good() {
        let chain = [
            ("expire_keys", "RUN_ALL", ""),
            ("expire_orders", "RUN_ALL", "\"expire_keys\""),
            (
                "poll_exceptions",
                "RUN_ONCE",
                "\"expire_keys\", \"expire_orders\"",
            ),
        ];
        assert_eq!(said(&chain), None);
    }

    #[test]
    fn names_of_no_job_are_told_with_their_line() {
        let after = "\n\"expire_orders\",\n\"nobody\"";
        let told = said(&[("expire_keys", "RUN_ALL", after)]).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        for (line, wanted) in lines.iter().zip([
            "expire_keys.toml:9: after: expire_orders has catch_up SKIP",
            "expire_keys.toml:10: after: there is no job \"nobody\"; there are ",
        ]) {
            assert!(line.starts_with(wanted), "{told}");
        }
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn circles_are_told_wherever_they_are_entered() {
        let told = said(&[("expire_keys", "RUN_ALL", "\"expire_keys\"")]).unwrap();
        let own = "expire_keys.toml:8: after goes in a circle: expire_keys after expire_keys";
        assert_eq!(told, own);
        let circle = [
            ("expire_keys", "RUN_ALL", "\"expire_orders\""),
            ("expire_orders", "RUN_ALL", "\"poll_exceptions\""),
            ("poll_exceptions", "RUN_ALL", "\"expire_keys\""),
            ("archive_records", "RUN_ALL", "\"expire_keys\""),
        ];
        let told = said(&circle).unwrap();
        assert_eq!(told.lines().count(), 3, "{told}");
        let first = "expire_keys.toml:8: after goes in a circle: expire_keys after expire_orders \
                     after poll_exceptions after expire_keys";
        assert_eq!(told.lines().next(), Some(first));
    }

    #[test]
    fn who_runs_each_date_waits_for_nobody_who_leaves_dates_out() {
        for (own, other, is_good) in [
            ("RUN_ALL", "RUN_ALL", true),
            ("RUN_ALL", "RUN_ONCE", false),
            ("RUN_ALL", "SKIP", false),
            ("RUN_ONCE", "RUN_ALL", true),
            ("RUN_ONCE", "RUN_ONCE", true),
            ("RUN_ONCE", "SKIP", false),
        ] {
            let files = [
                ("expire_keys", own, "\"expire_orders\""),
                ("expire_orders", other, ""),
            ];
            assert_eq!(said(&files).is_none(), is_good, "{own} after {other}");
        }
    }
}
