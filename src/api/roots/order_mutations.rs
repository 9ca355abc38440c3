//! Making, confirming and cancelling orders.

use crate::api::auth::{Principal, Right};
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::types::money::MoneyInput;
use crate::api::types::order::Order;
use crate::api::types::parse;
use crate::api::types::refusal::UserError;
use crate::api::types::scalars::Credential;
use crate::domain::order;
use crate::engine::{ConfirmInput, Confirmed, CreateInput};
use async_graphql::{Context, InputObject, Object, Result, SimpleObject};

/// What an order is made of. The merchant is the caller's token's.
#[derive(InputObject)]
pub struct OrderCreateInput {
    /// The merchant's own number of this request, 1 to 64 visible ASCII characters. The same number
    /// with the same content gets the first answer again; with other content it is refused.
    request_no: String,
    /// The item's code.
    item: String,
    /// The biller's number of the bill, account or meter.
    bill_no: String,
    /// How much.
    amount: MoneyInput,
}

/// What became of `orderCreate`.
#[derive(SimpleObject)]
pub struct OrderCreatePayload {
    /// The order; none if it was refused.
    order: Option<Order>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// What a customer confirms.
#[derive(InputObject)]
pub struct OrderConfirmInput {
    /// The order's number.
    order_no: String,
    /// The password or token that the bank checks, where the way of payment needs one.
    credential: Option<Credential>,
}

/// What became of `orderConfirm`.
#[derive(SimpleObject)]
pub struct OrderConfirmPayload {
    /// The order as it stands; none if the confirmation was refused.
    order: Option<Order>,
    /// Where the outcome is not known yet: ask for the order again after so many seconds.
    ask_again_after_seconds: Option<i32>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Which order to cancel.
#[derive(InputObject)]
pub struct OrderCancelInput {
    /// The order's number.
    order_no: String,
}

/// What became of `orderCancel`.
#[derive(SimpleObject)]
pub struct OrderCancelPayload {
    /// The order, closed; none if the cancellation was refused.
    order: Option<Order>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct OrderMutation;

#[Object]
impl OrderMutation {
    /// Makes an order. Nothing is paid yet. Safe to repeat with the same `requestNo`.
    #[graphql(complexity = "25 + child_complexity")]
    async fn order_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the order is made of.")] input: OrderCreateInput,
    ) -> Result<OrderCreatePayload> {
        let (order, user_errors) = outcome(create(ctx, input).await)?;
        Ok(OrderCreatePayload {
            order: order.map(Order),
            user_errors,
        })
    }

    /// Confirms an order: the bank is told to pay it. Safe to repeat: a second confirmation answers
    /// with the order as it stands and sends nothing.
    #[graphql(complexity = "25 + child_complexity")]
    async fn order_confirm(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the customer confirms.")] input: OrderConfirmInput,
    ) -> Result<OrderConfirmPayload> {
        let (confirmed, user_errors) = outcome(confirm(ctx, input).await)?;
        let ask_again = confirmed.as_ref().and_then(|done| done.ask_again_after);
        Ok(OrderConfirmPayload {
            ask_again_after_seconds: ask_again
                .map(|wait| i32::try_from(wait.as_secs()).unwrap_or(i32::MAX)),
            order: confirmed.map(|done| Order(done.order)),
            user_errors,
        })
    }

    /// Cancels an order that was not confirmed. Safe to repeat.
    #[graphql(complexity = "10 + child_complexity")]
    async fn order_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order.")] input: OrderCancelInput,
    ) -> Result<OrderCancelPayload> {
        let (order, user_errors) = outcome(cancel(ctx, input).await)?;
        Ok(OrderCancelPayload {
            order: order.map(Order),
            user_errors,
        })
    }
}

async fn create(ctx: &Context<'_>, input: OrderCreateInput) -> Result<order::Order, Problem> {
    let desk = Desk::open(ctx, Right::OrderCreate)?;
    let Principal::Merchant { code, .. } = &*desk.caller.principal else {
        return Err(Problem::Forbidden(Right::OrderCreate));
    };
    let input = CreateInput {
        merchant: code.clone(),
        request_no: parse("requestNo", &input.request_no)?,
        item: parse("item", &input.item)?,
        bill_no: parse("billNo", &input.bill_no)?,
        amount: input.amount.parse()?,
        pass: desk.caller.pass.clone(),
    };
    Ok(desk.engine.create(input, &desk.actor()).await?)
}

async fn confirm(ctx: &Context<'_>, input: OrderConfirmInput) -> Result<Confirmed, Problem> {
    let desk = Desk::open(ctx, Right::OrderConfirm)?;
    let input = ConfirmInput {
        order_no: parse("orderNo", &input.order_no)?,
        credential: input.credential.map(|credential| credential.0),
        pass: desk.caller.pass.clone(),
    };
    let scope = desk.scope()?;
    Ok(desk.engine.confirm(input, &scope, &desk.actor()).await?)
}

async fn cancel(ctx: &Context<'_>, input: OrderCancelInput) -> Result<order::Order, Problem> {
    let desk = Desk::open(ctx, Right::OrderCancel)?;
    let order_no = parse("orderNo", &input.order_no)?;
    let scope = desk.scope()?;
    Ok(desk.engine.cancel(&order_no, &scope, &desk.actor()).await?)
}
