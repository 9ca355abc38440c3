//! What lies beside a statement, for programs: what the file is, what it adds up to, and its digest. The
//! bytes are canonical, so that a signature over them proves the file.

use super::row::{LineStatus, Totals};
use super::statement::{Head, Written};
use crate::domain::audit::hex;
use crate::domain::audit_heads::Head as AuditHead;
use crate::domain::flow::FlowKind;
use crate::domain::money::Currency;
use crate::domain::time::{BusinessDate, Instant};
use serde::{Deserialize, Serialize};

/// What the text says that it is.
const KIND: &str = "payhall-statement";
/// The version of the format.
const FORMAT: u32 = 1;

/// The facts about a statement. Amounts are texts, as wherever JSON is read by programs that know no
/// whole numbers of 64 bits. The fields stand in alphabetical order, here and in the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// The end of the audit chain when the statement was made; none where nothing was audited yet.
    pub audit_head: Option<ChainEnd>,
    /// The day.
    pub business_date: BusinessDate,
    /// How long the file is.
    pub bytes: u64,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The instant at which the day ended.
    pub cutoff_at: Instant,
    /// The sum of the fees, in minor units.
    #[serde(with = "as_text")]
    pub fee_minor: i64,
    /// The file's name.
    pub file: String,
    format: u32,
    kind: String,
    /// The sum of the net amounts, in minor units.
    #[serde(with = "as_text")]
    pub net_minor: i64,
    /// The merchant's or biller's code.
    pub party: String,
    /// How the file is laid out.
    pub profile: String,
    /// How many rows it has.
    pub rows: u64,
    /// The file's SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
    /// What the rows add up to, by kind and status; those that no row has are left out.
    pub sums: Vec<Sum>,
    /// Counts the issues of the file for this day, from 1.
    pub version: u32,
}

/// The end of an audit chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainEnd {
    /// The hash of its last row, in lower-case hexadecimal digits.
    pub hash: String,
    /// The number of that row.
    pub seq: i64,
    /// The chain's name.
    pub stream: String,
}

impl From<AuditHead> for ChainEnd {
    fn from(AuditHead { stream, seq, hash }: AuditHead) -> Self {
        Self { hash, seq, stream }
    }
}

/// What the rows of one kind and status add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    /// Their amounts' sum, in minor units.
    #[serde(with = "as_text")]
    pub amount_minor: i64,
    /// Payments or reversals.
    pub kind: FlowKind,
    /// How many.
    pub rows: u64,
    /// What became of them.
    pub status: LineStatus,
}

/// A whole number as a text.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(number: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Sidecar {
    /// The facts about a statement that was just written.
    pub fn new(
        head: &Head<'_>,
        (profile, file): (&str, &str),
        written: &Written,
        cutoff_at: Instant,
        audit_head: Option<AuditHead>,
    ) -> Self {
        let Totals {
            fee_minor,
            net_minor,
            ..
        } = written.totals;
        let sums = written.totals.each().map(|(kind, status, tally)| Sum {
            amount_minor: tally.amount_minor,
            kind,
            rows: tally.rows,
            status,
        });
        Self {
            audit_head: audit_head.map(ChainEnd::from),
            business_date: head.business_date,
            bytes: written.bytes,
            currency: head.currency,
            cutoff_at,
            fee_minor,
            file: file.to_owned(),
            format: FORMAT,
            kind: KIND.to_owned(),
            net_minor,
            party: head.party.to_owned(),
            profile: profile.to_owned(),
            rows: written.totals.rows(),
            sha256: hex(&written.sha256),
            sums: sums.collect(),
            version: head.version,
        }
    }

    /// The bytes to sign and to publish: JSON on one line without white space, its fields in alphabetical
    /// order, and a line feed.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text.into_bytes()
    }

    /// Reads what [`Sidecar::canonical_bytes`] wrote.
    ///
    /// # Errors
    /// A sentence about what is wrong with the bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if (read.kind.as_str(), read.format) != (KIND, FORMAT) {
            return Err(format!("this is no {KIND} of format {FORMAT}"));
        }
        if read.canonical_bytes() != bytes {
            return Err("the bytes are not the canonical ones".to_owned());
        }
        Ok(read)
    }
}
