//! What can be paid, and where. Open to everybody.

use crate::api::auth::{Principal, Right};
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::api::types::item::{Biller, Item, PayableItems};
use crate::api::types::region::{Region, RegionLevel};
use crate::api::types::scalars::{Date, Degrees};
use crate::api::types::{invalid, parse};
use crate::domain::catalogue::Catalogue;
use crate::domain::ids::ItemCode;
use crate::domain::item;
use crate::domain::refusal::Refusal;
use crate::domain::region::{self, Place, RegionCode};
use crate::domain::time::Instant;
use async_graphql::{Context, Object, Result, SimpleObject};

#[derive(Default)]
pub struct BrowseQuery;

#[Object]
impl BrowseQuery {
    /// The regions of the catalogue by code: of one level, directly below one region, or all.
    #[graphql(complexity = "10 + child_complexity")]
    async fn regions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only regions of this level.")] level: Option<RegionLevel>,
        #[graphql(desc = "Only regions directly below the one of this code.")] parent: Option<
            String,
        >,
    ) -> Result<Vec<Region>> {
        let desk = Desk::open(ctx, Right::Browse)?;
        let parent = parent.map(|code| region_code("parent", &code));
        let parent = parent.transpose().map_err(Problem::from)?;
        let level = level.map(region::RegionLevel::from);
        let catalogue = desk.engine.catalogue();
        let wanted = catalogue.regions().filter(|region| {
            level.is_none_or(|level| region.level == level)
                && parent.is_none_or(|parent| region.code.parent() == Some(parent))
        });
        Ok(wanted.cloned().map(Region).collect())
    }

    /// One region; none where the catalogue has no such code.
    async fn region(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Six digits by GB/T 2260, e.g. `440300`.")] code: String,
    ) -> Result<Option<Region>> {
        let desk = Desk::open(ctx, Right::Browse)?;
        let code = region_code("code", &code).map_err(Problem::from)?;
        Ok(desk.engine.catalogue().region(code).cloned().map(Region))
    }

    /// What can be paid at a place: give a region's code, or latitude and longitude.
    #[graphql(complexity = "10 + child_complexity")]
    async fn payable_items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Six digits by GB/T 2260, e.g. `440305`.")] region: Option<String>,
        #[graphql(desc = "Decimal degrees, north positive.")] latitude: Option<Degrees>,
        #[graphql(desc = "Decimal degrees, east positive.")] longitude: Option<Degrees>,
    ) -> Result<PayableItems> {
        let desk = Desk::open(ctx, Right::Browse)?;
        let found = match (region, latitude, longitude) {
            (Some(code), None, None) => {
                let code = region_code("region", &code).map_err(Problem::from)?;
                desk.engine.payable_in(code)
            }
            (None, Some(latitude), Some(longitude)) => {
                let place = Place::parse(&latitude.0, &longitude.0);
                let place = place.map_err(|_| Problem::from(bad_place()))?;
                desk.engine.payable_at(place)
            }
            _ => Err(invalid(
                "region",
                "give a region, or latitude and longitude together",
            )),
        };
        Ok(PayableItems(found.map_err(Problem::from)?))
    }

    /// One item, whether it can be paid at present or not.
    async fn item(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The item's code.")] code: String,
    ) -> Result<Option<Item>> {
        let desk = Desk::open(ctx, Right::Browse)?;
        let code: ItemCode = parse("code", &code).map_err(Problem::from)?;
        let catalogue = desk.engine.catalogue();
        let item = catalogue.item(&code).cloned();
        Ok(item.map(|item| with_biller(&catalogue, item)))
    }

    /// All billers, by code.
    #[graphql(complexity = "10 + child_complexity")]
    async fn billers(&self, ctx: &Context<'_>) -> Result<Vec<Biller>> {
        let desk = Desk::open(ctx, Right::Browse)?;
        let catalogue = desk.engine.catalogue();
        Ok(catalogue.billers().cloned().map(Biller).collect())
    }

    /// About this server, and who it takes the caller for.
    async fn server_info(&self, ctx: &Context<'_>) -> Result<ServerInfo> {
        let desk = Desk::open(ctx, Right::Browse)?;
        let now = desk.engine.clock().now();
        let caller = match &*desk.caller.principal {
            Principal::Anonymous => "anonymous".to_owned(),
            Principal::Merchant { code, .. } => format!("merchant:{code}"),
            Principal::Operator { name, role } => format!("operator:{name} ({role})"),
        };
        Ok(ServerInfo {
            version: env!("CARGO_PKG_VERSION"),
            time: now,
            business_date: Date(desk.engine.business_day().date_of(now)),
            caller,
        })
    }
}

/// About this server.
#[derive(SimpleObject)]
pub struct ServerInfo {
    /// The version of the program.
    version: &'static str,
    /// Its time.
    time: Instant,
    /// The business date that it is now.
    business_date: Date,
    /// Who it takes the caller for: `anonymous`, `merchant:CODE` or `operator:NAME (ROLE)`.
    caller: String,
}

/// An item with its biller.
pub(super) fn with_biller(catalogue: &Catalogue, item: item::Item) -> Item {
    let biller = catalogue.biller(&item.biller).cloned();
    Item { item, biller }
}

fn region_code(field: &'static str, text: &str) -> Result<RegionCode, Refusal> {
    RegionCode::try_new(text).map_err(|_| {
        let message = format!("{field} has to be six digits by GB/T 2260, such as 310000");
        invalid(field, message)
    })
}

fn bad_place() -> Refusal {
    let message = "latitude has to be decimal degrees within ±90, longitude within ±180, with up \
                   to 15 digits after the point";
    invalid("latitude", message)
}
