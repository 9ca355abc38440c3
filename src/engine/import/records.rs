//! Rows as records: what each cell means, and whether records fit together.

use super::sheet::{Kind, Problems, Row, Sheet};
use crate::domain::catalogue::{Catalogue, CatalogueParts};
use crate::domain::ids::{AdapterName, BillerCode, ItemCode, MerchantCode};
use crate::domain::item::{AmountRule, AmountRuleKind, BillNoRule, Biller, Item, ItemMode};
use crate::domain::merchant::Merchant;
use crate::domain::money::{Currency, Money};
use crate::domain::region::{Place, Region, RegionCode, RegionLevel};
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::str::FromStr;

/// A name or hint has at most so many characters.
const TEXT_CHARS_MAX: usize = 200;

/// Where a record stands: file and line.
type Spot = (String, usize);

/// A record that another one names.
enum Named {
    Region(RegionCode),
    Biller(BillerCode),
}

/// Names that are looked up once all files are read.
struct Reference {
    spot: Spot,
    column: &'static str,
    named: Named,
}

/// Reads rows, and gathers the records and what is wrong.
pub(super) struct Reader<'a> {
    known: &'a Catalogue,
    adapters: &'a [AdapterName],
    problems: &'a mut Problems,
    parts: CatalogueParts,
    // A code counts as seen even if its row has a mistake: one mistake is told once.
    regions: HashMap<RegionCode, Spot>,
    billers: HashMap<BillerCode, Spot>,
    items: HashMap<ItemCode, Spot>,
    merchants: HashMap<MerchantCode, Spot>,
    references: Vec<Reference>,
}

impl<'a> Reader<'a> {
    pub fn new(
        known: &'a Catalogue,
        adapters: &'a [AdapterName],
        problems: &'a mut Problems,
    ) -> Self {
        Self {
            known,
            adapters,
            problems,
            parts: CatalogueParts::default(),
            regions: HashMap::new(),
            billers: HashMap::new(),
            items: HashMap::new(),
            merchants: HashMap::new(),
            references: Vec::new(),
        }
    }

    /// Reads the rows of a file.
    pub fn read(&mut self, sheet: &Sheet<'_>) {
        for row in &sheet.rows {
            let mut cells = Cells {
                sheet,
                row,
                problems: &mut *self.problems,
            };
            let kind = cells.raw("kind");
            if kind != sheet.kind.as_str() {
                let reason = format!("{kind:?} in a file of kind {}", sheet.kind.as_str());
                cells.found("kind", reason);
                continue;
            }
            match sheet.kind {
                Kind::Region => {
                    let region = read_region(&mut cells, &mut self.regions, &mut self.references);
                    self.parts.regions.extend(region);
                }
                Kind::Biller => {
                    let biller = read_biller(&mut cells, &mut self.billers);
                    self.parts.billers.extend(biller);
                }
                Kind::Item => {
                    let (seen, named) = (&mut self.items, &mut self.references);
                    let item = read_item(&mut cells, seen, self.adapters, named);
                    self.parts.items.extend(item);
                }
                Kind::Merchant => {
                    let merchant = read_merchant(&mut cells, &mut self.merchants);
                    self.parts.merchants.extend(merchant);
                }
            }
        }
    }

    /// Looks up what the records name, and hands them over.
    pub fn finish(self, with_references: bool) -> CatalogueParts {
        for Reference {
            spot: (file, line),
            column,
            named,
        } in self.references
        {
            let (exists, reason) = match &named {
                Named::Region(code) => (
                    self.regions.contains_key(code) || self.known.region(*code).is_some(),
                    format!("there is no region {code}, neither in these files nor before"),
                ),
                Named::Biller(code) => (
                    self.billers.contains_key(code) || self.known.biller(code).is_some(),
                    format!("there is no biller {code}, neither in these files nor before"),
                ),
            };
            if with_references && !exists {
                self.problems.add(&file, line, Some(column), reason);
            }
        }
        self.parts
    }
}

/// The cells of one row. Each reader of a cell tells what is wrong with it and then gives nothing,
/// so that the other cells of the row are still looked at.
struct Cells<'a> {
    sheet: &'a Sheet<'a>,
    row: &'a Row,
    problems: &'a mut Problems,
}

impl<'a> Cells<'a> {
    fn found(&mut self, column: &str, reason: impl Display) {
        self.problems
            .add(self.sheet.file, self.row.line, Some(column), reason);
    }

    fn spot(&self) -> Spot {
        (self.sheet.file.to_owned(), self.row.line)
    }

    fn raw(&self, column: &str) -> &'a str {
        self.sheet.cell(self.row, column)
    }

    /// A cell that may not be empty.
    fn needed(&mut self, column: &str) -> Option<&'a str> {
        let cell = self.raw(column);
        if cell.is_empty() {
            self.found(column, "the cell is empty");
            return None;
        }
        Some(cell)
    }

    /// A text for people.
    fn text(&mut self, column: &str) -> Option<String> {
        let text = self.needed(column)?;
        if text.trim() != text {
            self.found(column, "there is white space around the text");
            return None;
        }
        if text.chars().count() > TEXT_CHARS_MAX {
            let reason = format!("the text is longer than {TEXT_CHARS_MAX} characters");
            self.found(column, reason);
            return None;
        }
        Some(text.to_owned())
    }

    /// A word or code that its type knows how to read.
    fn word<T>(&mut self, column: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.read(column, str::parse)
    }

    fn read<T, E: Display>(
        &mut self,
        column: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let cell = self.needed(column)?;
        match read(cell) {
            Ok(value) => Some(value),
            Err(error) => {
                self.found(column, error);
                None
            }
        }
    }

    /// Minor units, or nothing where the cell is empty. None where it holds something else.
    fn minor(&mut self, column: &str) -> Option<Option<i64>> {
        if self.raw(column).is_empty() {
            return Some(None);
        }
        self.read(column, Money::parse_minor).map(Some)
    }

    /// Notes where a code stands, and finds a second row with it.
    fn once<C: Eq + Hash + Display>(&mut self, code: C, seen: &mut HashMap<C, Spot>) {
        if let Some((file, line)) = seen.get(&code) {
            let reason = format!("{code} stands on line {line} of {file} already");
            self.found("code", reason);
        } else {
            seen.insert(code, self.spot());
        }
    }
}

fn read_region(
    cells: &mut Cells<'_>,
    seen: &mut HashMap<RegionCode, Spot>,
    references: &mut Vec<Reference>,
) -> Option<Region> {
    let code = cells.read("code", RegionCode::try_new);
    let level: Option<RegionLevel> = cells.word("level");
    let (name_zh, name_en) = (cells.text("name_zh"), cells.text("name_en"));
    let place = read_place(cells, level);
    let code = code?;
    cells.once(code, seen);
    let level = level?;
    check_level(cells, code, level);
    if level == RegionLevel::Prefecture && cells.raw("parent") == code.province().to_string() {
        references.push(Reference {
            spot: cells.spot(),
            column: "parent",
            named: Named::Region(code.province()),
        });
    }
    Some(Region {
        code,
        level,
        name_zh: name_zh?,
        name_en: name_en?,
        place: place?,
    })
}

/// Whether level and parent are those that the digits of the code say.
fn check_level(cells: &mut Cells<'_>, code: RegionCode, level: RegionLevel) {
    let (digits, province) = (code.to_string(), code.province());
    let below = digits.get(2..).unwrap_or_default();
    // Some cities and counties stand directly below their province, under the number 90.
    let (fits, parent, shape) = match level {
        RegionLevel::Province => (below == "0000", String::new(), "end with 0000"),
        RegionLevel::Prefecture => (
            below != "0000" && (below.ends_with("00") || below.starts_with("90")),
            province.to_string(),
            "end with 00 but not 0000, or have 90 in the middle",
        ),
    };
    if !fits {
        let reason = format!("{level} does not fit the code {code}, which would have to {shape}");
        cells.found("level", reason);
    } else if cells.raw("parent") != parent {
        let found = cells.raw("parent");
        let reason = match level {
            RegionLevel::Province => format!("a province has no parent, but here is {found:?}"),
            RegionLevel::Prefecture => {
                format!("the parent of {code} is {parent}, but here is {found:?}")
            }
        };
        cells.found("parent", reason);
    }
}

/// The place of a region; a prefecture has to have one.
fn read_place(cells: &mut Cells<'_>, level: Option<RegionLevel>) -> Option<Option<Place>> {
    let (latitude, longitude) = (cells.raw("latitude"), cells.raw("longitude"));
    match (latitude.is_empty(), longitude.is_empty()) {
        (true, true) if level == Some(RegionLevel::Prefecture) => {
            cells.found("latitude", "a prefecture needs a place");
            None
        }
        (true, true) => Some(None),
        (true, false) => {
            cells.found("latitude", "the cell is empty, but longitude is not");
            None
        }
        (false, true) => {
            cells.found("longitude", "the cell is empty, but latitude is not");
            None
        }
        (false, false) => {
            if let Err(error) = Place::parse(latitude, "0") {
                cells.found("latitude", error);
            }
            if let Err(error) = Place::parse("0", longitude) {
                cells.found("longitude", error);
            }
            Place::parse(latitude, longitude).ok().map(Some)
        }
    }
}

fn read_biller(cells: &mut Cells<'_>, seen: &mut HashMap<BillerCode, Spot>) -> Option<Biller> {
    let code: Option<BillerCode> = cells.word("code");
    let (name_zh, name_en) = (cells.text("name_zh"), cells.text("name_en"));
    let code = code?;
    cells.once(code.clone(), seen);
    if matches!(code.as_str(), "." | "..") {
        cells.found(
            "code",
            "a biller's code is a step of a URL, and this one leads elsewhere",
        );
    }
    Some(Biller {
        code,
        name_zh: name_zh?,
        name_en: name_en?,
    })
}

fn read_merchant(
    cells: &mut Cells<'_>,
    seen: &mut HashMap<MerchantCode, Spot>,
) -> Option<Merchant> {
    let code: Option<MerchantCode> = cells.word("code");
    let (name_zh, name_en) = (cells.text("name_zh"), cells.text("name_en"));
    let (kind, state) = (cells.word("merchant_kind"), cells.word("state"));
    let code = code?;
    cells.once(code.clone(), seen);
    Some(Merchant {
        code,
        name_zh: name_zh?,
        name_en: name_en?,
        kind: kind?,
        state: state?,
    })
}

fn read_item(
    cells: &mut Cells<'_>,
    seen: &mut HashMap<ItemCode, Spot>,
    adapters: &[AdapterName],
    references: &mut Vec<Reference>,
) -> Option<Item> {
    let code: Option<ItemCode> = cells.word("code");
    let biller: Option<BillerCode> = cells.word("biller");
    let category = cells.word("category");
    let (name_zh, name_en) = (cells.text("name_zh"), cells.text("name_en"));
    let mode = cells.word("mode");
    let currency = cells.read("currency", Currency::try_new);
    let amount_rule = read_amount_rule(cells, mode);
    let bill_no_rule = read_bill_no_rule(cells);
    let adapter = read_adapter(cells, adapters);
    let coverage = read_coverage(cells, references);
    let enabled = cells.read("enabled", |word| match word {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    });
    if let Some(biller) = &biller {
        references.push(Reference {
            spot: cells.spot(),
            column: "biller",
            named: Named::Biller(biller.clone()),
        });
    }
    let code = code?;
    cells.once(code.clone(), seen);
    Some(Item {
        code,
        biller: biller?,
        category: category?,
        name_zh: name_zh?,
        name_en: name_en?,
        mode: mode?,
        currency: currency?,
        amount_rule: amount_rule?,
        bill_no_rule: bill_no_rule?,
        adapter: adapter?,
        coverage: coverage?,
        enabled: enabled?,
    })
}

fn read_amount_rule(cells: &mut Cells<'_>, mode: Option<ItemMode>) -> Option<AmountRule> {
    let kind: Option<AmountRuleKind> = cells.word("amount_rule");
    let (min_minor, max_minor) = (cells.minor("amount_min"), cells.minor("amount_max"));
    let rule = AmountRule {
        kind: kind?,
        min_minor: min_minor?,
        max_minor: max_minor?,
    };
    if let Err(reason) = rule.check_shape() {
        cells.found("amount_rule", reason);
        return None;
    }
    if rule.kind == AmountRuleKind::Exact && mode == Some(ItemMode::Direct) {
        let reason = "EXACT compares with the bill, and a DIRECT item has none";
        cells.found("amount_rule", reason);
        return None;
    }
    Some(rule)
}

fn read_bill_no_rule(cells: &mut Cells<'_>) -> Option<BillNoRule> {
    let (hint_zh, hint_en) = (cells.text("hint_zh"), cells.text("hint_en"));
    let pattern = cells.needed("bill_no_pattern")?;
    // Alone first: the rule sets it in brackets, which could close one that the pattern opens.
    let hints = hint_zh.zip(hint_en);
    let (zh, en) = hints.clone().unwrap_or_default();
    let rule = regex::Regex::new(pattern).and_then(|_| BillNoRule::try_new(pattern, &zh, &en));
    match rule {
        Ok(rule) => hints.map(|_| rule),
        Err(error) => {
            let told = error.to_string();
            let told = told.lines().last().unwrap_or_default();
            let why = told.strip_prefix("error: ").unwrap_or(told);
            let reason = format!("{pattern:?} is not a regular expression: {why}");
            cells.found("bill_no_pattern", reason);
            None
        }
    }
}

fn read_adapter(cells: &mut Cells<'_>, adapters: &[AdapterName]) -> Option<AdapterName> {
    let adapter: AdapterName = cells.word("adapter")?;
    if adapters.contains(&adapter) {
        return Some(adapter);
    }
    let known: Vec<&str> = adapters.iter().map(AdapterName::as_str).collect();
    let known = known.join(", ");
    let reason = format!("the settings have no adapter {adapter}; they have: {known}");
    cells.found("adapter", reason);
    None
}

fn read_coverage(
    cells: &mut Cells<'_>,
    references: &mut Vec<Reference>,
) -> Option<Vec<RegionCode>> {
    let mut coverage = Vec::new();
    let mut is_good = true;
    for code in cells.needed("coverage")?.split(';') {
        match RegionCode::try_new(code) {
            Ok(code) if coverage.contains(&code) => {
                cells.found("coverage", format!("{code} stands twice"));
                is_good = false;
            }
            Ok(code) => {
                coverage.push(code);
                references.push(Reference {
                    spot: cells.spot(),
                    column: "coverage",
                    named: Named::Region(code),
                });
            }
            Err(error) => {
                cells.found("coverage", error);
                is_good = false;
            }
        }
    }
    is_good.then_some(coverage)
}
