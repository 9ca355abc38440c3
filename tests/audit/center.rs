//! A center that writes in one chain and publishes into a folder of its own, and ways to spoil both.

use crate::support::database::TestDatabase;
use crate::support::given;
use crate::support::replica::{MASTER, Manner, Replica, notifier};
use payhall::check::{TrailFault, TrailReport, VerifyOptions, verify};
use payhall::domain::audit::{AuditEntry, AuditRow, hex};
use payhall::domain::ids::MerchantCode;
use payhall::domain::order::{Order, OrderState};
use payhall::engine::{Actor, HeadsReport, samples};
use payhall::output::OutputFolder;
use payhall::storage::{Move, NewOrder, View, walk};
use payhall::trust::Masters;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// The chain that the center writes in.
pub const CHAIN: &str = "made-1";
pub const DAY: Duration = Duration::from_secs(86_400);

pub struct Center {
    pub replica: Replica,
    pub folder: TempDir,
    orders: u64,
    /// Last, so that it goes away after everything that uses it.
    pub database: TestDatabase,
}

impl Center {
    /// A center with merchants and a key of its own; nothing is published yet.
    pub async fn new(database: TestDatabase) -> Self {
        let folder = TempDir::new().unwrap();
        let replica = start(&database, "made", &folder).await;
        samples::bring_all_in(replica.engine.store()).await.unwrap();
        replica.engine.refresh_catalogue().await.unwrap();
        replica.engine.refresh_center_key().await.unwrap();
        Self {
            replica,
            folder,
            orders: 0,
            database,
        }
    }

    /// One with three published days and rows after the last of them.
    pub async fn with_days(database: TestDatabase) -> Self {
        let mut center = Self::new(database).await;
        for _ in 0..3 {
            center.orders(3).await;
            center.publish().await;
            center.replica.clock.advance(DAY);
        }
        center.orders(3).await;
        center
    }

    /// Makes orders and cancels them: two rows each.
    pub async fn orders(&mut self, many: u64) {
        let portal = MerchantCode::try_new("portal").unwrap();
        let engine = &self.replica.engine;
        let version = engine.catalogue().merchant(&portal).unwrap().version;
        for _ in 0..many {
            self.orders += 1;
            let order = given::order(self.orders);
            let new = NewOrder {
                order: order.clone(),
                merchant_version: version,
                audit: given::audit(&order, "CREATED"),
                admission: None,
            };
            engine.store().create(new).await.unwrap();
            engine.store().move_order(cancelled(&order)).await.unwrap();
        }
    }

    /// Publishes the heads, as the job does.
    pub async fn publish(&self) -> HeadsReport {
        let actor = Actor::job("publish_audit_heads");
        self.replica.engine.publish_heads(&actor).await.unwrap()
    }

    /// Another replica on the same database and folder.
    pub async fn another(&self, instance: &str) -> Replica {
        let other = start(&self.database, instance, &self.folder).await;
        other.engine.refresh_center_key().await.unwrap();
        other
    }

    /// What the auditor runs.
    pub fn options(&self) -> VerifyOptions {
        VerifyOptions {
            heads: Some(self.folder.path().to_owned()),
            ..VerifyOptions::new(&self.database.url)
        }
    }

    pub fn verify(&self) -> TrailReport {
        verify(&self.options(), |_, _| ()).unwrap()
    }

    /// Whatever is wrong, as `FAULT chain row` or `FAULT what`.
    pub fn faults(&self) -> Vec<String> {
        names(&self.verify())
    }

    /// Spoils the database.
    pub fn sql(&self, statements: &str) {
        self.database.execute(statements).unwrap();
    }

    /// The rows of the center's chain.
    pub fn rows(&self) -> Vec<AuditRow> {
        let mut view = View::open(&self.database.url).unwrap();
        let rows = walk::chain(view.connection(), CHAIN, 0, 100_000).unwrap();
        rows.into_iter().map(|(_, row)| row.unwrap()).collect()
    }

    /// The files of heads, oldest first.
    pub fn files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The number of the last row that the newest file tells of.
    pub fn published(&self) -> i64 {
        let bytes = std::fs::read(self.files().last().unwrap()).unwrap();
        let file = payhall::domain::audit_heads::read(&bytes).unwrap();
        let mut heads = file.heads.streams.iter();
        heads.find(|head| head.stream == CHAIN).unwrap().seq
    }

    /// Bytes as the database's language writes them.
    pub fn literal(&self, bytes: &[u8]) -> String {
        match self.database.kind {
            "sqlite" => format!("x'{}'", hex(bytes)),
            _ => format!("'\\x{}'::bytea", hex(bytes)),
        }
    }
}

async fn start(database: &TestDatabase, instance: &str, folder: &TempDir) -> Replica {
    let manner = Manner {
        masters: Masters::read([MASTER]).unwrap(),
        notifier: notifier(),
        writers: 1,
        output: Some(OutputFolder::new(folder.path())),
        statements: None,
        closing: Default::default(),
    };
    Replica::start_as(database, instance, given::at(0), manner).await
}

fn cancelled(order: &Order) -> Move {
    let step = given::step(order, OrderState::Closed, 1);
    let audit = AuditEntry {
        before: Some("CREATED".to_owned()),
        detail: Some("the customer went away".to_owned()),
        request_id: Some("r-7".to_owned()),
        ..given::audit(&step.after, "CANCELLED")
    };
    Move {
        audits: vec![audit],
        ..step
    }
}

/// The findings of a report, each in a few words.
pub fn names(report: &TrailReport) -> Vec<String> {
    let name = |finding: &payhall::check::TrailFinding| {
        let place = match (&finding.stream, finding.seq, &finding.file) {
            (Some(stream), Some(seq), _) => format!("{stream} {seq}"),
            (_, _, Some(file)) => file.clone(),
            _ => finding.subject.clone().unwrap_or_default(),
        };
        format!("{} {place}", finding.fault)
    };
    report.findings.iter().map(name).collect()
}

/// A finding about a row of the center's chain, in a few words.
pub fn at(fault: TrailFault, seq: i64) -> String {
    format!("{fault} {CHAIN} {seq}")
}

/// Runs a test on a center with published days, on every kind of database that is there.
pub async fn on_each<F: AsyncFn(Center)>(test: F) {
    for database in TestDatabase::all() {
        let center = Center::with_days(database).await;
        let report = center.verify();
        assert!(report.is_clean(), "{}: {report}", center.database.kind);
        test(center).await;
    }
}
