//! What can be planted in a partner's file, as it is asked for and as it is kept.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::row::{Kind, Row, Status};

/// What is to be planted in the file of one day.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlantsSpec {
    pub partner: String,
    pub date: NaiveDate,
    /// Where the dice start that choose the lines.
    #[serde(default = "one")]
    pub seed: u64,
    /// Lines nearer than this to an edge of the day are taken for EXPECTED, and for nothing else.
    #[serde(default = "half_an_hour")]
    pub edge_s: u32,
    pub plants: Vec<PlantSpec>,
}

fn one<T: From<u8>>() -> T {
    T::from(1)
}

fn half_an_hour() -> u32 {
    1_800
}

/// One class of differences, or one fault of the file.
#[derive(Deserialize)]
#[serde(tag = "class", rename_all = "UPPERCASE", deny_unknown_fields)]
pub(super) enum PlantSpec {
    Long {
        #[serde(default = "one")]
        count: u32,
        #[serde(default)]
        of: Of,
    },
    Short(Lines),
    Amount(Lines),
    /// Another bill than the one that was paid; it is found as STATUS.
    Bill(Lines),
    Status {
        #[serde(default = "one")]
        count: u32,
        #[serde(default)]
        kind: Kind,
        flow_no: Option<String>,
        #[serde(default)]
        status: Status,
    },
    Duplicate {
        #[serde(default = "one")]
        count: u32,
        #[serde(default)]
        kind: Kind,
        flow_no: Option<String>,
        #[serde(default)]
        amount: Again,
    },
    Expected {
        #[serde(default = "one")]
        count: u32,
        #[serde(default)]
        kind: Kind,
        flow_no: Option<String>,
        #[serde(default)]
        to: Neighbour,
    },
    Truncated {
        line: usize,
        until: Option<DateTime<Utc>>,
    },
    Count {
        until: Option<DateTime<Utc>>,
    },
    Sum {
        until: Option<DateTime<Utc>>,
    },
    Digest {
        until: Option<DateTime<Utc>>,
    },
}

/// Which lines: so many by the dice, or the one with this number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lines {
    #[serde(default = "one")]
    pub count: u32,
    #[serde(default)]
    pub kind: Kind,
    pub flow_no: Option<String>,
}

/// Whose payment a line without one is about.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Of {
    /// Nobody's: the number does not exist at the center.
    #[default]
    Nothing,
    /// An order's that exists and was not paid; the line's own number does not exist.
    Unpaid,
}

/// What a repeated line says about the amount.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Again {
    #[default]
    Same,
    Other,
}

/// In whose file a moved line is.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Neighbour {
    #[default]
    Next,
    Previous,
}

/// The classes of what is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Class {
    Long,
    Short,
    Amount,
    Status,
    Duplicate,
    Expected,
    Truncated,
    Count,
    Sum,
    Digest,
}

/// One thing that is wrong in a file on request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plant {
    pub id: u64,
    pub partner: String,
    /// The day in whose file it belongs.
    pub date: NaiveDate,
    pub class: Class,
    /// The number of the line; none for a fault of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_no: Option<String>,
    /// The line as the ledger has it; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<Row>,
    /// The line as the file has it, of a duplicate the second one; none where it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Row>,
    /// In which day's file it is, if it is in another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_on: Option<NaiveDate>,
    /// The line in whose middle a truncated file ends, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// When the corrected file is there, by the world's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Plant {
    /// About nothing yet.
    pub fn new(partner: &str, date: NaiveDate, class: Class) -> Self {
        Self {
            id: 0,
            partner: partner.to_owned(),
            date,
            class,
            flow_no: None,
            truth: None,
            listed: None,
            listed_on: None,
            line: None,
            until: None,
        }
    }

    /// About a line: what it is, and what the file says.
    pub fn about(self, truth: Option<Row>, listed: Option<Row>) -> Self {
        let flow_no = truth.as_ref().or(listed.as_ref());
        Self {
            flow_no: flow_no.map(|row| row.flow_no.clone()),
            truth,
            listed,
            ..self
        }
    }

    /// Whether the line as the ledger has it is missing in the file of its day.
    fn takes_away(&self) -> bool {
        self.class != Class::Duplicate
    }

    /// Whether it is about the file of this day.
    pub fn touches(&self, partner: &str, date: NaiveDate) -> bool {
        self.partner == partner && (self.date == date || self.listed_on == Some(date))
    }

    /// Whether a corrected file has taken the place of the one with this fault.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What is wrong with a file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// The line in whose middle it ends, from 1.
    pub truncated: Option<usize>,
    pub wrong_count: bool,
    pub wrong_sum: bool,
    pub wrong_digest: bool,
}

/// Puts what is planted for one partner into the lines of one of its days, and says what is wrong
/// with the file as a whole.
pub(super) fn lay<'a>(
    rows: &mut Vec<Row>,
    date: NaiveDate,
    plants: impl Iterator<Item = &'a Plant>,
    now: DateTime<Utc>,
) -> Faults {
    let mut faults = Faults::default();
    let mut added = Vec::new();
    let mut gone: HashMap<&str, &Row> = HashMap::new();
    for plant in plants {
        if plant.date == date {
            faults.take(plant, now);
            if plant.takes_away() {
                let truth = plant.truth.as_ref();
                gone.extend(truth.map(|row| (row.flow_no.as_str(), row)));
            }
        }
        if plant.listed_on.unwrap_or(plant.date) == date {
            added.extend(plant.listed.clone());
        }
    }
    rows.retain(|row| {
        gone.get(row.flow_no.as_str())
            .is_none_or(|gone| *gone != row)
    });
    rows.append(&mut added);
    // Stable: what happened at the same moment stays in the order of the ledger.
    rows.sort_by_key(|row| row.at);
    faults
}

impl Faults {
    fn take(&mut self, plant: &Plant, now: DateTime<Utc>) {
        if plant.is_over(now) {
            return;
        }
        match plant.class {
            Class::Truncated => self.truncated = plant.line,
            Class::Count => self.wrong_count = true,
            Class::Sum => self.wrong_sum = true,
            Class::Digest => self.wrong_digest = true,
            _ => {}
        }
    }
}
