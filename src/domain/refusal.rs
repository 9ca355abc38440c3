//! Expected refusals: what a caller did that cannot be done, in words and as data.

use super::ids::OrderNo;
use super::named_enum;

named_enum! {
    /// The code of a refusal; stable, for programs.
    pub enum RefusalCode {
        /// No such region in the catalogue.
        RegionNotFound = "REGION_NOT_FOUND",
        /// No such item in the catalogue.
        ItemNotFound = "ITEM_NOT_FOUND",
        /// The item cannot be paid at present.
        ItemOff = "ITEM_OFF",
        /// The item has no bills to look up.
        ItemNotLookedUp = "ITEM_NOT_LOOKED_UP",
        /// The merchant is not registered.
        MerchantNotFound = "MERCHANT_NOT_FOUND",
        /// The merchant may not make new orders.
        MerchantSuspended = "MERCHANT_SUSPENDED",
        /// The merchant is not in operation yet.
        MerchantNotActive = "MERCHANT_NOT_ACTIVE",
        /// The merchant has left.
        MerchantClosed = "MERCHANT_CLOSED",
        /// The merchant may not sell this item.
        ItemNotAllowed = "ITEM_NOT_ALLOWED",
        /// The merchant may not sell where this item is sold.
        RegionNotAllowed = "REGION_NOT_ALLOWED",
        /// The amount is above the merchant's limit of an order.
        OrderLimitExceeded = "ORDER_LIMIT_EXCEEDED",
        /// The amount does not fit into the merchant's limit of the day.
        DayLimitExceeded = "DAY_LIMIT_EXCEEDED",
        /// A merchant of this code is there already.
        MerchantExists = "MERCHANT_EXISTS",
        /// The merchant's state does not take the step.
        MerchantStateConflict = "MERCHANT_STATE_CONFLICT",
        /// Another person changed the merchant first.
        MerchantChanged = "MERCHANT_CHANGED",
        /// The profile was edited since the checker read it.
        MerchantContentChanged = "MERCHANT_CONTENT_CHANGED",
        /// The merchant has no submitted profile.
        MerchantNotSubmitted = "MERCHANT_NOT_SUBMITTED",
        /// Another checker decided about the profile first.
        MerchantAlreadyDecided = "MERCHANT_ALREADY_DECIDED",
        /// Items of the checklist are not ticked.
        ChecklistIncomplete = "CHECKLIST_INCOMPLETE",
        /// A day cannot be reconciled yet.
        ReconciliationWaits = "RECONCILIATION_WAITS",
        /// Lines of a file of decisions are wrong.
        BatchInvalid = "BATCH_INVALID",
        /// No such file of decisions.
        BatchNotFound = "BATCH_NOT_FOUND",
        /// A file of decisions was decided already, or its cases have changed.
        BatchChanged = "BATCH_CHANGED",
        /// An argument is not what it should be.
        InvalidArgument = "INVALID_ARGUMENT",
        /// The bill number breaks the item's rule.
        BillNoInvalid = "BILL_NO_INVALID",
        /// The biller has no such bill.
        BillNotFound = "BILL_NOT_FOUND",
        /// Nothing is due.
        BillAlreadyPaid = "BILL_ALREADY_PAID",
        /// The biller refuses for a reason of its own.
        BillRefused = "BILL_REFUSED",
        /// The biller gave no usable answer; later it may.
        BillUnavailable = "BILL_UNAVAILABLE",
        /// The bill is no longer what the order was made for.
        BillChanged = "BILL_CHANGED",
        /// The amount breaks the item's rule.
        AmountInvalid = "AMOUNT_INVALID",
        /// The request number was used for other content.
        RequestConflict = "REQUEST_CONFLICT",
        /// No such order, or not the caller's.
        OrderNotFound = "ORDER_NOT_FOUND",
        /// The order was not confirmed in time.
        OrderExpired = "ORDER_EXPIRED",
        /// The order is closed.
        OrderClosed = "ORDER_CLOSED",
        /// The order's state does not allow it.
        OrderStateConflict = "ORDER_STATE_CONFLICT",
        /// Another payment of the same bill is open.
        PaymentInProgress = "PAYMENT_IN_PROGRESS",
        /// The item's adapter is not in the settings.
        AdapterMissing = "ADAPTER_MISSING",
        /// No such case.
        CaseNotFound = "CASE_NOT_FOUND",
        /// The case is closed.
        CaseClosed = "CASE_CLOSED",
        /// The case has a proposal already.
        CaseAlreadyProposed = "CASE_ALREADY_PROPOSED",
        /// The case has no proposal.
        CaseNotProposed = "CASE_NOT_PROPOSED",
        /// Another person changed the case first.
        CaseChanged = "CASE_CHANGED",
        /// Maker and checker have to be two people.
        MakerIsChecker = "MAKER_IS_CHECKER",
        /// Evidence is missing, too long, or holds control characters.
        EvidenceInvalid = "EVIDENCE_INVALID",
        /// The decision does not fit the order's state.
        DecisionDoesNotFit = "DECISION_DOES_NOT_FIT",
        /// No such notification, or not the caller's.
        NotificationNotFound = "NOTIFICATION_NOT_FOUND",
        /// The caller is having notifications sent again already.
        ResendInProgress = "RESEND_IN_PROGRESS",
        /// No such job.
        JobNotFound = "JOB_NOT_FOUND",
        /// No such run of a job.
        JobRunNotFound = "JOB_RUN_NOT_FOUND",
        /// Many ask for runs of the job at this instant.
        JobBusy = "JOB_BUSY",
        /// No such key, or not the caller's.
        KeyNotFound = "KEY_NOT_FOUND",
        /// It is no key that can be used here.
        KeyInvalid = "KEY_INVALID",
        /// The public key is registered already.
        KeyInUse = "KEY_IN_USE",
        /// The key's state does not allow it.
        KeyStateConflict = "KEY_STATE_CONFLICT",
        /// Another person changed the key first.
        KeyChanged = "KEY_CHANGED",
        /// The ticket for a private key is not the right one, or was used.
        KeyTicketInvalid = "KEY_TICKET_INVALID",
        /// The caller's role does not allow it.
        NotAllowed = "NOT_ALLOWED",
        /// Name, password or code is wrong, or the account is locked or switched off.
        LoginRefused = "LOGIN_REFUSED",
        /// It is for people who logged in.
        SessionNeeded = "SESSION_NEEDED",
        /// The person has to prove again who they are.
        ReauthenticationNeeded = "REAUTHENTICATION_NEEDED",
        /// The temporary password has to be changed first.
        PasswordChangeNeeded = "PASSWORD_CHANGE_NEEDED",
        /// The new password breaks a rule.
        PasswordInvalid = "PASSWORD_INVALID",
        /// The one-time code is not the new secret's.
        CodeInvalid = "CODE_INVALID",
        /// No secret of one-time codes waits for its first code.
        CodesNotBegun = "CODES_NOT_BEGUN",
        /// Secrets of one-time codes cannot be sealed here.
        CodesNotAvailable = "CODES_NOT_AVAILABLE",
        /// No such operator.
        OperatorNotFound = "OPERATOR_NOT_FOUND",
        /// Somebody has this name already.
        OperatorExists = "OPERATOR_EXISTS",
        /// Nobody does this to the own account.
        OwnAccount = "OWN_ACCOUNT",
        /// No administrator would be left.
        LastAdministrator = "LAST_ADMINISTRATOR",
        /// There is no such statement, or not yet.
        StatementNotFound = "STATEMENT_NOT_FOUND",
        /// Statements are kept nowhere.
        StatementsOff = "STATEMENTS_OFF",
    }
}

named_enum! {
    /// Whether trying again makes sense.
    pub enum Retry {
        /// The same request will be refused again.
        Never = "NEVER",
        /// The same request may succeed later.
        Later = "LATER",
        /// Ask what became of the order that is named.
        AskOrder = "ASK_ORDER",
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// What kind.
    pub code: RefusalCode,
    /// The argument that it is about, by its name in the API.
    pub field: Option<&'static str>,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// Whether to try again.
    pub retry: Retry,
    /// The order that stands in the way or is meant.
    pub order_no: Option<OrderNo>,
}

impl Refusal {
    /// A refusal that will stand.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self {
            code,
            field: None,
            message: message.into(),
            retry: Retry::Never,
            order_no: None,
        }
    }

    /// About this argument.
    pub fn on(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Trying again later may help.
    pub fn later(mut self) -> Self {
        self.retry = Retry::Later;
        self
    }

    /// Naming an order; the caller should ask about that one.
    pub fn see(mut self, order_no: OrderNo) -> Self {
        self.retry = Retry::AskOrder;
        self.order_no = Some(order_no);
        self
    }
}
