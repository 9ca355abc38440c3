//! Writes the files of one statement: the rows come from the database on one thread, become bytes there, and
//! leave for the store from another. Nothing is held but a few parts.

use crate::domain::contract::{Contracts, FeeTooLarge};
use crate::domain::flow::{FlowKind, FlowState};
use crate::domain::progress::{Progress, Silent};
use crate::domain::statement::{DayFlow, StatementKey, StatementSum};
use crate::domain::time::Instant;
use crate::files::{
    Field, Head, LineStatus, Profile, Row, StatementWriter, Totals, WorkbookWriter, WriteError,
    Written,
};
use crate::output::{Objects, ObjectsError, PART_BYTES, Upload};
use crate::storage::day_flows::{self, DayFlows, Interrupted};
use crate::storage::{AnyConnection, Store, StoreError};
use chrono_tz::Tz;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use tokio::sync::mpsc;

/// How many parts may wait for the store.
const PARTS_WAITING: usize = 2;

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A row has no place in the file, or the place of the file failed.
    #[error("the file cannot be written")]
    Write(#[from] WriteError),
    /// A fee leaves 64 bits.
    #[error("flow {0}")]
    Fee(String, #[source] FeeTooLarge),
    /// The flows cannot be read.
    #[error("the flows cannot be read")]
    Store(#[from] StoreError),
    /// The store of files failed.
    #[error("the store of files failed")]
    Objects(#[from] ObjectsError),
    /// The thread that wrote it is gone.
    #[error("the writing ended early")]
    Gone,
}

impl From<Interrupted<RenderError>> for RenderError {
    fn from(interrupted: Interrupted<RenderError>) -> Self {
        match interrupted {
            Interrupted::Store(error) => RenderError::Store(error),
            Interrupted::Taker(error) => error,
        }
    }
}

/// The rows between two words of how far it is.
const TOLD_EVERY: u64 = 8_192;

/// Tells how many rows of a run of the job are written.
#[derive(Clone)]
pub(super) struct Watch {
    pub progress: Arc<dyn Progress>,
    /// The rows of the statements before this one.
    pub before: u64,
    /// Those of the whole run, as far as it is known.
    pub total: Option<u64>,
}

impl Watch {
    /// Nobody wants to know.
    pub fn silent() -> Self {
        Self {
            progress: Arc::new(Silent),
            before: 0,
            total: None,
        }
    }

    fn at(&self, rows: u64) {
        self.progress.at(self.before + rows, self.total);
    }
}

/// What is to be written.
#[derive(Clone)]
pub(super) struct Rendering {
    pub key: StatementKey,
    pub version: i32,
    pub profile: Arc<Profile>,
    pub party_name: String,
    pub zone: Tz,
    pub contracts: Arc<Contracts>,
    /// The names of items, for people, where the profile asks for them.
    pub notes: Arc<HashMap<String, String>>,
    /// Whether a workbook is made beside the file.
    pub workbook: Workbook,
    /// Who wants to know how far it is.
    pub watch: Watch,
}

/// Whether a workbook is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workbook {
    /// It is.
    Beside,
    /// It is not.
    None,
}

/// What was written.
pub(super) struct Rendered {
    pub written: Written,
    pub workbook: Option<(Written, Vec<u8>)>,
    pub sums: Vec<StatementSum>,
}

impl Rendering {
    pub fn head<'a>(&'a self, totals: Option<&'a Totals>) -> Head<'a> {
        Head {
            business_date: self.key.date,
            party: &self.key.party.code,
            party_name: &self.party_name,
            version: u32::try_from(self.version).unwrap_or(0),
            currency: self.key.currency,
            zone: self.zone,
            totals,
        }
    }

    /// Writes into nothing, to see what the bytes would be.
    pub async fn measure(self, store: &Store) -> Result<Rendered, RenderError> {
        let this = Self {
            workbook: Workbook::None,
            ..self
        };
        let write = move |c: &mut AnyConnection| Ok(this.write(c, std::io::sink()));
        store.scan(write).await?
    }

    /// Writes into the store. The upload still has to be given its name.
    pub async fn upload(
        self,
        store: &Store,
        objects: &Objects,
    ) -> Result<(Rendered, Upload), RenderError> {
        let (sender, mut parts) = mpsc::channel(PARTS_WAITING);
        let write = move |c: &mut AnyConnection| {
            let mut out = Parts {
                buffer: Vec::with_capacity(PART_BYTES),
                sender,
            };
            let rendered = self.write(c, &mut out);
            let flushed = rendered.and_then(|rendered| {
                out.send().map_err(WriteError::from)?;
                Ok(rendered)
            });
            Ok(flushed)
        };
        let mut upload = objects.begin();
        let carry = async {
            let mut failed = None;
            while let Some(part) = parts.recv().await {
                if let Err(error) = upload.put(part).await {
                    failed = Some(error);
                    break;
                }
            }
            // The writer sees at its next part that nobody takes it.
            drop(parts);
            failed
        };
        let (rendered, failed) = tokio::join!(store.scan(write), carry);
        match (rendered, failed) {
            (_, Some(error)) => {
                upload.abort().await;
                Err(error.into())
            }
            (Ok(Ok(rendered)), None) => Ok((rendered, upload)),
            (Ok(Err(error)), None) => {
                upload.abort().await;
                Err(error)
            }
            (Err(error), None) => {
                upload.abort().await;
                Err(error.into())
            }
        }
    }

    fn write(&self, c: &mut AnyConnection, out: impl Write) -> Result<Rendered, RenderError> {
        let totals = match self.profile.counts_first() {
            true => Some(self.count(c)?),
            false => None,
        };
        let head = self.head(totals.as_ref());
        let mut file = StatementWriter::begin(&self.profile, &head, out)?;
        let mut workbook = match self.workbook {
            Workbook::Beside => Some(WorkbookWriter::begin(&self.profile, &head)?),
            Workbook::None => None,
        };
        let (mut sums, mut rows) = (Sums::default(), 0_u64);
        self.each(c, &mut |row, fee_minor| {
            rows += 1;
            if rows.is_multiple_of(TOLD_EVERY) {
                self.watch.at(rows);
            }
            sums.add(row, fee_minor);
            if let Some(workbook) = &mut workbook {
                workbook.row(row)?;
            }
            Ok(file.row(row)?)
        })?;
        let (written, _) = file.finish()?;
        let workbook = workbook.map(|workbook| {
            let mut bytes = std::io::Cursor::new(Vec::new());
            let (written, _) = workbook.finish(&mut bytes)?;
            Ok::<_, WriteError>((written, bytes.into_inner()))
        });
        Ok(Rendered {
            written,
            workbook: workbook.transpose()?,
            sums: sums.finish(),
        })
    }

    /// What the rows add up to, for profiles that say so before the first one.
    fn count(&self, c: &mut AnyConnection) -> Result<Totals, RenderError> {
        let mut totals = Totals::default();
        let mut rows = 0;
        self.each(c, &mut |row, _| {
            rows += 1;
            let added = totals.add_row(row);
            added.map_err(|source| WriteError::Sum { row: rows, source }.into())
        })?;
        Ok(totals)
    }

    /// Hands out the rows, each with what its fee counts for.
    fn each(
        &self,
        c: &mut AnyConnection,
        take: &mut dyn FnMut(&Row<'_>, i64) -> Result<(), RenderError>,
    ) -> Result<(), RenderError> {
        let wants_notes = self.profile.has(Field::Note);
        let flows = DayFlows::Of(self.key.clone());
        day_flows::each(c, &flows, &mut |flow| {
            let fee_minor = self.fee(flow)?;
            let mut row = self.row(flow, fee_minor);
            if wants_notes {
                row.note = self.notes.get(flow.item).map_or("", String::as_str);
            }
            take(&row, fee_minor)
        })?;
        Ok(())
    }

    /// What a flow's fee counts for: what moved no money costs nothing, and a reversal gives back.
    fn fee(&self, flow: &DayFlow<'_>) -> Result<i64, RenderError> {
        if flow.outcome() != FlowState::Succeeded {
            return Ok(0);
        }
        let between = (flow.merchant, flow.biller);
        let day = flow.paid_on(self.key.date);
        let fee = self
            .contracts
            .fee(between, flow.currency, day, flow.amount_minor)
            .map_err(|error| RenderError::Fee(flow.flow_no.to_owned(), error))?;
        Ok(match flow.kind {
            FlowKind::Payment => fee,
            FlowKind::Reversal => -fee,
        })
    }

    fn row<'a>(&self, flow: &DayFlow<'a>, fee_minor: i64) -> Row<'a> {
        let moved = match (flow.outcome(), flow.kind) {
            (FlowState::Succeeded, FlowKind::Payment) => flow.amount_minor,
            (FlowState::Succeeded, FlowKind::Reversal) => -flow.amount_minor,
            _ => 0,
        };
        let status = match flow.outcome() {
            FlowState::Succeeded | FlowState::Reversed => LineStatus::Succeeded,
            FlowState::Failed => LineStatus::Failed,
            FlowState::Started => LineStatus::Pending,
        };
        Row {
            flow_no: flow.flow_no,
            order_no: flow.order_no,
            payment_flow_no: flow.payment_flow_no,
            upstream_ref: flow.upstream_ref,
            request_no: flow.request_no,
            merchant: flow.merchant,
            biller: flow.biller,
            item: flow.item,
            bill_no: flow.bill_no,
            note: "",
            kind: flow.kind,
            status,
            amount_minor: flow.amount_minor,
            fee_minor: Some(fee_minor),
            net_minor: Some(moved - fee_minor),
            currency: flow.currency,
            business_date: Some(self.key.date),
            started_at: Instant::from_timestamp_micros(flow.started_at),
            concluded_at: flow.concluded_at.and_then(Instant::from_timestamp_micros),
        }
    }
}

/// The sums of a statement, by kind and outcome.
#[derive(Default)]
struct Sums([[(i64, i64, i64); 2]; 2]);

impl Sums {
    fn add(&mut self, row: &Row<'_>, fee_minor: i64) {
        let moved = usize::from(row.status == LineStatus::Succeeded);
        let (flows, amount, fee) = &mut self.0[row.kind as usize][moved];
        *flows += 1;
        // The writer refuses sums that leave 64 bits.
        *amount = amount.saturating_add(row.amount_minor);
        *fee = fee.saturating_add(fee_minor);
    }

    fn finish(self) -> Vec<StatementSum> {
        let mut sums = Vec::new();
        for kind in FlowKind::ALL {
            for (moved, state) in [(1, FlowState::Succeeded), (0, FlowState::Failed)] {
                let (flows, amount_minor, fee_minor) = self.0[*kind as usize][moved];
                if flows > 0 {
                    sums.push(StatementSum {
                        kind: *kind,
                        state,
                        flows,
                        amount_minor,
                        fee_minor,
                    });
                }
            }
        }
        sums
    }
}

/// Takes bytes and hands them on in parts.
struct Parts {
    buffer: Vec<u8>,
    sender: mpsc::Sender<Vec<u8>>,
}

impl Parts {
    fn send(&mut self) -> std::io::Result<()> {
        let part = std::mem::replace(&mut self.buffer, Vec::with_capacity(PART_BYTES));
        let sent = self.sender.blocking_send(part);
        sent.map_err(|_| std::io::Error::other("the store of files takes no more"))
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = PART_BYTES - self.buffer.len();
        let taken = bytes.len().min(room);
        self.buffer.extend_from_slice(&bytes[..taken]);
        if taken == room {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
