//! What people do with a test bank: customers and merchants, operators, and whoever only looks.

use super::Deed;
use super::{PATIENCE, TestBank, catalogue, refused};
use payhall::domain::case::{Case, CaseState, Decision};
use payhall::domain::exception::Exception;
use payhall::domain::flow::{Flow, FlowKind, Operation};
use payhall::domain::ids::{BillNo, ItemCode, MerchantCode, OrderNo, RequestNo};
use payhall::domain::merchant::{MerchantState, MerchantVerb};
use payhall::domain::money::{Currency, Money};
use payhall::domain::order::{Order, OrderState};
use payhall::domain::refusal::Refusal;
use payhall::engine::{Actor, ConfirmInput, Confirmed, CreateInput, EngineError, Scope};
use payhall::storage::orders;
use std::sync::atomic::Ordering;
use tokio::task::JoinHandle;

impl TestBank {
    /// A new order of the portal.
    pub fn create(&self, item: &str, bill_no: &str, amount_minor: i64) -> Order {
        let input = self.input(item, bill_no, amount_minor);
        self.try_create(input).expect("the order is made")
    }

    /// What the portal hands in for an order, with a request number of its own.
    pub fn input(&self, item: &str, bill_no: &str, amount_minor: i64) -> CreateInput {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        CreateInput {
            merchant: MerchantCode::try_new("portal").unwrap(),
            request_no: RequestNo::try_new(format!("R{request}")).unwrap(),
            item: ItemCode::try_new(item).unwrap(),
            bill_no: BillNo::try_new(bill_no).unwrap(),
            amount: Money::new(amount_minor, Currency::CNY),
            pass: None,
        }
    }

    /// Makes an order, or not.
    pub fn try_create(&self, input: CreateInput) -> Result<Order, Refusal> {
        let actor = merchant_actor(&input.merchant);
        refused(self.wait(self.engine().create(input, &actor)))
    }

    /// Confirms as a customer does who waits; time moves to whatever the engine waits for.
    pub fn confirm(&self, order: &OrderNo) -> Result<Confirmed, Refusal> {
        self.confirm_at(0, order)
    }

    /// The same at one of several programs.
    pub fn confirm_at(&self, place: usize, order: &OrderNo) -> Result<Confirmed, Refusal> {
        let hanging_before = self.far.hanging();
        let mut confirm = self.start_confirm(place, order);
        let waiting = async {
            let (mut clock, mut far) = (self.clock.changes(), self.far.changes());
            loop {
                let is_hanging = self.far.hanging() > hanging_before;
                let due = match self.clock.next_try() {
                    None if is_hanging => self.clock.next_answer(),
                    due => due,
                };
                if let Some(due) = due {
                    self.clock.advance_to(due);
                }
                tokio::select! {
                    biased;
                    answer = &mut confirm => return answer,
                    _ = clock.changed() => {}
                    _ = far.changed() => {}
                }
            }
        };
        let answer = self.wait(async { tokio::time::timeout(PATIENCE, waiting).await });
        let answer = answer.expect("the customer is answered");
        self.settle_down();
        refused(answer.expect("confirming does not panic"))
    }

    /// Begins to confirm and does not wait.
    pub fn start_confirm(
        &self,
        place: usize,
        order: &OrderNo,
    ) -> JoinHandle<Result<Confirmed, EngineError>> {
        let engine = self.houses[place].engine.clone();
        let input = ConfirmInput {
            order_no: order.clone(),
            credential: None,
            pass: None,
        };
        let actor = Actor::system();
        let call = async move { engine.confirm(input, &Scope::All, &actor).await };
        self.start(self.callers.track_future(call))
    }

    /// Cancels.
    pub fn cancel(&self, order: &OrderNo) -> Result<Order, Refusal> {
        let actor = merchant_actor(&MerchantCode::try_new("portal").unwrap());
        refused(self.wait(self.engine().cancel(order, &Scope::All, &actor)))
    }

    /// So many orders of topups, each of a bill of its own.
    pub fn topups(&self, many: u32) -> Vec<Order> {
        let order = |n| self.create("topup", &format!("138{n:08}"), 1_000);
        (1..=many).map(order).collect()
    }

    /// Confirms an order that the bank pays without saying so; it is in doubt afterwards.
    pub fn leave_in_doubt(&self, order: &Order) {
        let bill = order.bill_no.as_str();
        self.far.tell(Operation::Pay, bill, [Deed::Lost]);
        self.far
            .tell(Operation::Query, bill, vec![Deed::Unknown; 3]);
        let answer = self.confirm(&order.order_no).expect("it is taken");
        assert_eq!(answer.order.state, OrderState::Unknown);
    }

    /// The order as the database has it.
    pub fn order(&self, order: &OrderNo) -> Order {
        let number = order.clone();
        self.read(move |c| orders::find(c, &number))
            .expect("the order is there")
    }

    /// Where the order stands in the database.
    pub fn state(&self, order: &OrderNo) -> OrderState {
        self.order(order).state
    }

    /// The flows of an order, in the sequence of their starts.
    pub fn flows(&self, order: &OrderNo) -> Vec<Flow> {
        self.wait(self.engine().flows_of(vec![order.clone()]))
            .expect("the flows")
    }

    /// The payment of an order.
    pub fn payment(&self, order: &OrderNo) -> Flow {
        let mut flows = self.flows(order).into_iter();
        flows
            .find(|flow| flow.kind == FlowKind::Payment)
            .expect("it has a payment")
    }

    /// The open exception of an order.
    pub fn exception(&self, order: &OrderNo) -> Option<Exception> {
        let all = self
            .wait(self.engine().exceptions_of(order))
            .expect("the exceptions");
        all.into_iter()
            .find(|exception| exception.closed_at.is_none())
    }

    /// The latest case of an order.
    pub fn case(&self, order: &OrderNo) -> Option<Case> {
        self.wait(self.engine().cases_of(order))
            .expect("the cases")
            .pop()
    }

    /// The open case of an order.
    pub fn open_case(&self, order: &OrderNo) -> Option<Case> {
        self.case(order)
            .filter(|case| case.state != CaseState::Closed)
    }

    /// Somebody proposes a decision in the latest case of an order.
    pub fn propose(
        &self,
        who: &str,
        order: &OrderNo,
        decision: Decision,
        evidence: &str,
    ) -> Result<Case, Refusal> {
        let case = self.case(order).expect("it has a case");
        let maker = operator(who);
        let step = self
            .engine()
            .case_propose(&case.case_no, decision, evidence, &maker);
        refused(self.wait(step))
    }

    /// Somebody reads the latest case of an order and approves what stands there.
    pub fn approve(&self, who: &str, order: &OrderNo) -> Result<Order, Refusal> {
        self.approve_as_read(who, &self.case(order).expect("it has a case"))
    }

    /// Somebody approves what they read some time ago.
    pub fn approve_as_read(&self, who: &str, case: &Case) -> Result<Order, Refusal> {
        let checker = operator(who);
        let step = self
            .engine()
            .case_approve(&case.case_no, case.version, &checker);
        refused(self.wait(step)).map(|(_, order)| order.expect("it is about an order"))
    }

    /// Somebody reads the latest case of an order and rejects what stands there.
    pub fn reject(&self, who: &str, order: &OrderNo, reason: &str) -> Result<Case, Refusal> {
        self.reject_as_read(who, &self.case(order).expect("it has a case"), reason)
    }

    /// Somebody rejects what they read some time ago.
    pub fn reject_as_read(&self, who: &str, case: &Case, reason: &str) -> Result<Case, Refusal> {
        let checker = operator(who);
        let step = self
            .engine()
            .case_reject(&case.case_no, case.version, reason, &checker);
        refused(self.wait(step))
    }

    /// Suspends a merchant, or lets it make orders again, as an operator does at the first program. No
    /// other program is told.
    pub fn set_merchant(&self, code: &str, state: MerchantState) {
        let verb = match state {
            MerchantState::Active => MerchantVerb::Resume,
            MerchantState::Suspended => MerchantVerb::Suspend,
            other => panic!("a test bank has no way to {other}"),
        };
        let code = MerchantCode::try_new(code).expect("a code");
        let (desk, who) = (self.engine().onboarding(), operator("ann"));
        let switched = desk.switch(&code, verb, "said so", &who);
        self.wait(switched).expect("the merchant's new state");
    }

    /// Imports an item that is on or off.
    pub fn set_item(&self, code: &str, enabled: bool) {
        let mut parts = catalogue::parts();
        parts.items.retain(|item| item.code.as_str() == code);
        parts
            .items
            .iter_mut()
            .for_each(|item| item.enabled = enabled);
        self.import(parts);
    }

    fn import(&self, parts: payhall::domain::catalogue::CatalogueParts) {
        self.wait(self.store().solo(move |tx| tx.import_catalogue(&parts)))
            .expect("the import");
        for house in &self.houses {
            self.wait(house.engine.refresh_catalogue())
                .expect("the catalogue");
        }
    }
}

/// An operator by name.
pub fn operator(name: &str) -> Actor {
    Actor {
        who: format!("operator:{name}"),
        request_id: None,
    }
}

fn merchant_actor(code: &MerchantCode) -> Actor {
    Actor {
        who: format!("merchant:{code}"),
        request_id: None,
    }
}
