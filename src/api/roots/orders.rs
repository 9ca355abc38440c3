//! Reading orders, flows and timelines.

use crate::api::auth::{Principal, Right};
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::api::paging::{FlowConnection, Kind, OrderConnection, PageArgs, cost};
use crate::api::types::flow::{Flow, FlowFilter};
use crate::api::types::order::{Order, OrderFilter};
use crate::api::types::timeline::OrderTimeline;
use crate::api::types::{invalid, parse};
use crate::domain::ids::{FlowNo, MerchantCode, OrderNo, RequestNo};
use async_graphql::{Context, Object, Result};

#[derive(Default)]
pub struct OrdersQuery;

#[Object]
impl OrdersQuery {
    /// One order; none where there is no such number or it is not the caller's.
    #[graphql(complexity = "2 + child_complexity")]
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "24 digits.")] order_no: String,
    ) -> Result<Option<Order>> {
        let desk = Desk::open(ctx, Right::OrderRead)?;
        let order_no: OrderNo = parse("orderNo", &order_no).map_err(Problem::from)?;
        let found = desk.engine.order(&order_no, &desk.scope()?).await;
        Ok(found.map_err(Problem::from)?.map(Order))
    }

    /// The order that a merchant's request number made: for a caller that did not hear the answer to
    /// `orderCreate`.
    #[graphql(complexity = "2 + child_complexity")]
    async fn order_by_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The merchant's own number of the request.")] request_no: String,
        #[graphql(desc = "The merchant's code; a merchant asks about itself and leaves it out.")]
        merchant: Option<String>,
    ) -> Result<Option<Order>> {
        let desk = Desk::open(ctx, Right::OrderRead)?;
        let request_no: RequestNo = parse("requestNo", &request_no).map_err(Problem::from)?;
        let asked: Option<MerchantCode> = merchant
            .map(|code| parse("merchant", &code))
            .transpose()
            .map_err(Problem::from)?;
        let merchant = match (&*desk.caller.principal, asked) {
            (Principal::Merchant { code, .. }, None) => code.clone(),
            (_, Some(asked)) if desk.scope()?.sees(&asked) => asked,
            (_, Some(_)) => return Ok(None),
            (_, None) => {
                let refusal = invalid("merchant", "say whose request number it is");
                return Err(Problem::from(refusal).into());
            }
        };
        let found = desk.engine.order_of_request(&merchant, &request_no).await;
        Ok(found.map_err(Problem::from)?.map(Order))
    }

    /// Orders, newest first.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which orders.")] filter: Option<OrderFilter>,
        #[graphql(
            desc = "So many from the beginning or after `after`: 1 to 100, 20 if not given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end or before `before`: 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<OrderConnection> {
        let desk = Desk::open(ctx, Right::OrderRead)?;
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = args.page(Kind::Order).map_err(Problem::from)?;
        let filter = filter.unwrap_or_default().try_into();
        let filter = filter.map_err(Problem::Refused)?;
        let listing = desk
            .engine
            .orders(filter, page.clone(), &desk.scope()?)
            .await;
        Ok(OrderConnection::new(&page, listing.map_err(Problem::from)?))
    }

    /// One flow; none where there is no such number or its order is not the caller's.
    #[graphql(complexity = "2 + child_complexity")]
    async fn flow(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "24 digits.")] flow_no: String,
    ) -> Result<Option<Flow>> {
        let desk = Desk::open(ctx, Right::OrderRead)?;
        let flow_no: FlowNo = parse("flowNo", &flow_no).map_err(Problem::from)?;
        let found = desk.engine.flow(&flow_no, &desk.scope()?).await;
        Ok(found.map_err(Problem::from)?.map(Flow))
    }

    /// Flows, newest first.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn flows(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which flows.")] filter: Option<FlowFilter>,
        #[graphql(
            desc = "So many from the beginning or after `after`: 1 to 100, 20 if not given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end or before `before`: 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<FlowConnection> {
        let desk = Desk::open(ctx, Right::OrderRead)?;
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = args.page(Kind::Flow).map_err(Problem::from)?;
        let filter = filter.unwrap_or_default().try_into();
        let filter = filter.map_err(Problem::Refused)?;
        let listing = desk
            .engine
            .flows(filter, page.clone(), &desk.scope()?)
            .await;
        Ok(FlowConnection::new(&page, listing.map_err(Problem::from)?))
    }

    /// Why an order is where it is, and what happens next.
    #[graphql(complexity = "10 + child_complexity")]
    async fn order_timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "24 digits.")] order_no: String,
    ) -> Result<OrderTimeline> {
        let desk = Desk::open(ctx, Right::OrderRead)?;
        let order_no: OrderNo = parse("orderNo", &order_no).map_err(Problem::from)?;
        let found = desk.engine.timeline(&order_no, &desk.scope()?).await;
        Ok(OrderTimeline(found.map_err(Problem::from)?))
    }
}
