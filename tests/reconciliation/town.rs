//! A bank with nights: a partner for the bank and one for a biller, a folder that both drop their files
//! into, and lines that say what the test wants them to say.

use crate::support::bank::{Deed, Night, TestBank};
use crate::support::database::TestDatabase;
use payhall::domain::calendar::Calendar;
use payhall::domain::flow::{Flow, FlowKind, FlowState, Operation};
use payhall::domain::money::Currency;
use payhall::domain::order::Order;
use payhall::domain::partner::{PartnerFile, PartnerName};
use payhall::domain::progress::Silent;
use payhall::domain::reconciled::{Discrepancy, ReconciliationRun};
use payhall::domain::reconciliation::{Class, Rule};
use payhall::domain::time::{BusinessDate, Instant};
use payhall::engine::{Actor, Clock, DayOutcome, FetchReport, Mode, ReconcileReport, Reconciled};
use payhall::files::{Head, LineStatus, Profiles, Row, StatementWriter, Totals};
use payhall::output::Objects;
use payhall::storage::{discrepancies, flows, orders, reconciliations};
use payhall::upstream::{PartnerLink, PartnerSettings, PartnerSource, Partners};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// The bank's partner and the biller's.
pub const BANK: &str = "first-bank";
pub const TELECOM: &str = "telecom";
/// A bank of another adapter, where there is one.
pub const SECOND: &str = "second-bank";

/// A line of a file.
#[derive(Clone, Debug)]
pub struct Said {
    pub flow_no: String,
    pub kind: FlowKind,
    pub status: LineStatus,
    pub amount_minor: i64,
    pub at: Instant,
    /// The bill that it names; empty where it names none.
    pub bill_no: String,
}

pub struct Town {
    pub bank: TestBank,
    pub folder: TempDir,
}

/// The date on which a test bank opens.
pub fn today() -> BusinessDate {
    date("2026-11-22")
}

pub fn date(text: &str) -> BusinessDate {
    BusinessDate(text.parse().unwrap())
}

pub fn name(text: &str) -> PartnerName {
    PartnerName::try_new(text).unwrap()
}

/// The partners of a town.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Banks {
    One,
    Two,
}

pub fn partners(folder: &std::path::Path, banks: Banks, more: &str) -> Partners {
    let folder = folder.join("in");
    std::fs::create_dir_all(&folder).unwrap();
    let settings = |whose: &str, file: &str| -> PartnerSettings {
        let text = format!(
            "{whose}\nprofile = \"payhall-csv\"\nquiet_ms = 1\nfolder = {folder:?}\n\
             file_name = \"{file}-{{date}}.csv\""
        );
        let settings: PartnerSettings = toml::from_str(&text).unwrap();
        assert_eq!(settings.check(file), []);
        settings
    };
    let mut all = BTreeMap::from([
        (
            name(BANK),
            settings(
                &format!("side = \"BANK\"\nadapter = \"bank\"\n{more}"),
                BANK,
            ),
        ),
        (
            name(TELECOM),
            settings("side = \"BILLER\"\nbillers = [\"telecom\"]", TELECOM),
        ),
    ]);
    if banks == Banks::Two {
        let second = settings("side = \"BANK\"\nadapter = \"rural\"", SECOND);
        all.insert(name(SECOND), second);
    }
    Partners::from_settings(&all).unwrap()
}

impl Town {
    pub fn new(database: TestDatabase) -> Self {
        Self::with_calendar(database, "date,kind,name\n")
    }

    pub fn with_calendar(database: TestDatabase, calendar: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let partners = partners(folder.path(), Banks::One, "");
        Self::with(database, calendar, (folder, partners))
    }

    /// A town whose bank has more settings.
    pub fn with_settings(database: TestDatabase, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let partners = partners(folder.path(), Banks::One, more);
        Self::with(database, "date,kind,name\n", (folder, partners))
    }

    /// A town whose bank's files come from somewhere else.
    pub fn with_source(database: TestDatabase, source: Arc<dyn PartnerSource>) -> Self {
        let folder = TempDir::new().unwrap();
        let partners = partners(folder.path(), Banks::One, "");
        let links = partners.iter().map(|link| PartnerLink {
            partner: link.partner.clone(),
            source: match link.partner.name.as_str() {
                BANK => Some(source.clone()),
                _ => link.source.clone(),
            },
        });
        let partners = Partners::new(links);
        Self::with(database, "date,kind,name\n", (folder, partners))
    }

    /// A town with a second bank, which carries nothing of what [`Town::paid`] pays.
    pub fn with_two_banks(database: TestDatabase) -> Self {
        let folder = TempDir::new().unwrap();
        let partners = partners(folder.path(), Banks::Two, "");
        Self::with(database, "date,kind,name\n", (folder, partners))
    }

    fn with(database: TestDatabase, calendar: &str, from: (TempDir, Partners)) -> Self {
        let (folder, partners) = from;
        let night = Night {
            partners,
            objects: Some(Objects::folder(&folder.path().join("files")).unwrap()),
            calendar: Calendar::read(calendar).unwrap(),
        };
        Self {
            bank: TestBank::with_night(database, night),
            folder,
        }
    }

    /// So many topups that were paid, each of a bill of its own that begins with these digits.
    pub fn paid(&self, first: u32, many: u32) -> Vec<Order> {
        let orders = (first..first + many).map(|n| {
            let order = self
                .bank
                .create("topup", &format!("138{n:08}"), 1_000 + i64::from(n));
            self.bank.confirm(&order.order_no).unwrap();
            order
        });
        orders.collect()
    }

    /// An order that the bank has paid, and never says anything about.
    pub fn in_the_dark(&self, bill: &str) -> Order {
        let order = self.bank.create("topup", bill, 5_000);
        self.bank.leave_in_doubt(&order);
        self.bank
            .far
            .tell_for_ever(Operation::Query, bill, Deed::Unknown);
        order
    }

    pub fn now(&self) -> Instant {
        self.bank.clock.now()
    }

    /// The number of an order's payment.
    pub fn payment(&self, order: &Order) -> String {
        self.bank.payment(&order.order_no).flow_no.to_string()
    }

    /// What an honest bank lists of our flows of a date.
    pub fn honest(&self, date: BusinessDate) -> Vec<Said> {
        let page = orders::Page {
            after: None,
            before: None,
            limit: 10_000,
        };
        let filter = orders::Filter {
            from: Some(date),
            to: Some(date),
            ..Default::default()
        };
        let mut found = self.bank.read(move |c| flows::list(c, &filter, &page));
        found.retain(|flow| flow.adapter.as_str() == "bank");
        found.sort_by(|a, b| a.flow_no.cmp(&b.flow_no));
        let ours = self
            .bank
            .read(move |c| reconciliations::flows_of(c, date, None, 10_000));
        let bills = ours.into_iter().map(|flow| (flow.flow_no, flow.bill_no));
        let bills: BTreeMap<String, String> = bills.collect();
        let mut lines: Vec<Said> = found.iter().filter_map(said).collect();
        for line in &mut lines {
            line.bill_no.clone_from(&bills[&line.flow_no]);
        }
        lines
    }

    /// Drops a file of a partner, in place of the one before.
    pub fn drop_file(&self, partner: &str, date: BusinessDate, lines: &[Said]) {
        let bytes = file_of(date, lines);
        std::fs::write(self.inbox(partner, date), bytes).unwrap();
    }

    pub fn inbox(&self, partner: &str, date: BusinessDate) -> PathBuf {
        self.folder.path().join(format!("in/{partner}-{date}.csv"))
    }

    /// Both partners are honest about a date, but for what a test changes.
    pub fn send(
        &self,
        date: BusinessDate,
        bank: impl FnOnce(&mut Vec<Said>),
        biller: impl FnOnce(&mut Vec<Said>),
    ) {
        let mut lines = self.honest(date);
        bank(&mut lines);
        self.drop_file(BANK, date, &lines);
        let mut lines = self.honest(date);
        biller(&mut lines);
        self.drop_file(TELECOM, date, &lines);
    }

    pub fn send_honest(&self, date: BusinessDate) {
        self.send(date, |_| {}, |_| {});
    }

    /// Goes to half past two in the night after a date.
    pub fn go_to_night_after(&self, date: BusinessDate) {
        self.go_to(date, "18:30:00");
    }

    /// Goes to a time (UTC) of a date.
    pub fn go_to(&self, date: BusinessDate, time: &str) {
        let at: Instant = format!("{date}T{time}Z").parse().unwrap();
        self.bank.settle_down();
        self.bank.clock.advance_to(at);
        self.bank.settle_down();
    }

    pub fn close(&self) {
        let actor = Actor::job("close_day");
        let closed = self.bank.engine().close_days(&actor, &Silent);
        self.bank.wait(closed).unwrap();
    }

    pub fn fetch(&self) -> FetchReport {
        let actor = Actor::job("fetch_partner_files");
        let fetched = self.bank.engine().fetch_partner_files(&actor, &Silent);
        self.bank.wait(fetched).unwrap()
    }

    pub fn reconcile(&self) -> ReconcileReport {
        let actor = Actor::job("reconcile_day");
        let done = self.bank.engine().reconcile_days(&actor, &Silent);
        self.bank.wait(done).unwrap()
    }

    /// The whole night after a date.
    pub fn night(&self, date: BusinessDate) -> ReconcileReport {
        self.go_to_night_after(date);
        self.close();
        let fetched = self.fetch();
        assert_eq!((fetched.refused, fetched.failed), (0, 0), "{fetched:?}");
        self.reconcile()
    }

    pub fn outcome(&self, date: BusinessDate, mode: Mode) -> DayOutcome {
        let actor = Actor::system();
        let done = self
            .bank
            .engine()
            .reconcile_day(date, mode, &actor, &Silent);
        self.bank.wait(done).unwrap()
    }

    pub fn dry_run(&self, date: BusinessDate) -> Reconciled {
        match self.outcome(date, Mode::DryRun) {
            DayOutcome::Shown(shown) => *shown,
            other => panic!("{other:?}"),
        }
    }

    pub fn run_of(&self, date: BusinessDate) -> ReconciliationRun {
        let run = self.bank.read(move |c| reconciliations::current(c, date));
        run.expect("the day is reconciled")
    }

    pub fn versions(&self, date: BusinessDate) -> usize {
        self.bank.read(move |c| reconciliations::of(c, date)).len()
    }

    /// What the result of a date found, by number.
    pub fn differences(&self, date: BusinessDate) -> BTreeMap<String, Discrepancy> {
        let run = self.run_of(date).run_id;
        let found = self.bank.read(move |c| discrepancies::of_run(c, run));
        let by_number = found.into_iter().map(|one| (one.flow_no.clone(), one));
        by_number.collect()
    }

    /// Classes and rules of a date, by number.
    pub fn classes(&self, date: BusinessDate) -> BTreeMap<String, (Class, Rule)> {
        let found = self.differences(date).into_values();
        found
            .map(|one| (one.flow_no, (one.class, one.rule)))
            .collect()
    }

    pub fn files(&self, partner: &str, date: BusinessDate) -> Vec<PartnerFile> {
        let partner = name(partner);
        let files = self.bank.engine().partner_files_of(&partner, date);
        self.bank.wait(files).unwrap()
    }

    /// Where it keeps files, unless a test says otherwise.
    pub fn objects(&self) -> Objects {
        Objects::folder(&self.folder.path().join("files")).unwrap()
    }
}

fn said(flow: &Flow) -> Option<Said> {
    let status = match flow.state {
        FlowState::Succeeded | FlowState::Reversed => LineStatus::Succeeded,
        FlowState::Failed | FlowState::Started => return None,
    };
    Some(Said {
        flow_no: flow.flow_no.to_string(),
        kind: flow.kind,
        status,
        amount_minor: flow.amount.amount_minor,
        at: flow.concluded_at.unwrap_or(flow.started_at),
        bill_no: String::new(),
    })
}

/// A line about a number.
pub fn line(flow_no: &str, amount_minor: i64, at: Instant) -> Said {
    Said {
        flow_no: flow_no.to_owned(),
        kind: FlowKind::Payment,
        status: LineStatus::Succeeded,
        amount_minor,
        at,
        bill_no: String::new(),
    }
}

/// The bytes of a file with these lines.
pub fn file_of(date: BusinessDate, lines: &[Said]) -> Vec<u8> {
    let profiles = Profiles::load([]).unwrap();
    let profile = profiles.get("payhall-csv").unwrap();
    let rows = lines.iter().map(|said| Row {
        flow_no: &said.flow_no,
        bill_no: &said.bill_no,
        kind: said.kind,
        status: said.status,
        concluded_at: Some(said.at),
        started_at: Some(said.at),
        fee_minor: Some(0),
        net_minor: Some(said.amount_minor),
        ..Row::payment(&said.flow_no, said.amount_minor, Currency::CNY)
    });
    let rows: Vec<Row<'_>> = rows.collect();
    let mut totals = Totals::default();
    for row in &rows {
        totals.add_row(row).unwrap();
    }
    let head = Head {
        business_date: date,
        party: "payhall",
        party_name: "payhall",
        version: 1,
        currency: Currency::CNY,
        zone: chrono_tz::Tz::Asia__Shanghai,
        totals: Some(&totals),
    };
    let mut writer = StatementWriter::begin(&profile, &head, Vec::new()).unwrap();
    for row in &rows {
        writer.row(row).unwrap();
    }
    writer.finish().unwrap().1
}
