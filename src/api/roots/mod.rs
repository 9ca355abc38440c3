//! The fields at the root of the schema, a file a subject. Each opens the desk with the right that
//! it needs as its first line; a test asks every one of them as every kind of caller.

mod bill;
mod browse;
mod case_decisions;
mod case_notes;
mod job_watch;
mod jobs;
mod keys;
mod merchants;
mod notifications;
mod operator_accounts;
mod operator_sessions;
mod order_mutations;
mod orders;
mod overview;
mod reconciliation;
mod statements;
mod subscription;

use async_graphql::{MergedObject, MergedSubscription};

/// Reading. A merchant sees its own orders and flows only.
#[derive(Default, MergedObject)]
pub struct Query(
    browse::BrowseQuery,
    bill::BillQuery,
    orders::OrdersQuery,
    overview::OverviewQuery,
    operator_accounts::OperatorsQuery,
    merchants::MerchantQuery,
    keys::KeyQuery,
    notifications::NotificationQuery,
    jobs::JobQuery,
    statements::StatementQuery,
    reconciliation::ReconciliationQuery,
    case_notes::CaseNotesQuery,
);

/// Doing. A document holds one of these at most. Expected refusals are in `userErrors`.
#[derive(Default, MergedObject)]
pub struct Mutation(
    order_mutations::OrderMutation,
    case_decisions::CaseMutation,
    operator_sessions::SessionMutation,
    operator_accounts::OperatorMutation,
    merchants::MerchantMutation,
    keys::KeyMutation,
    notifications::NotificationMutation,
    jobs::JobMutation,
    statements::StatementMutation,
    reconciliation::ReconciliationMutation,
    case_notes::CaseNotesMutation,
);

/// Watching, through a WebSocket with the protocol `graphql-transport-ws`.
#[derive(Default, MergedSubscription)]
pub struct Subscription(subscription::OrderWatch, job_watch::JobWatch);
