//! Notifications of merchants.

use super::order::{Order, OrderState};
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::api::loaders::LastTries;
use crate::domain::notification;
use crate::domain::time::Instant;
use crate::storage::notifications::Tries;
use async_graphql::{Context, Description, Enum, ID, Object, Result};

/// Where a notification stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "notification::NotificationState")]
pub enum NotificationState {
    /// Is to be sent, or sent again; `nextAt` says when.
    Pending,
    /// The merchant's server has confirmed it with a status of 2xx.
    Delivered,
    /// Nobody sends it any more, until somebody orders it sent again; `reason` says why.
    GivenUp,
}

/// Why a notification was given up.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "notification::GiveUpReason")]
pub enum GiveUpReason {
    /// Every try of the series failed.
    TriesUsedUp,
    /// The merchant has no notify URL any more.
    NoUrl,
}

/// What came of one try.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "notification::TryOutcome")]
pub enum TryOutcome {
    /// It is on its way.
    Started,
    /// Answered with a status of 2xx: it has arrived.
    Delivered,
    /// Answered with any other status, redirects among them.
    Rejected,
    /// No answer in time; it may have arrived.
    TimedOut,
    /// No connection: no address, refused, or no TLS.
    Unreachable,
    /// The connection broke before an answer; it may have arrived.
    Broken,
    /// The host has only addresses that are not of the public internet; nothing was sent.
    AddressRefused,
    /// The URL is not one that may be called, for example not https; nothing was sent.
    UrlRefused,
    /// Nothing was sent, for a reason of the center's; does not count as a try. Several in a row are
    /// kept as one.
    NotSent,
    /// The center stopped in the middle; it may have arrived. Does not count as a try.
    Interrupted,
}

/// One try to bring a notification to the merchant's server.
#[derive(Description)]
pub struct NotificationTry(pub notification::NotificationTry);

#[Object(use_type_description)]
impl NotificationTry {
    /// Its id: the nonce of the request's signature.
    async fn try_id(&self) -> ID {
        self.0.try_id.into()
    }

    /// The series that it belongs to: 1, and one more each time the notification was ordered sent again.
    async fn series(&self) -> i32 {
        self.0.series
    }

    /// Its place in the series, from 1. One that was interrupted, or not sent, has the same number as
    /// the one after it.
    async fn number(&self) -> i32 {
        self.0.number
    }

    /// When it began; of several in a row that were not sent, when the first of them did.
    async fn started_at(&self) -> Instant {
        self.0.started_at
    }

    /// When it ended; none while it is on its way.
    async fn ended_at(&self) -> Option<Instant> {
        self.0.ended_at
    }

    /// How many milliseconds it took; none while it is on its way.
    async fn duration_ms(&self) -> Option<i32> {
        let took = self.0.ended_at? - self.0.started_at;
        Some(i32::try_from(took.num_milliseconds()).unwrap_or(i32::MAX))
    }

    /// What came of it.
    async fn outcome(&self) -> TryOutcome {
        self.0.outcome.into()
    }

    /// The HTTP status of the answer, where there was one.
    async fn http_status(&self) -> Option<i32> {
        self.0.http_status
    }

    /// The host that was called, with its port where the URL names one.
    async fn host(&self) -> Option<&str> {
        self.0.host.as_deref()
    }

    /// What went wrong, in words.
    async fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }
}

/// What a merchant is told of an order that came to rest (通知): signed, and at least once.
#[derive(Description)]
pub struct Notification(pub notification::Notification);

#[Object(use_type_description)]
impl Notification {
    /// Its id, the same in every try: by it the merchant knows what it was told before.
    async fn id(&self) -> ID {
        self.0.notification_id.into()
    }

    /// The order that it tells of.
    async fn order_no(&self) -> &str {
        self.0.order_no.as_str()
    }

    /// The order's version that it tells of: its place among the notifications of the order.
    async fn order_version(&self) -> i32 {
        self.0.order_version
    }

    /// The state that the order came to at that version; the order itself may have moved on since.
    async fn order_state(&self) -> OrderState {
        self.0.order_state.into()
    }

    /// Why, for an order that failed or closed, as a word for programs.
    async fn order_reason(&self) -> Option<&str> {
        self.0.order_reason.as_deref()
    }

    /// The order as it stands now.
    #[graphql(complexity = "2 + child_complexity")]
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        let desk = Desk::open(ctx, Right::OrderRead)?;
        let found = desk.engine.order(&self.0.order_no, &desk.scope()?).await;
        Ok(found.map_err(Problem::from)?.map(Order))
    }

    /// The code of the merchant that is told.
    async fn merchant(&self) -> &str {
        self.0.merchant.as_str()
    }

    /// Where it stands.
    async fn state(&self) -> NotificationState {
        self.0.state.into()
    }

    /// Why it was given up.
    async fn reason(&self) -> Option<GiveUpReason> {
        self.0.reason.map(GiveUpReason::from)
    }

    /// The series of tries that it is in: 1, and one more each time it was ordered sent again.
    async fn series(&self) -> i32 {
        self.0.series
    }

    /// How many tries of this series came to an end.
    async fn tries_made(&self) -> i32 {
        self.0.tries
    }

    /// When it is tried next, at the latest; none if it is not.
    async fn next_at(&self) -> Option<Instant> {
        let is_pending = self.0.state == notification::NotificationState::Pending;
        is_pending.then_some(self.0.next_at)
    }

    /// When the order came to rest.
    async fn created_at(&self) -> Instant {
        self.0.created_at
    }

    /// When it was delivered or given up.
    async fn concluded_at(&self) -> Option<Instant> {
        self.0.concluded_at
    }

    /// The last tries, 50 at most, in the order in which they began.
    #[graphql(complexity = "3 + 2 * child_complexity")]
    async fn tries(&self, ctx: &Context<'_>) -> Result<Vec<NotificationTry>> {
        let tries = self.last_tries(ctx).await?.last.into_iter();
        Ok(tries.map(NotificationTry).collect())
    }

    /// How many tries there are in all, of every series; `tries` shows the last of them.
    #[graphql(complexity = "3")]
    async fn tries_total(&self, ctx: &Context<'_>) -> Result<i32> {
        let total = self.last_tries(ctx).await?.total;
        Ok(i32::try_from(total).unwrap_or(i32::MAX))
    }
}

impl Notification {
    async fn last_tries(&self, ctx: &Context<'_>) -> Result<Tries> {
        let loader = ctx.data_opt::<LastTries>().ok_or(Problem::NotWired)?;
        let found = loader.load_one(self.0.notification_id).await?;
        Ok(found.unwrap_or_default())
    }
}
