//! Looking a bill up at its biller.

use super::browse::with_biller;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::api::types::bill::Bill;
use crate::api::types::parse;
use crate::domain::ids::{BillNo, ItemCode};
use async_graphql::{Context, Object, Result};

#[derive(Default)]
pub struct BillQuery;

#[Object]
impl BillQuery {
    /// The open bill of an item. A number that breaks the item's rule is refused without asking the
    /// biller. There is either a bill or an error that tells why there is none.
    #[graphql(complexity = "25 + child_complexity")]
    async fn bill(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The item's code.")] item: String,
        #[graphql(desc = "The biller's number of the bill, account or meter.")] bill_no: String,
    ) -> Result<Bill> {
        let desk = Desk::open(ctx, Right::Bill)?;
        let item: ItemCode = parse("item", &item).map_err(Problem::from)?;
        let bill_no: BillNo = parse("billNo", &bill_no).map_err(Problem::from)?;
        let found = desk.engine.lookup(&item, &bill_no).await;
        let found = found.map_err(Problem::from)?;
        let item = with_biller(&desk.engine.catalogue(), found.item.clone());
        Ok(Bill::new(found, item))
    }
}
