//! Notifications of merchants: reading them, and ordering them sent again.

use super::overview::forward;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::paging::{Kind, NotificationConnection, cost};
use crate::api::types::notification::{Notification, NotificationState};
use crate::api::types::refusal::UserError;
use crate::api::types::{invalid, parse};
use crate::domain::notification;
use crate::domain::refusal::Refusal;
use crate::domain::time::Instant;
use crate::engine::ManyResent;
use crate::storage::notifications::Filter;
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use uuid::Uuid;

/// How many are ordered sent again at once, if nobody says, and at most.
const RESEND_DEFAULT: i32 = 100;
const RESEND_MAX: i32 = 1_000;

/// Which notifications a listing holds; what is left out does not narrow it.
#[derive(Default, InputObject)]
pub struct NotificationFilter {
    /// Only those of this order.
    order_no: Option<String>,
    /// Only those of this merchant; a merchant sees its own in any case.
    merchant: Option<String>,
    /// Only those in these states.
    states: Option<Vec<NotificationState>>,
    /// Only those whose order came to rest at this instant or later.
    from: Option<Instant>,
    /// Only those whose order came to rest before this instant.
    to: Option<Instant>,
}

/// Which notification is sent again.
#[derive(InputObject)]
pub struct NotificationResendInput {
    /// Its id.
    id: ID,
}

/// Which notifications are sent again.
#[derive(InputObject)]
pub struct NotificationsResendInput {
    /// All that fit; name at least the states, so that nothing is sent again by mistake.
    filter: NotificationFilter,
    /// So many at most, the oldest first: 1 to 1000, 100 if not given.
    most: Option<i32>,
}

/// What became of `notificationResend`.
#[derive(SimpleObject)]
pub struct NotificationResendPayload {
    /// The notification as it stands now; none if it was refused.
    notification: Option<Notification>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// What became of `notificationsResend`.
#[derive(SimpleObject)]
pub struct NotificationsResendPayload {
    /// How many are sent again; none if it was refused. Those that are due anyway do not count.
    count: Option<i32>,
    /// Whether there are more that fit: call it again.
    has_more: Option<bool>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct NotificationQuery;

#[Object]
impl NotificationQuery {
    /// One notification; none where there is no such one or it is not the caller's.
    #[graphql(complexity = "2 + child_complexity")]
    async fn notification(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id, a UUID.")] id: ID,
    ) -> Result<Option<Notification>> {
        let desk = Desk::open(ctx, Right::NotificationRead)?;
        let id = read_id(&id).map_err(Problem::from)?;
        let found = desk.engine.notification(id, &desk.scope()?).await;
        Ok(found.map_err(Problem::from)?.map(Notification))
    }

    /// Notifications, newest first. A merchant sees its own only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn notifications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only such notifications.")] filter: Option<NotificationFilter>,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<NotificationConnection> {
        let desk = Desk::open(ctx, Right::NotificationRead)?;
        let page = forward(Kind::Notification, first, after)?;
        let after = page.after.as_deref();
        let after = after.and_then(|id| Uuid::try_parse(id).ok());
        let filter = filter.unwrap_or_default().read().map_err(Problem::from)?;
        let scope = desk.scope()?;
        let listing = desk
            .engine
            .notifications(filter, after, page.limit, &scope)
            .await;
        Ok(NotificationConnection::new(
            &page,
            listing.map_err(Problem::from)?,
        ))
    }
}

#[derive(Default)]
pub struct NotificationMutation;

#[Object]
impl NotificationMutation {
    /// Orders a notification sent again, at once. One that was delivered or given up begins a new series of
    /// tries, with the same id and the same place in its order's sequence; one that waits for its next
    /// try does not wait; one that is due or on its way stays as it is.
    #[graphql(complexity = "10 + child_complexity")]
    async fn notification_resend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which notification.")] input: NotificationResendInput,
    ) -> Result<NotificationResendPayload> {
        let (done, user_errors) = outcome(resend(ctx, &input).await)?;
        Ok(NotificationResendPayload {
            notification: done.map(Notification),
            user_errors,
        })
    }

    /// Orders many notifications sent again, as `notificationResend` does with one, and says how many.
    #[graphql(complexity = "50 + child_complexity")]
    async fn notifications_resend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which notifications.")] input: NotificationsResendInput,
    ) -> Result<NotificationsResendPayload> {
        let (done, user_errors) = outcome(resend_many(ctx, input).await)?;
        Ok(NotificationsResendPayload {
            count: done.map(|done| i32::try_from(done.count).unwrap_or(i32::MAX)),
            has_more: done.map(|done| done.has_more),
            user_errors,
        })
    }
}

impl NotificationFilter {
    /// The filter for the database.
    fn read(self) -> Result<Filter, Refusal> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            return Err(invalid(
                "from",
                "from has to be the instant of to, or earlier",
            ));
        }
        let states = self.states.unwrap_or_default().into_iter();
        let mut states: Vec<_> = states.map(notification::NotificationState::from).collect();
        states.sort_unstable();
        states.dedup();
        let (order_no, merchant) = (self.order_no.as_deref(), self.merchant.as_deref());
        Ok(Filter {
            order_no: order_no.map(|text| parse("orderNo", text)).transpose()?,
            merchant: merchant.map(|text| parse("merchant", text)).transpose()?,
            states,
            from: self.from,
            to: self.to,
        })
    }
}

async fn resend(
    ctx: &Context<'_>,
    input: &NotificationResendInput,
) -> Result<notification::Notification, Problem> {
    let desk = Desk::open(ctx, Right::NotificationResend)?;
    let id = read_id(&input.id)?;
    let (scope, actor) = (desk.scope()?, desk.actor());
    Ok(desk.engine.notification_resend(id, &scope, &actor).await?)
}

async fn resend_many(
    ctx: &Context<'_>,
    input: NotificationsResendInput,
) -> Result<ManyResent, Problem> {
    let desk = Desk::open(ctx, Right::NotificationResend)?;
    let filter = input.filter.read()?;
    if filter.states.is_empty() {
        let message = "filter.states has to name at least one state, such as GIVEN_UP";
        return Err(invalid("filter", message).into());
    }
    let most = input.most.unwrap_or(RESEND_DEFAULT);
    let most = u32::try_from(most).ok();
    let most = most.filter(|most| (1..=RESEND_MAX.unsigned_abs()).contains(most));
    let most = most.ok_or_else(|| invalid("most", format!("most has to be 1 to {RESEND_MAX}")))?;
    let (scope, actor) = (desk.scope()?, desk.actor());
    let done = desk
        .engine
        .notifications_resend(filter, most, &scope, &actor);
    Ok(done.await?)
}

fn read_id(id: &ID) -> Result<Uuid, Refusal> {
    Uuid::try_parse(id)
        .map_err(|_| invalid("id", "id has to be a UUID, as `notifications` shows it"))
}
