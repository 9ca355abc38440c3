//! Expected refusals as data.

use crate::domain::refusal;
use async_graphql::{Description, Enum, Object};

/// Why something was refused. The words are stable; programs may go by them.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "refusal::RefusalCode")]
pub enum RefusalCode {
    /// There is no such region in the catalogue.
    RegionNotFound,
    /// There is no such item in the catalogue.
    ItemNotFound,
    /// The item cannot be paid at present.
    ItemOff,
    /// The item is paid without a bill, so there is none to look up.
    ItemNotLookedUp,
    /// The merchant is not registered.
    MerchantNotFound,
    /// The merchant may not make new orders.
    MerchantSuspended,
    /// The merchant is not in operation yet.
    MerchantNotActive,
    /// The merchant has left and makes no orders any more.
    MerchantClosed,
    /// The merchant may not sell this item.
    ItemNotAllowed,
    /// The merchant may not sell in any region that this item is for.
    RegionNotAllowed,
    /// The amount is above what one order of this merchant may be over, or in another currency than its
    /// limits.
    OrderLimitExceeded,
    /// The merchant may not confirm that much on this business date any more.
    DayLimitExceeded,
    /// A merchant of this code is there already.
    MerchantExists,
    /// The merchant's state does not take the step; `message` names the state.
    MerchantStateConflict,
    /// Another person changed the merchant since it was read; read it again.
    MerchantChanged,
    /// The profile was edited since the checker read it: the hash is another. Read it again.
    MerchantContentChanged,
    /// There is no submitted profile to check.
    MerchantNotSubmitted,
    /// Another checker decided about this very profile first.
    MerchantAlreadyDecided,
    /// Items of the checklist are not ticked for this content; `message` names them.
    ChecklistIncomplete,
    /// The day cannot be reconciled yet; `message` says what is lacking.
    ReconciliationWaits,
    /// Lines of the file of decisions are wrong; `lines` has all of them.
    BatchInvalid,
    /// There is no such file of decisions.
    BatchNotFound,
    /// The file of decisions was decided already, or is another than the checker read.
    BatchChanged,
    /// An argument is not what it should be; `field` names it and `message` tells the rule.
    InvalidArgument,
    /// The bill number breaks the item's rule; nobody was called.
    BillNoInvalid,
    /// The biller has no such bill.
    BillNotFound,
    /// Nothing is due.
    BillAlreadyPaid,
    /// The biller refuses for a reason of its own.
    BillRefused,
    /// The biller gave no usable answer; later it may.
    BillUnavailable,
    /// The bill is no longer what the order was made for; make a new order.
    BillChanged,
    /// The amount breaks the item's rule.
    AmountInvalid,
    /// The request number was used for other content before.
    RequestConflict,
    /// There is no such order, or it is not the caller's.
    OrderNotFound,
    /// The order was not confirmed in time; make a new one.
    OrderExpired,
    /// The order is closed and cannot be paid.
    OrderClosed,
    /// The order's state does not allow it.
    OrderStateConflict,
    /// Another payment of the same bill is open; `orderNo` names its order, where it is the caller's.
    PaymentInProgress,
    /// The item's way to the bank is not set up.
    AdapterMissing,
    /// There is no such notification, or it is not the caller's.
    NotificationNotFound,
    /// The caller is having notifications sent again already; one such call goes on at a time.
    ResendInProgress,
    /// There is no job of this name; `message` names those that there are.
    JobNotFound,
    /// There is no run of this id.
    JobRunNotFound,
    /// Many ask for runs of the job at this instant; ask again.
    JobBusy,
    /// There is no such key, or it is not the caller's.
    KeyNotFound,
    /// It is no key that can be used here.
    KeyInvalid,
    /// The public key is registered already, here or for somebody else.
    KeyInUse,
    /// The key's state does not allow it.
    KeyStateConflict,
    /// Another person changed the key first; read it again.
    KeyChanged,
    /// The ticket for a private key is not the right one, or was used.
    KeyTicketInvalid,
    /// There is no such case.
    CaseNotFound,
    /// The case is closed.
    CaseClosed,
    /// The case has a proposal already.
    CaseAlreadyProposed,
    /// The case has no proposal to approve or reject.
    CaseNotProposed,
    /// Another person changed the case first; read it again.
    CaseChanged,
    /// Maker and checker have to be two people.
    MakerIsChecker,
    /// Evidence is missing, too long, or holds control characters.
    EvidenceInvalid,
    /// The decision does not fit the order's state.
    DecisionDoesNotFit,
    /// The caller's role does not allow it.
    NotAllowed,
    /// The name, the password or the one-time code is wrong, or the account is locked after too many
    /// wrong tries, or switched off; which of these is not told.
    LoginRefused,
    /// This is for people who logged in; a bearer token has no session.
    SessionNeeded,
    /// What moves money or rights needs a proof of who one is that is at most five minutes old: call
    /// `operatorReauthenticate`, then this again.
    ReauthenticationNeeded,
    /// The password is a temporary one: call `operatorChangePassword` first.
    PasswordChangeNeeded,
    /// The new password breaks the rule that `message` tells.
    PasswordInvalid,
    /// The one-time code is not one of the new secret; look at the app's and the server's time.
    CodeInvalid,
    /// No secret of one-time codes waits to be confirmed: call `operatorTotpBegin` first.
    CodesNotBegun,
    /// One-time codes are not set up in this center: it has no master key to seal their secrets with.
    CodesNotAvailable,
    /// There is no such operator.
    OperatorNotFound,
    /// Somebody has this name already.
    OperatorExists,
    /// Nobody does this to the own account; another administrator has to.
    OwnAccount,
    /// No administrator would be left.
    LastAdministrator,
    /// There is no such statement, or not yet.
    StatementNotFound,
    /// Statements are kept nowhere (`files.url`).
    StatementsOff,
}

/// Whether trying again makes sense.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "refusal::Retry")]
pub enum Retry {
    /// The same request will be refused again.
    Never,
    /// The same request may succeed later.
    Later,
    /// Ask what became of the order that `orderNo` names.
    AskOrder,
}

/// An expected refusal of a mutation: nothing is broken, the request cannot be done as it is.
#[derive(Description)]
pub struct UserError(pub refusal::Refusal);

#[Object(use_type_description)]
impl UserError {
    /// Why, for programs.
    async fn code(&self) -> RefusalCode {
        self.0.code.into()
    }

    /// The field of the input that it is about, where it is about one.
    async fn field(&self) -> Option<&'static str> {
        self.0.field
    }

    /// What is wrong and what to do, for people.
    async fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether trying again makes sense.
    async fn retry(&self) -> Retry {
        self.0.retry.into()
    }

    /// The order that stands in the way, or that is meant.
    async fn order_no(&self) -> Option<&str> {
        self.0.order_no.as_ref().map(|number| number.as_str())
    }
}
