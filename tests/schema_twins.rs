//! The schema of the database itself: SQLite's twin is PostgreSQL's, diesel's list is both, words in
//! a CHECK are the domain's words, money and instants are whole numbers, and ten programs that start
//! at once migrate once.

mod support;

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection};
use payhall::domain::case::{BatchState, CaseKind, CaseState, Decision};
use payhall::domain::exception::{AlarmLevel, Phase};
use payhall::domain::flow::{AttemptOutcome, FlowKind, FlowState, Operation};
use payhall::domain::item::{AmountRuleKind, ItemMode};
use payhall::domain::job::JobRunState;
use payhall::domain::key::{Algorithm, KeyOrigin, KeyState};
use payhall::domain::merchant::{CheckItem, MerchantKind, MerchantState, Stage};
use payhall::domain::notification::{GiveUpReason, NotificationState, TryOutcome};
use payhall::domain::operator::Role;
use payhall::domain::order::OrderState;
use payhall::domain::partner::{PartnerFileState, PartnerSide};
use payhall::domain::reconciled::RunState;
use payhall::domain::region::RegionLevel;
use payhall::domain::statement::PartyKind;
use payhall::storage::Store;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use support::database::TestDatabase;

/// Tables that keep account of the migrations themselves.
const OF_MIGRATIONS: [&str; 2] = ["__diesel_schema_migrations", "migration_guard"];

/// A column as its table declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    kind: String,
    may_be_null: bool,
}

/// A table as the database describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Table {
    columns: Vec<Column>,
    primary_key: Vec<String>,
    /// By name: whether it is unique, its columns, and what it is narrowed to.
    indexes: BTreeMap<String, (bool, String, String)>,
    /// Words that a column may hold.
    words: BTreeMap<String, Vec<String>>,
    /// Every other rule.
    rules: BTreeSet<String>,
    /// Columns that refer to another table.
    references: BTreeSet<String>,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

/// A database that was just migrated.
fn migrated(database: TestDatabase) -> TestDatabase {
    Store::migrate(&database.options("a")).unwrap();
    database
}

/// Rows of one text column named `line`, split at `|`.
fn ask(database: &TestDatabase, question: &str) -> Vec<Vec<String>> {
    let query = diesel::sql_query(question);
    let lines: Vec<Line> = match database.url.strip_prefix("sqlite:") {
        Some(path) => query
            .load(&mut SqliteConnection::establish(path).unwrap())
            .unwrap(),
        None => query
            .load(&mut PgConnection::establish(&database.url).unwrap())
            .unwrap(),
    };
    let split = |row: Line| row.line.split('|').map(str::to_owned).collect();
    lines.into_iter().map(split).collect()
}

fn describe(database: &TestDatabase) -> BTreeMap<String, Table> {
    let is_sqlite = database.url.starts_with("sqlite:");
    let names = if is_sqlite {
        "SELECT name AS line FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    } else {
        "SELECT tablename::text AS line FROM pg_tables WHERE schemaname = 'public'"
    };
    let names = ask(database, names).into_iter().map(|row| row[0].clone());
    let ours = names.filter(|name| !OF_MIGRATIONS.contains(&name.as_str()));
    let table = |name: &str| {
        if is_sqlite {
            sqlite(database, name)
        } else {
            postgres(database, name)
        }
    };
    ours.map(|name| (name.clone(), table(&name))).collect()
}

fn sqlite(database: &TestDatabase, name: &str) -> Table {
    let mut table = Table::default();
    let columns = format!(
        "SELECT name || '|' || type || '|' || \"notnull\" || '|' || pk AS line \
         FROM pragma_table_info('{name}') ORDER BY cid"
    );
    for row in ask(database, &columns) {
        let is_key = row[3] != "0";
        if is_key {
            table.primary_key.push(row[0].clone());
        }
        table.columns.push(Column {
            name: row[0].clone(),
            kind: row[1].clone(),
            may_be_null: row[2] == "0" && !is_key,
        });
    }
    let indexes = format!(
        "SELECT l.name || '|' || l.\"unique\" || '|' || \
         (SELECT group_concat(name, ', ') FROM pragma_index_info(l.name)) || '|' || m.sql AS line \
         FROM pragma_index_list('{name}') l JOIN sqlite_master m ON m.name = l.name \
         WHERE l.origin = 'c'"
    );
    for row in ask(database, &indexes) {
        let narrowed = row[3].split_once(" WHERE ").map_or("", |(_, to)| to);
        let index = (row[1] == "1", row[2].clone(), plain(narrowed));
        table.indexes.insert(row[0].clone(), index);
    }
    let text = format!("SELECT sql AS line FROM sqlite_master WHERE name = '{name}'");
    let text = ask(database, &text).concat().join("|");
    for rule in rules_in(&text) {
        table.take_rule(&rule);
    }
    let references = format!(
        "SELECT \"from\" || '|' || \"table\" || '|' || \"to\" AS line \
         FROM pragma_foreign_key_list('{name}')"
    );
    table.references = ask(database, &references)
        .into_iter()
        .map(|row| row.join(" "))
        .collect();
    table
}

fn postgres(database: &TestDatabase, name: &str) -> Table {
    let mut table = Table::default();
    let columns = format!(
        "SELECT column_name || '|' || data_type || '|' || is_nullable AS line \
         FROM information_schema.columns WHERE table_name = '{name}' ORDER BY ordinal_position"
    );
    for row in ask(database, &columns) {
        table.columns.push(Column {
            name: row[0].clone(),
            kind: match row[1].as_str() {
                "bytea" => "BLOB".to_owned(),
                other => other.to_uppercase(),
            },
            may_be_null: row[2] == "YES",
        });
    }
    let indexes = format!(
        "SELECT indexname || '|' || indexdef AS line FROM pg_indexes WHERE tablename = '{name}'"
    );
    for row in ask(database, &indexes) {
        let (head, narrowed) = row[1].split_once(" WHERE ").unwrap_or((&row[1], ""));
        let columns = between(head, '(', ')').to_owned();
        if row[0].ends_with("_pkey") {
            table.primary_key = columns.split(", ").map(str::to_owned).collect();
            continue;
        }
        let index = (head.contains("UNIQUE"), columns, plain(narrowed));
        table.indexes.insert(row[0].clone(), index);
    }
    let constraints = format!(
        "SELECT contype::text || '|' || pg_get_constraintdef(oid) AS line FROM pg_constraint \
         WHERE conrelid = '{name}'::regclass AND contype IN ('c', 'f')"
    );
    for row in ask(database, &constraints) {
        let says = row[1..].join("|");
        if row[0] == "c" {
            table.take_rule(says.trim_start_matches("CHECK "));
        } else {
            let (from, to) = says.split_once(" REFERENCES ").unwrap();
            let from = between(from, '(', ')');
            table.references.insert(
                format!("{from} {}", to.replace(['(', ')'], " ").trim()).replace("  ", " "),
            );
        }
    }
    table
}

impl Table {
    /// Sorts a rule: words that a column may hold, or anything else.
    fn take_rule(&mut self, rule: &str) {
        let list = Regex::new(r"^(\w+) IN (.+)$").unwrap();
        let rule = plain(rule);
        match list.captures(&rule) {
            Some(found) => {
                let words = Regex::new("'([^']*)'").unwrap();
                let words = words
                    .captures_iter(&found[2])
                    .map(|word| word[1].to_owned())
                    .collect();
                self.words.insert(found[1].to_owned(), words);
            }
            None => drop(self.rules.insert(rule)),
        }
    }

    fn column(&self, name: &str) -> &Column {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .expect("the column is there")
    }
}

/// What stands between the first and the last of these.
fn between(text: &str, open: char, close: char) -> &str {
    let begin = text.find(open).map_or(0, |place| place + 1);
    &text[begin..text.rfind(close).unwrap_or(text.len())]
}

/// A condition without what only one database writes: casts, brackets, its way to say IN.
fn plain(condition: &str) -> String {
    let condition = condition
        .replace("::text", "")
        .replace("= ANY", "IN")
        .replace("ARRAY", "");
    let condition = condition
        .replace(['(', ')', '[', ']'], " ")
        .replace(',', " ");
    condition.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The conditions of every CHECK in a CREATE TABLE.
fn rules_in(text: &str) -> Vec<String> {
    let mut rules = Vec::new();
    for (place, _) in text.match_indices("CHECK (") {
        let inside = &text[place + "CHECK (".len()..];
        let mut depth = 1;
        let end = inside.find(|c| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        rules.push(inside[..end.expect("it is closed")].to_owned());
    }
    rules
}

/// Both descriptions, where there is a PostgreSQL server.
fn both() -> Option<(BTreeMap<String, Table>, BTreeMap<String, Table>)> {
    let postgres = migrated(TestDatabase::postgres()?);
    let sqlite = migrated(TestDatabase::sqlite());
    Some((describe(&sqlite), describe(&postgres)))
}

#[test]
fn the_twins_are_twins() {
    let Some((sqlite, postgres)) = both() else {
        return;
    };
    assert_eq!(
        sqlite.keys().collect::<Vec<_>>(),
        postgres.keys().collect::<Vec<_>>()
    );
    for (name, table) in &sqlite {
        assert_eq!(
            table, &postgres[name],
            "table {name}: SQLite first, PostgreSQL second"
        );
    }
    // So that an empty description does not count as a likeness.
    let orders = &sqlite["orders"];
    assert_eq!(orders.columns.len(), 17);
    let open = &orders.indexes["orders_open_payment"];
    assert_eq!((open.0, open.1.as_str()), (true, "biller, bill_no"));
    assert!(open.2.starts_with("state IN 'PAYING'"), "{open:?}");
    assert!(
        orders.rules.contains("amount_minor > 0"),
        "{:?}",
        orders.rules
    );
    assert!(sqlite["items"].references.contains("biller billers code"));
}

#[test]
fn money_and_instants_are_whole_numbers() {
    for database in TestDatabase::all() {
        let kind = database.kind;
        for (name, table) in describe(&migrated(database)) {
            for column in &table.columns {
                let what = format!("{kind}: {name}.{}", column.name);
                let is_money = column.name.ends_with("_minor");
                let is_instant = column.name.ends_with("_at") || column.name.ends_with("_until");
                if is_money || is_instant || column.name == "at" {
                    assert_eq!(column.kind, "BIGINT", "{what}");
                }
                if is_money && ["orders", "flows"].contains(&name.as_str()) {
                    assert!(!column.may_be_null, "{what}");
                }
            }
        }
    }
}

#[test]
fn words_in_a_check_are_the_words_of_the_domain() {
    macro_rules! words {
        ($($table:literal . $column:literal: $name:ty,)+) => {
            [$((($table, $column), <$name>::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),)+]
        };
    }
    let domain = words! {
        "merchants"."kind": MerchantKind,
        "merchants"."state": MerchantState,
        "merchant_revisions"."stage": Stage,
        "merchant_checks"."item": CheckItem,
        "regions"."level": RegionLevel,
        "items"."mode": ItemMode,
        "items"."amount_rule": AmountRuleKind,
        "orders"."state": OrderState,
        "flows"."kind": FlowKind,
        "flows"."state": FlowState,
        "attempts"."operation": Operation,
        "attempts"."outcome": AttemptOutcome,
        "exceptions"."phase": Phase,
        "exceptions"."alarm": AlarmLevel,
        "cases"."kind": CaseKind,
        "cases"."state": CaseState,
        "cases"."decision": Decision,
        "job_runs"."state": JobRunState,
        "keys"."algorithm": Algorithm,
        "keys"."origin": KeyOrigin,
        "keys"."state": KeyState,
        "operators"."role": Role,
        "notifications"."state": NotificationState,
        "notifications"."reason": GiveUpReason,
        "notification_tries"."outcome": TryOutcome,
        "partner_files"."side": PartnerSide,
        "partner_files"."state": PartnerFileState,
        "reconciliations"."state": RunState,
        "case_batches"."state": BatchState,
        "business_day_sums"."kind": FlowKind,
        "business_day_sums"."state": FlowState,
        "statements"."party_kind": PartyKind,
        "statement_sums"."kind": FlowKind,
    };
    let at_rest = OrderState::TERMINAL.map(OrderState::as_str).to_vec();
    let mut domain = domain.to_vec();
    domain.push((("notifications", "order_state"), at_rest));
    let concluded = [FlowState::Succeeded, FlowState::Failed].map(FlowState::as_str);
    domain.push((("statement_sums", "state"), concluded.to_vec()));
    for database in TestDatabase::all() {
        let kind = database.kind;
        let tables = describe(&migrated(database));
        let mut checked = 0;
        for ((table, column), words) in &domain {
            let found = tables[*table].words.get(*column);
            let found = found.unwrap_or_else(|| panic!("{kind}: {table}.{column} has no list"));
            assert_eq!(found, words, "{kind}: {table}.{column}");
            checked += 1;
        }
        let listed: usize = tables.values().map(|table| table.words.len()).sum();
        assert_eq!(
            listed, checked,
            "{kind}: a list of words that is not compared here"
        );
    }
    // What the unique index calls open, the domain calls open.
    let tables = describe(&migrated(TestDatabase::sqlite()));
    let open: Vec<String> = OrderState::OPEN_PAYMENT
        .iter()
        .map(|s| format!("'{s}'"))
        .collect();
    let narrowed = format!("state IN {}", open.join(" "));
    assert_eq!(tables["orders"].indexes["orders_open_payment"].2, narrowed);
}

/// What diesel believes, read from its list.
fn believed() -> BTreeMap<String, Table> {
    let files = ["schema.rs", "schema_night.rs"].map(|file| {
        let path = format!("{}/src/storage/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    });
    let text = files.concat();
    let head = Regex::new(r"(?s)diesel::table! \{\s*(\w+) \(([\w, ]+)\) \{(.*?)\n    \}").unwrap();
    let line = Regex::new(r"(\w+) -> (Nullable<)?(\w+)>?,").unwrap();
    let mut tables = BTreeMap::new();
    for found in head.captures_iter(&text) {
        let mut table = Table {
            primary_key: found[2].split(", ").map(str::to_owned).collect(),
            ..Table::default()
        };
        for column in line.captures_iter(&found[3]) {
            let kind = match &column[3] {
                "Bool" => "BOOLEAN".to_owned(),
                "Binary" => "BLOB".to_owned(),
                other => other.to_uppercase(),
            };
            table.columns.push(Column {
                name: column[1].to_owned(),
                kind,
                may_be_null: column.get(2).is_some(),
            });
        }
        tables.insert(found[1].to_owned(), table);
    }
    tables
}

#[test]
fn diesel_s_list_is_what_the_database_has() {
    let believed = believed();
    for database in TestDatabase::all() {
        let kind = database.kind;
        let tables = describe(&migrated(database));
        assert_eq!(
            tables.keys().collect::<Vec<_>>(),
            believed.keys().collect::<Vec<_>>(),
            "{kind}"
        );
        for (name, table) in &tables {
            assert_eq!(table.columns, believed[name].columns, "{kind}: {name}");
            assert_eq!(
                table.primary_key, believed[name].primary_key,
                "{kind}: {name}"
            );
        }
        assert!(tables["orders"].column("reason").may_be_null);
    }
}

#[test]
fn ten_programs_that_start_at_once_migrate_once() {
    for database in TestDatabase::all() {
        let start = Barrier::new(10);
        let run: Vec<Vec<String>> = std::thread::scope(|scope| {
            let programs: Vec<_> = (0..10)
                .map(|n| {
                    let options = database.options(&format!("program-{n}"));
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        Store::migrate(&options)
                    })
                })
                .collect();
            let ended = programs.into_iter().map(|program| program.join().unwrap());
            ended
                .collect::<Result<_, _>>()
                .unwrap_or_else(|error| panic!("{}: {error}", database.kind))
        });
        let migrations =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite"));
        let ran: Vec<&String> = run.iter().flatten().collect();
        assert_eq!(
            ran.len(),
            migrations.unwrap().count(),
            "{}: {ran:?}",
            database.kind
        );
        assert_eq!(
            Store::pending_migrations(&database.options("a")).unwrap(),
            Vec::<String>::new()
        );
    }
}

#[test]
fn what_goes_up_comes_down() {
    for database in TestDatabase::all() {
        let database = migrated(database);
        let before = describe(&database);
        let folder = format!("migrations/{}", database.kind);
        let mut steps: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        steps.sort();
        let run = |path: std::path::PathBuf| {
            database
                .execute(&std::fs::read_to_string(&path).unwrap())
                .unwrap();
        };
        steps
            .iter()
            .rev()
            .for_each(|step| run(step.join("down.sql")));
        assert!(
            describe(&database).is_empty(),
            "{}: something is left",
            database.kind
        );
        steps.iter().for_each(|step| run(step.join("up.sql")));
        assert_eq!(describe(&database), before, "{}", database.kind);
    }
}

#[test]
fn a_twin_that_differs_is_seen() {
    let as_it_is = describe(&migrated(TestDatabase::sqlite()));
    for change in [
        "DROP INDEX orders_bill",
        "CREATE INDEX another ON flows (adapter)",
        "DROP INDEX orders_open_payment; CREATE UNIQUE INDEX orders_open_payment ON orders (biller, bill_no)",
        "DROP INDEX flows_step; CREATE INDEX flows_step ON flows (order_no, kind, step)",
        "ALTER TABLE cases ADD COLUMN mood TEXT",
        "ALTER TABLE orders ADD COLUMN fee_minor BIGINT NOT NULL DEFAULT 0 CHECK (fee_minor >= 0)",
        "CREATE TABLE diaries (line TEXT)",
    ] {
        let changed = migrated(TestDatabase::sqlite());
        changed.execute(change).unwrap();
        assert_ne!(describe(&changed), as_it_is, "{change}");
    }
}
