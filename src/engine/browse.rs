//! What can be paid where the user is.

use super::Engine;
use crate::domain::item::{Biller, Category, Item};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::region::{Place, Region, RegionCode};

/// The items of one category.
#[derive(Clone, Debug)]
pub struct CategoryGroup {
    /// The category.
    pub category: Category,
    /// Its items, each with who is paid.
    pub items: Vec<(Item, Option<Biller>)>,
}

/// What can be paid in a region.
#[derive(Clone, Debug)]
pub struct PayableItems {
    /// The region that was asked about, or the nearest one.
    pub region: Region,
    /// Its items by category.
    pub groups: Vec<CategoryGroup>,
}

impl Engine {
    /// What can be paid in a region: its own items and those of its ancestors. A county that the
    /// catalogue does not list is answered by its prefecture, or its province.
    pub fn payable_in(&self, code: RegionCode) -> Result<PayableItems, Refusal> {
        let catalogue = self.catalogue();
        let region = code
            .with_ancestors()
            .into_iter()
            .find_map(|code| catalogue.region(code));
        let region = region.ok_or_else(|| {
            let message =
                format!("there is no region {code}; six digits by GB/T 2260 are expected");
            Refusal::new(RefusalCode::RegionNotFound, message).on("region")
        })?;
        Ok(self.payable(region.clone(), code))
    }

    /// What can be paid in the prefecture or municipality that is nearest to a place.
    pub fn payable_at(&self, place: Place) -> Result<PayableItems, Refusal> {
        let catalogue = self.catalogue();
        let region = catalogue.nearest(place).ok_or_else(|| {
            let message = "the catalogue holds no places; import the regions first";
            Refusal::new(RefusalCode::RegionNotFound, message).on("place")
        })?;
        Ok(self.payable(region.clone(), region.code))
    }

    fn payable(&self, region: Region, code: RegionCode) -> PayableItems {
        let catalogue = self.catalogue();
        let with_biller = |item: &Item| (item.clone(), catalogue.biller(&item.biller).cloned());
        let groups = catalogue
            .payable(code)
            .into_iter()
            .map(|(category, items)| CategoryGroup {
                category,
                items: items.into_iter().map(with_biller).collect(),
            })
            .collect();
        PayableItems { region, groups }
    }
}
