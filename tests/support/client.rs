//! A caller of the API: GraphQL over HTTP with a bearer token, as a merchant's server or an
//! operator would write it.

use super::process::wait_for;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A merchant's server.
pub const MERCHANT: &str = "token-of-the-merchant-portal";
/// The operator who proposes.
pub const MAKER: &str = "token-of-ann-who-proposes";
/// The operator who approves.
pub const CHECKER: &str = "token-of-bob-who-approves";

/// States in which nothing moves by itself any more.
pub const AT_REST: [&str; 5] = ["SUCCEEDED", "FAILED", "REVERSED", "CLOSED", "MANUAL"];
/// States in which the center is at work.
pub const IN_DOUBT: [&str; 3] = ["PAYING", "UNKNOWN", "REVERSING"];

/// A client for plain HTTP on this machine; cheap to clone. It waits longer than any test is patient: an
/// answer may be held back while the test waits for something else. And it sends nothing into a connection
/// that the center may just be closing, which it does after ten seconds.
pub fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .pool_idle_timeout(Duration::from_secs(4))
        .timeout(Duration::from_secs(180))
        .build()
        .expect("a client")
}

/// Why there is no order in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// There was no answer: nothing is known.
    Link(String),
    /// The answer was a fault.
    Fault(String),
    /// An expected refusal.
    Refused {
        /// Its code.
        code: String,
        /// The order that it names.
        order_no: Option<String>,
    },
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// An order as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    pub order_no: String,
    pub state: String,
    pub reason: Option<String>,
    pub version: i64,
}

impl OrderView {
    fn read(value: &Value) -> Option<Self> {
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        Some(Self {
            order_no: text("orderNo")?,
            state: text("state")?,
            reason: text("reason"),
            version: value["version"].as_i64()?,
        })
    }

    /// Whether nothing moves it any more but people.
    pub fn is_at_rest(&self) -> bool {
        AT_REST.contains(&self.state.as_str())
    }
}

const ORDER: &str = "orderNo state reason version";
const ERRORS: &str = "userErrors { code message orderNo }";

/// One caller of one daemon. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    /// A caller with a token.
    pub fn new(http: reqwest::Client, url: &str, token: &str) -> Self {
        Self {
            http,
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    /// Asks, and gives the answer's `data`.
    pub async fn ask(&self, query: &str, variables: Value) -> Result<Value, Failed> {
        let link = |error: reqwest::Error| Failed::Link(format!("{error:?}"));
        let body = json!({ "query": query, "variables": variables }).to_string();
        let request = self
            .http
            .post(format!("{}/graphql", self.url))
            .header("content-type", "application/json")
            .bearer_auth(&self.token)
            .body(body);
        let text = request
            .send()
            .await
            .map_err(link)?
            .text()
            .await
            .map_err(link)?;
        let mut answer: Value =
            serde_json::from_str(&text).map_err(|_| Failed::Fault(text.clone()))?;
        if answer["errors"].is_array() {
            return Err(Failed::Fault(answer["errors"].to_string()));
        }
        Ok(answer["data"].take())
    }

    /// Makes an order, in CNY.
    pub async fn create(
        &self,
        request_no: &str,
        (item, bill_no): (&str, &str),
        minor: i64,
    ) -> Result<OrderView, Failed> {
        let query = format!(
            "mutation Create($input: OrderCreateInput!) {{ \
             orderCreate(input: $input) {{ order {{ {ORDER} }} {ERRORS} }} }}"
        );
        let input = json!({ "input": {
            "requestNo": request_no,
            "item": item,
            "billNo": bill_no,
            "amount": { "minor": minor.to_string(), "currency": "CNY" },
        }});
        order_in(&self.ask(&query, input).await?["orderCreate"])
    }

    /// Confirms an order.
    pub async fn confirm(&self, order_no: &str) -> Result<OrderView, Failed> {
        let query = format!(
            "mutation Confirm($input: OrderConfirmInput!) {{ \
             orderConfirm(input: $input) {{ order {{ {ORDER} }} {ERRORS} }} }}"
        );
        let input = json!({ "input": { "orderNo": order_no, "credential": "123456" } });
        order_in(&self.ask(&query, input).await?["orderConfirm"])
    }

    /// Makes and confirms an order; the answer is that to the confirmation.
    pub async fn pay(
        &self,
        request_no: &str,
        bill: (&str, &str),
        minor: i64,
    ) -> Result<OrderView, Failed> {
        let order = self.create(request_no, bill, minor).await?;
        self.confirm(&order.order_no).await
    }

    /// An order as the cache or the database shows it.
    pub async fn order(&self, order_no: &str) -> Result<Option<OrderView>, Failed> {
        let query = format!("query O($no: String!) {{ order(orderNo: $no) {{ {ORDER} }} }}");
        let data = self.ask(&query, json!({ "no": order_no })).await?;
        Ok(OrderView::read(&data["order"]))
    }

    /// Many orders, by number.
    pub async fn orders(&self, numbers: &[String]) -> Result<BTreeMap<String, OrderView>, Failed> {
        const ALIASES_MAX: usize = 25;
        let mut found = BTreeMap::new();
        for some in numbers.chunks(ALIASES_MAX) {
            let fields: Vec<String> = some
                .iter()
                .enumerate()
                .map(|(place, no)| format!("o{place}: order(orderNo: \"{no}\") {{ {ORDER} }}"))
                .collect();
            let data = self
                .ask(&format!("{{ {} }}", fields.join(" ")), json!({}))
                .await?;
            let orders = data.as_object().into_iter().flat_map(|data| data.values());
            let orders = orders.filter_map(OrderView::read);
            found.extend(orders.map(|order| (order.order_no.clone(), order)));
        }
        Ok(found)
    }

    /// An order as it stands in the database, with everything that happened to it.
    pub async fn timeline(&self, order_no: &str) -> Result<Value, Failed> {
        let query = format!(
            "query T($no: String!) {{ orderTimeline(orderNo: $no) {{ order {{ {ORDER} }} \
             entries {{ kind text actor }} attempts {{ operation outcome code cause }} }} }}"
        );
        let mut data = self.ask(&query, json!({ "no": order_no })).await?;
        Ok(data["orderTimeline"].take())
    }

    /// An order as it stands in the database.
    pub async fn stored(&self, order_no: &str) -> Result<OrderView, Failed> {
        let timeline = self.timeline(order_no).await?;
        OrderView::read(&timeline["order"]).ok_or_else(|| Failed::Fault("no order".to_owned()))
    }

    /// Waits until an order is at rest, by the database.
    pub async fn at_rest(&self, order_no: &str, patience: Duration) -> OrderView {
        wait_for(
            &format!("order {order_no} to come to rest"),
            patience,
            async || {
                self.stored(order_no)
                    .await
                    .ok()
                    .filter(OrderView::is_at_rest)
            },
        )
        .await
    }

    /// Whether more than `few` (below 100) orders are in these states, by the database.
    pub async fn are_more_than(&self, few: usize, states: &[&str]) -> Result<bool, Failed> {
        let query = "query L($states: [OrderState!], $first: Int) { \
                     orders(filter: { states: $states }, first: $first) \
                     { edges { cursor } pageInfo { hasNextPage } } }";
        let variables = json!({ "states": states, "first": few.max(1) });
        let data = self.ask(query, variables).await?;
        let edges = data["orders"]["edges"].as_array().map_or(0, Vec::len);
        Ok(edges > few || data["orders"]["pageInfo"]["hasNextPage"] == json!(true))
    }

    /// Waits until no payment is in doubt.
    pub async fn all_at_rest(&self, patience: Duration) {
        wait_for("all payments to come to rest", patience, async || {
            let doubt = self.are_more_than(0, &IN_DOUBT).await;
            doubt.is_ok_and(|any| !any).then_some(())
        })
        .await;
    }

    /// The cases about an order; for operators.
    pub async fn cases(&self, order_no: &str) -> Result<Vec<Value>, Failed> {
        let query = "{ cases(first: 100) { edges { node { caseNo orderNo kind state } } } }";
        let data = self.ask(query, json!({})).await?;
        let all = nodes(&data["cases"]);
        Ok(all
            .filter(|case| case["orderNo"] == json!(order_no))
            .cloned()
            .collect())
    }
}

/// The nodes of a listing's page.
pub fn nodes(connection: &Value) -> impl Iterator<Item = &Value> {
    connection["edges"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|edge| &edge["node"])
}

fn order_in(payload: &Value) -> Result<OrderView, Failed> {
    if let Some(order) = OrderView::read(&payload["order"]) {
        return Ok(order);
    }
    let error = &payload["userErrors"][0];
    let text = |field: &str| error[field].as_str().map(str::to_owned);
    match text("code") {
        Some(code) => Err(Failed::Refused {
            code,
            order_no: text("orderNo"),
        }),
        None => Err(Failed::Fault(payload.to_string())),
    }
}
