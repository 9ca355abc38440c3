//! Reads two files and compares them.

use super::FilesArgs;
use super::report::{FileRead, FilesReport, Written};
use super::shown_progress::ShownProgress;
use crate::domain::audit::hex;
use crate::domain::money::{Currency, Money};
use crate::domain::progress::Progress;
use crate::domain::reconciliation::{
    Asked, Bill, Compared, Edge, Lot, Matching, RESULT_HEAD, Row, RowState, Rules, Side,
    write_result,
};
use crate::domain::time::{BusinessDate, BusinessDay};
use crate::files::profile::TimeFormat;
use crate::files::{
    Expect, Field, Limits, Line, LineStatus, Lines, Plain, PlainError, Profile, Profiles, Slot,
    Verdict, check, profile_by_names, read_plain,
};
use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::Path;

/// More threads than this only wait for each other.
const THREADS_MAX: usize = 8;

/// Compares two files; blocks.
///
/// # Errors
/// A file cannot be read, or is refused with its line and reason; the result cannot be written.
pub fn compare_files(args: &FilesArgs) -> anyhow::Result<FilesReport> {
    let currency = Currency::try_new(&args.currency)?;
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = NonZeroUsize::new(threads.min(THREADS_MAX)).unwrap_or(NonZeroUsize::MIN);
    let rules = Rules {
        tolerance_minor: [(currency.code().to_owned(), args.tolerance_minor)].into(),
        ..Rules::default()
    };
    let mut reading = Reading {
        matching: Matching::new(vec![rules]),
        threads,
        currency,
        date: args.date.map(BusinessDate),
    };
    let ours = reading.read(Side::Ours, &args.ours, args.ours_profile.as_deref())?;
    let theirs = reading.read(Side::Bank, &args.theirs, args.theirs_profile.as_deref())?;
    let compared = {
        let progress = ShownProgress::new("comparing", ours.rows + theirs.rows);
        reading.matching.compare(threads, &progress)?
    };
    let out = args.out.as_deref();
    let written = out.map(|out| write_out(out, &compared)).transpose()?;
    Ok(FilesReport::new(
        [ours, theirs],
        currency,
        compared,
        written,
    ))
}

/// What is needed to read a side.
struct Reading {
    matching: Matching,
    threads: NonZeroUsize,
    currency: Currency,
    date: Option<BusinessDate>,
}

impl Reading {
    /// Reads a file into the comparison. Nothing of it is in there unless all of it is right.
    fn read(&mut self, side: Side, path: &Path, profile: Option<&str>) -> anyhow::Result<FileRead> {
        let name = path.display().to_string();
        let open = || File::open(path).with_context(|| format!("cannot read {name}"));
        let file = open()?;
        let length = file
            .metadata()
            .with_context(|| format!("cannot read {name}"))?;
        if !length.is_file() {
            bail!("{name} is no file");
        }
        let profile = match profile {
            Some(profile) => named_profile(profile)?,
            None => profile_by_names(open()?).map_err(|why| anyhow::anyhow!("{name}: {why}"))?,
        };
        let expect = self.expect(&name, &profile)?;
        let progress = ShownProgress::new(&name, length.len());
        let rows = match self.read_plain(side, &profile, &expect, file, &progress) {
            Ok(Plain::Read(rows)) => rows,
            Ok(Plain::GaveUp) => self
                .read_lines(side, &profile, &expect, (open()?, open()?))
                .map_err(|error| error.context(format!("{name} is refused as a whole")))?,
            Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
        };
        Ok(FileRead { side, name, rows })
    }

    /// The fast way: each thread fills a lot of its own.
    fn read_plain(
        &mut self,
        side: Side,
        profile: &Profile,
        expect: &Expect<'_>,
        file: File,
        progress: &dyn Progress,
    ) -> anyhow::Result<Plain> {
        let lots = (0..self.threads.get()).map(|_| self.matching.lot(side));
        let mut lots = lots.collect::<Result<Vec<_>, _>>()?;
        let read = read_plain(profile, expect, file, &mut lots, take, progress);
        let read = match read {
            Ok(read) => read,
            Err(PlainError::Io(error)) => return Err(error.into()),
            Err(PlainError::Taker(error)) => return Err(error),
        };
        if let Plain::Read(_) = read {
            for lot in lots {
                self.matching.add(lot)?;
            }
        }
        Ok(read)
    }

    /// The way for all files: looked at as a whole, and then read.
    fn read_lines(
        &mut self,
        side: Side,
        profile: &Profile,
        expect: &Expect<'_>,
        (to_check, to_read): (File, File),
    ) -> anyhow::Result<u64> {
        let progress = ShownProgress::new("looking at the whole file", 0);
        let checked = match check(profile, expect, to_check, &progress)? {
            Verdict::Checked(checked) => checked,
            Verdict::Refused(refusal) => return Err(refusal.into()),
        };
        let mut lot = self.matching.lot(side)?;
        let mut lines = Lines::open(profile, expect, &checked, to_read)?;
        while let Some(line) = lines.next()? {
            take(&mut lot, line)?;
        }
        let rows = lot.rows();
        self.matching.add(lot)?;
        Ok(rows)
    }

    fn expect(&self, name: &str, profile: &Profile) -> anyhow::Result<Expect<'static>> {
        let mut lines = profile.head.iter().chain(&profile.trailer);
        let says_date = lines.any(|line| {
            line.slots()
                .any(|slot| matches!(slot, Slot::Date | Slot::BusinessDate))
        });
        let needs_date = says_date
            || profile.has(Field::BusinessDate)
            || profile.times == TimeFormat::MonthFirst;
        let business_date = match self.date {
            Some(date) => date,
            None if needs_date => bail!(
                "files of the profile {} say which date they are for, and nobody said which is \
                 expected of {name}: add --date",
                profile.name
            ),
            None => BusinessDate(chrono::NaiveDate::default()),
        };
        Ok(Expect {
            business_date,
            currency: self.currency,
            zone: BusinessDay::SHANGHAI.zone,
            digest: None,
            limits: Limits::default(),
        })
    }
}

/// A line as a row of the comparison.
fn take(lot: &mut Lot, line: Line<'_>) -> anyhow::Result<()> {
    let row = &line.row;
    let state = match row.status {
        LineStatus::Succeeded => RowState::Succeeded,
        LineStatus::Failed => RowState::Failed,
        LineStatus::Pending => RowState::Pending,
    };
    let line = u32::try_from(line.line).context("a file has at most 4,294,967,295 lines")?;
    let compared = Row {
        kind: Some(row.kind),
        state,
        amount: Money::new(row.amount_minor, row.currency),
        edge: Edge::Far,
        asked: Asked::Bank,
        bill: Bill::Agrees,
        rules: 0,
        line,
    };
    Ok(lot.push(row.flow_no, compared)?)
}

/// A profile by its name, or by its file.
fn named_profile(name: &str) -> anyhow::Result<Profile> {
    let told = |problems: Vec<crate::files::ProfileProblem>| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the profile cannot be used: {}", problems.join("; "))
    };
    let path = Path::new(name);
    if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {name}"))?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy());
        return Profile::parse(&stem.unwrap_or_default(), &text).map_err(told);
    }
    let profiles = Profiles::load([]).map_err(told)?;
    Ok(Profile::clone(&*profiles.get(name)?))
}

/// Writes a line for every flow, to a file of another name that gets its own when it is complete.
fn write_out(path: &Path, compared: &Compared) -> anyhow::Result<Written> {
    let name = path.display().to_string();
    let what = || format!("cannot write {name}");
    let half = path.with_added_extension("part");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&half).with_context(what)?);
    let progress = ShownProgress::new("writing the result", compared.totals.all_flows());
    let (mut line, mut hash, mut flows) = (RESULT_HEAD.as_bytes().to_vec(), Sha256::new(), 0);
    let mut write = |line: &mut Vec<u8>| {
        hash.update(&*line);
        let written = file.write_all(line);
        line.clear();
        written
    };
    write(&mut line).with_context(what)?;
    let each = compared.each(|flow_no, sides, verdict| {
        write_result(&mut line, flow_no, sides, verdict);
        flows += 1;
        if flows % 65_536 == 0 {
            progress.at(flows, None);
        }
        write(&mut line)
    });
    each.with_context(what)?;
    let file = file.into_inner().map_err(|error| error.into_error());
    file.and_then(|file| file.sync_all()).with_context(what)?;
    std::fs::rename(&half, path).with_context(what)?;
    let sha256 = hex(&hash.finalize());
    Ok(Written {
        name,
        flows,
        sha256,
    })
}
