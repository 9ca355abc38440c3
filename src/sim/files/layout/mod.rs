//! How a day looks as bytes: the five layouts of banks and billers, written down here a second time,
//! so that a reader is tried against somebody else's understanding of them.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::plant::Faults;
use super::row::{Row, Status};

mod alipay;
mod paper;
mod payhall_csv;
mod pipe;
mod sums;
mod unionpay_zm;
mod wechat;

pub(super) use paper::sha256;

/// A layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    PayhallCsv,
    Pipe,
    Wechat,
    Alipay,
    UnionpayZm,
}

/// One day, as it is to be written.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    pub partner: &'static str,
    pub is_bank: bool,
    pub date: NaiveDate,
    /// In which times are written, where the layout leaves a choice.
    pub zone: Tz,
    pub version: u32,
    pub rows: &'a [Row],
    pub faults: Faults,
}

impl Format {
    pub const ALL: [Self; 5] = [
        Self::PayhallCsv,
        Self::Pipe,
        Self::Wechat,
        Self::Alipay,
        Self::UnionpayZm,
    ];

    /// As it is written in a query.
    pub fn name(self) -> &'static str {
        match self {
            Self::PayhallCsv => "payhall-csv",
            Self::Pipe => "pipe",
            Self::Wechat => "wechat",
            Self::Alipay => "alipay",
            Self::UnionpayZm => "unionpay-zm",
        }
    }

    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether it has a word for this.
    pub fn has_status(self, status: Status) -> bool {
        match self {
            Self::PayhallCsv | Self::Pipe | Self::UnionpayZm => true,
            Self::Wechat | Self::Alipay => status == Status::Succeeded,
        }
    }

    /// Whether its lines name the bill where a reader looks for it.
    pub fn has_bill(self) -> bool {
        match self {
            Self::PayhallCsv | Self::Pipe | Self::UnionpayZm => true,
            Self::Wechat | Self::Alipay => false,
        }
    }

    /// What the file of a day is called.
    pub fn file_name(self, partner: &str, date: NaiveDate, version: u32) -> String {
        let date = date.format("%Y%m%d");
        match self {
            Self::PayhallCsv => format!("payhall_{partner}_{date}_v{version}.csv"),
            Self::Pipe => format!("{partner}_{date}_{version}.txt"),
            Self::Wechat => format!("{partner}_{date}_{version}.csv"),
            Self::Alipay => format!("{partner}_{date}_{version}.zip"),
            Self::UnionpayZm => format!("INN{date}_{version}ZM_{partner}"),
        }
    }

    /// What HTTP calls the file.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::PayhallCsv | Self::Wechat => "text/csv; charset=utf-8",
            Self::Pipe => "text/plain; charset=utf-8",
            Self::Alipay => "application/zip",
            Self::UnionpayZm => "text/plain; charset=gbk",
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// A value that has no room in the layout.
    pub fn write(self, sheet: &Sheet<'_>) -> Result<Vec<u8>, String> {
        let mut bytes = match self {
            Self::PayhallCsv => payhall_csv::write(sheet),
            Self::Pipe => pipe::write(sheet),
            Self::Wechat => wechat::write(sheet),
            Self::Alipay => alipay::write(sheet),
            Self::UnionpayZm => unionpay_zm::write(sheet)?,
        };
        if let Some(line) = sheet.faults.truncated {
            paper::cut(&mut bytes, line);
        }
        if self == Self::Alipay {
            let name = format!(
                "{}_{}_{}.csv",
                sheet.partner,
                sheet.date.format("%Y%m%d"),
                sheet.version
            );
            return paper::zipped(&[(&name, &bytes)]);
        }
        Ok(bytes)
    }
}

/// What is paid for, as people read it. Traditional characters are in GBK as well.
fn note(biller: &str) -> &'static str {
    match biller {
        "bj-power" => "北京電力 電費",
        "bj-water" => "北京水務 水費",
        "sh-gas" => "上海燃氣 燃氣費",
        "sh-telecom" => "東方電信 話費",
        "sh-school" => "上海 學費 飢饉",
        _ => "",
    }
}

impl Sheet<'_> {
    /// A time on the partner's wall.
    fn local(&self, at: DateTime<Utc>) -> DateTime<Tz> {
        at.with_timezone(&self.zone)
    }

    /// The partner's own number of a line.
    fn reference(&self, row: &Row) -> String {
        self.reference_of(&row.flow_no)
    }

    /// The partner's own number of what has this number at the center.
    fn reference_of(&self, flow_no: &str) -> String {
        let letter = if self.is_bank { 'B' } else { 'C' };
        format!("{letter}{flow_no}")
    }
}
