//! Watching an order until it is at rest.
//!
//! Moves made by this replica come through the hub at once; those of other replicas are found by
//! reading the order again every two seconds. Whatever the source, only a newer version is told, so
//! a watcher never sees an order go back.

use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::api::types::order::Order;
use crate::api::types::parse;
use crate::domain::ids::OrderNo;
use crate::domain::order;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::engine::{Engine, Scope};
use async_graphql::{Context, Result, Subscription};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// How often the database is asked for what other replicas did.
const REREAD: Duration = Duration::from_secs(2);

#[derive(Default)]
pub struct OrderWatch;

#[Subscription]
impl OrderWatch {
    /// The order as it stands, then each newer version, until it is at rest; then the stream ends.
    async fn order_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "24 digits.")] order_no: String,
    ) -> Result<impl Stream<Item = Order> + use<>> {
        let desk = Desk::open(ctx, Right::OrderRead)?;
        let order_no: OrderNo = parse("orderNo", &order_no).map_err(Problem::from)?;
        let scope = desk.scope()?;
        // Listening begins before the first read, so that no move falls between the two.
        let moves = desk.engine.hub().listen();
        let found = desk.engine.order_stored(&order_no, &scope).await;
        let first = found.map_err(Problem::from)?.ok_or_else(|| {
            let message = format!("there is no order {order_no}");
            Problem::from(Refusal::new(RefusalCode::OrderNotFound, message).on("orderNo"))
        })?;
        let watch = Watch {
            again: desk.engine.clock().sleep(REREAD),
            engine: desk.engine.clone(),
            order_no,
            scope,
            moves: Some(moves),
            shown: None,
        };
        Ok(stream::unfold((watch, Some(first)), |(watch, next)| {
            watch.next(next)
        }))
    }
}

struct Watch {
    engine: Engine,
    order_no: OrderNo,
    scope: Scope,
    /// None once nobody announces any more.
    moves: Option<Receiver<order::Order>>,
    again: BoxFuture<'static, ()>,
    shown: Option<order::Order>,
}

type Told = (Order, (Watch, Option<order::Order>));

impl Watch {
    async fn next(mut self, ready: Option<order::Order>) -> Option<Told> {
        if self
            .shown
            .as_ref()
            .is_some_and(|order| order.state.is_terminal())
        {
            return None;
        }
        let mut ready = ready;
        let order = loop {
            match ready.take() {
                Some(order) if self.is_newer(&order) => break order,
                _ => ready = self.wait().await,
            }
        };
        self.shown = Some(order.clone());
        Some((Order(order), (self, None)))
    }

    fn is_newer(&self, order: &order::Order) -> bool {
        self.shown
            .as_ref()
            .is_none_or(|shown| order.version > shown.version)
    }

    /// The order at its next sign of life; none if there is nothing to look at yet.
    async fn wait(&mut self) -> Option<order::Order> {
        loop {
            tokio::select! {
                moved = heard(&mut self.moves) => match moved {
                    Ok(order) if order.order_no == self.order_no => return Some(order),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return self.read().await,
                    Err(RecvError::Closed) => self.moves = None,
                },
                () = &mut self.again => {
                    self.again = self.engine.clock().sleep(REREAD);
                    return self.read().await;
                }
            }
        }
    }

    /// The order from the database. A read that fails is made good by the next one.
    async fn read(&mut self) -> Option<order::Order> {
        match self.engine.order_stored(&self.order_no, &self.scope).await {
            Ok(order) => order,
            Err(error) => {
                tracing::warn!(order_no = %self.order_no, %error, "a watched order was not read");
                None
            }
        }
    }
}

async fn heard(moves: &mut Option<Receiver<order::Order>>) -> Result<order::Order, RecvError> {
    match moves {
        Some(moves) => moves.recv().await,
        None => std::future::pending().await,
    }
}
