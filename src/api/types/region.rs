//! Regions.

use super::scalars::Degrees;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::domain::region;
use async_graphql::{Context, Description, Enum, Object, Result};

/// The level of a region in the tree.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "region::RegionLevel")]
pub enum RegionLevel {
    /// A province, an autonomous region or a municipality.
    Province,
    /// A prefecture or a city of that level.
    Prefecture,
}

/// A region (地区) by its GB/T 2260 code.
#[derive(Description)]
pub struct Region(pub region::Region);

#[Object(use_type_description)]
impl Region {
    /// Six digits by GB/T 2260, e.g. `440300`.
    async fn code(&self) -> String {
        self.0.code.to_string()
    }

    /// Where in the tree it stands.
    async fn level(&self) -> RegionLevel {
        self.0.level.into()
    }

    /// The official Chinese name.
    async fn name_zh(&self) -> &str {
        &self.0.name_zh
    }

    /// The usual English name.
    async fn name_en(&self) -> &str {
        &self.0.name_en
    }

    /// The region above it; none for a province.
    async fn parent(&self, ctx: &Context<'_>) -> Result<Option<Region>> {
        let desk = Desk::open(ctx, Right::Browse)?;
        let parent = self.0.code.parent();
        let catalogue = desk.engine.catalogue();
        let parent = parent.and_then(|code| catalogue.region(code)).cloned();
        Ok(parent.map(Region))
    }

    /// Latitude of its seat in decimal degrees, where the catalogue has it.
    async fn latitude(&self) -> Option<Degrees> {
        self.0
            .place
            .map(|place| Degrees::from_micro(place.latitude_e6))
    }

    /// Longitude of its seat in decimal degrees, where the catalogue has it.
    async fn longitude(&self) -> Option<Degrees> {
        self.0
            .place
            .map(|place| Degrees::from_micro(place.longitude_e6))
    }
}
