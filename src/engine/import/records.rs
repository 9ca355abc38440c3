//! Rows as records, and whether records fit together.

use super::cells::{Cells, Named, Reference, Spot};
use super::contracts::{Terms, read_contract};
use super::items::read_item;
use super::regions::read_region;
use super::sheet::{Kind, Problems, Sheet};
use crate::domain::catalogue::{Catalogue, CatalogueParts};
use crate::domain::ids::{AdapterName, BillerCode, ItemCode};
use crate::domain::item::Biller;
use crate::domain::region::RegionCode;
use std::collections::HashMap;

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
    contracts: HashMap<Terms, Spot>,
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
            contracts: HashMap::new(),
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
                Kind::Contract => {
                    let (seen, named) = (&mut self.contracts, &mut self.references);
                    let contract = read_contract(&mut cells, seen, named);
                    self.parts.contracts.extend(contract);
                }
                Kind::Item => {
                    let (seen, named) = (&mut self.items, &mut self.references);
                    let item = read_item(&mut cells, seen, self.adapters, named);
                    self.parts.items.extend(item);
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

fn read_biller(cells: &mut Cells<'_>, seen: &mut HashMap<BillerCode, Spot>) -> Option<Biller> {
    let code: Option<BillerCode> = cells.code("code", "a biller's code");
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
