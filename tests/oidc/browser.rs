//! A browser: keeps cookies, sends them where they belong, and leaves the strict ones at home when it
//! comes from another site.

use crate::given::PUBLIC_URL;
use crate::support::client::http_client;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a browser is told that is not let in.
pub const REFUSED: &str = "You were not let in. Try again from the beginning; if that does not help, ask an \
                           administrator, with the id in this answer's X-Request-Id header.\n";

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    OwnSite,
    AnotherSite,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub request_id: String,
    location: Option<String>,
    cookies: Vec<String>,
}

impl Answer {
    pub fn location(&self) -> String {
        let location = self.location.clone();
        location.unwrap_or_else(|| panic!("{}: {}", self.status, self.text))
    }

    /// The header that sets a cookie.
    pub fn cookie(&self, name: &str) -> &str {
        let mut cookies = self.cookies.iter();
        let found = cookies.find(|cookie| cookie.starts_with(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.cookies))
    }

    /// Whether the browser keeps what it holds.
    pub fn sets_no_cookie(&self) -> bool {
        self.cookies.is_empty()
    }

    /// Whether it gives the browser a session.
    pub fn gives_a_session(&self) -> bool {
        let mut cookies = self.cookies.iter();
        cookies.any(|cookie| cookie.starts_with("payhall_session="))
    }
}

/// A browser before one center.
#[derive(Clone)]
pub struct Browser {
    http: reqwest::Client,
    center: String,
    /// By name: the value, and whether it is for our own site alone.
    cookies: BTreeMap<String, (String, bool)>,
}

impl Browser {
    pub fn before(center: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none());
        Self {
            http: http.build().expect("a client"),
            center: center.to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    /// Opens a page of the center.
    pub async fn depart(&mut self, path: &str) -> Answer {
        let url = format!("{}{path}", self.center);
        self.call(Method::GET, &url, From::OwnSite).await
    }

    pub async fn post(&mut self, path: &str) -> Answer {
        let url = format!("{}{path}", self.center);
        self.call(Method::POST, &url, From::OwnSite).await
    }

    /// Holds a ticket that somebody made up, or none.
    pub fn holds(&mut self, ticket: Option<&str>) {
        let name = "payhall_login".to_owned();
        match ticket {
            Some(ticket) => self.cookies.insert(name, (ticket.to_owned(), false)),
            None => self.cookies.remove(&name),
        };
    }

    /// Goes to the provider's page, where the person is recognised at once; where it sends the browser.
    pub async fn at_the_provider(&self, url: &str) -> String {
        let answer = self
            .http
            .get(url)
            .send()
            .await
            .expect("the provider answers");
        assert_eq!(answer.status(), 302, "{url}");
        let location = answer.headers()["location"].to_str().expect("text");
        let rest = location.strip_prefix(PUBLIC_URL);
        format!("{}{}", self.center, rest.expect("a page of ours"))
    }

    /// Comes back from the provider's site.
    pub async fn come_back(&mut self, url: &str) -> Answer {
        self.call(Method::GET, url, From::AnotherSite).await
    }

    /// The whole way.
    pub async fn log_in(&mut self) {
        let left = self.depart("/login/oidc").await;
        let back = self.at_the_provider(&left.location()).await;
        let answer = self.come_back(&back).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
    }

    async fn call(&mut self, method: Method, url: &str, from: From) -> Answer {
        let sent = self.cookies.iter();
        let sent = sent.filter(|(_, (_, is_strict))| from == From::OwnSite || !is_strict);
        let sent: Vec<_> = sent
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        let mut request = self.http.request(method, url);
        if !sent.is_empty() {
            request = request.header("cookie", sent.join("; "));
        }
        let answer = request.send().await.expect("the center answers");
        let headers = answer.headers().clone();
        let text = |name: &str| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let cookies = headers.get_all("set-cookie").iter();
        let cookies: Vec<_> = cookies
            .map(|one| one.to_str().unwrap().to_owned())
            .collect();
        for cookie in &cookies {
            self.take(cookie);
        }
        Answer {
            status: answer.status().as_u16(),
            request_id: text("x-request-id").expect("an id"),
            location: text("location"),
            text: answer.text().await.expect("a body"),
            cookies,
        }
    }

    fn take(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').expect("attributes");
        let (name, value) = pair.split_once('=').expect("a pair");
        if attributes.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            let is_strict = attributes.contains("SameSite=Strict");
            self.cookies
                .insert(name.to_owned(), (value.to_owned(), is_strict));
        }
    }

    /// Asks the API from the center's own page.
    pub async fn ask(&self, document: &str, variables: Value) -> Value {
        let cookies = self.cookies.iter();
        let cookies: Vec<_> = cookies
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        let body = json!({ "query": document, "variables": variables }).to_string();
        let request = http_client()
            .post(format!("{}/graphql", self.center))
            .header("content-type", "application/json")
            .header("origin", &self.center)
            .header("cookie", cookies.join("; "))
            .body(body);
        let answer = request
            .send()
            .await
            .expect("an answer")
            .text()
            .await
            .expect("a body");
        serde_json::from_str::<Value>(&answer).expect("JSON")["data"].take()
    }

    pub async fn me(&self) -> Value {
        let me = self
            .ask("{ me { name role session { freshUntil } } }", json!({}))
            .await;
        me["me"].clone()
    }

    pub async fn is_in(&self) -> bool {
        self.me().await["name"].is_string()
    }

    /// Whether the session may do what gives rights.
    pub async fn is_fresh(&self) -> bool {
        let me = self.me().await;
        let until = me["session"]["freshUntil"].as_str().expect("a session");
        let until: chrono::DateTime<chrono::Utc> = until.parse().expect("a time");
        until.timestamp() > crate::provider::now_s()
    }
}

/// An address with the code of another one.
pub fn with_code_of(address: &str, other: &str) -> String {
    let of = |url: &str| Url::parse(url).expect("a URL");
    let code = |url: &Url| {
        let mut pairs = url.query_pairs();
        let found = pairs.find(|(name, _)| name == "code");
        found.expect("a code").1.into_owned()
    };
    let (address, other) = (of(address), of(other));
    address.to_string().replace(&code(&address), &code(&other))
}

/// An address without its code.
pub fn without_code(address: &str) -> String {
    address.replace("code=", "cod=")
}
