//! Makes two flow files of one day: ours in the sequence of the flow numbers, the bank's shuffled, and a
//! few flows that differ. The same number of flows gives the same bytes.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// One in so many flows is missing on a side; five times as many have another amount.
const ONE_MISSING_IN: u32 = 50_000;
const ONE_OTHER_AMOUNT_IN: u32 = 10_000;
const SEED: u64 = 20_261_122;
const DAY_MICROS: u64 = 86_400_000_000;

/// A flow of the bank's file, small enough that all of them can be shuffled in memory.
#[derive(Clone, Copy)]
struct Theirs {
    number: u32,
    amount_minor: u32,
}

/// Writes `ours.csv` and `theirs.csv` of so many flows.
pub fn write_files(folder: &Path, flows: u32) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut theirs = Vec::new();
    let mut ours = create(folder, "ours.csv")?;
    writeln!(
        ours,
        "flow_no,upstream_ref,order_no,amount_minor,status,finished_at"
    )?;
    for number in 0..flows {
        let amount_minor = random.random_range(100..100_000_u32);
        let flow = Flow::of(number, flows);
        if random.random_ratio(ONE_MISSING_IN - 1, ONE_MISSING_IN) {
            let Flow {
                digits,
                reference,
                time,
            } = &flow;
            let order = format!("{}{:05}", &digits[..19], number % 100_000);
            writeln!(
                ours,
                "{digits},{reference},{order},{amount_minor},SUCCEEDED,{time}"
            )?;
        }
        if random.random_ratio(ONE_MISSING_IN - 1, ONE_MISSING_IN) {
            let is_other = random.random_ratio(1, ONE_OTHER_AMOUNT_IN);
            let amount_minor = amount_minor + u32::from(is_other);
            theirs.push(Theirs {
                number,
                amount_minor,
            });
        }
    }
    ours.into_inner()?.sync_all()?;
    theirs.shuffle(&mut random);
    let mut file = create(folder, "theirs.csv")?;
    writeln!(file, "upstream_ref,flow_no,amount_minor,status,finished_at")?;
    for Theirs {
        number,
        amount_minor,
    } in theirs
    {
        let Flow {
            digits,
            reference,
            time,
        } = Flow::of(number, flows);
        writeln!(file, "{reference},{digits},{amount_minor},1,{time}")?;
    }
    file.into_inner()?.sync_all()?;
    Ok(())
}

fn create(folder: &Path, name: &str) -> anyhow::Result<BufWriter<File>> {
    let file = File::create(folder.join(name))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}

/// What both sides say alike of a flow: they are spread over the day.
struct Flow {
    digits: String,
    reference: String,
    time: String,
}

impl Flow {
    fn of(number: u32, flows: u32) -> Self {
        let micros = DAY_MICROS / u64::from(flows) * u64::from(number);
        let second = micros / 1_000_000;
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        Self {
            digits: format!("20261122{micros:011}{:05}", number % 99_991),
            reference: format!("U{:013}", u64::from(number) * 2_654_435_761 % (1 << 40)),
            time: format!("2026-11-22T{hour:02}:{minute:02}:{:02}+08:00", second % 60),
        }
    }
}
