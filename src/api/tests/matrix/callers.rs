//! Who asks: everybody with a token, and sessions that have to do something else first.

use super::super::operators::{add, browse_as};
use super::super::support::*;
use crate::api::Principal;
use crate::api::desk::Caller;
use crate::api::errors::finish;
use crate::api::limits::CallerAddress;
use crate::api::request_id::RequestId;
use crate::domain::ids::{MerchantCode, OperatorName};
use crate::domain::merchant::MerchantKind;
use crate::domain::operator::Role;
use crate::engine::{Actor, Credentials, LoggedIn, NewOperator};
use futures_util::StreamExt;
use poem::http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Somebody with a token, or without: the letter of the table, and the token.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    pub letter: char,
    pub token: Option<&'static str>,
}

/// Everybody.
pub const CALLERS: [Who; 10] = [
    Who::new('0', None),
    Who::new('a', Some(ALPHA)),
    Who::new('b', Some(BETA)),
    Who::new('w', Some(APP)),
    Who::new('g', Some(GONE)),
    Who::new('v', Some(VIEWER)),
    Who::new('o', Some(OPERATOR)),
    Who::new('r', Some(REVIEWER)),
    Who::new('A', Some(ADMIN)),
    Who::new('u', Some(AUDITOR)),
];

impl Who {
    const fn new(letter: char, token: Option<&'static str>) -> Self {
        Self { letter, token }
    }

    /// Whether it is a person of the center.
    pub fn is_staff(self) -> bool {
        "vorAu".contains(self.letter)
    }

    /// Who it is to the program.
    pub fn principal(self) -> Principal {
        let merchant = |code: &str, kind| Principal::Merchant {
            code: MerchantCode::try_new(code).unwrap(),
            kind,
        };
        let operator = |role| Principal::Operator {
            name: "somebody".to_owned(),
            role,
        };
        match self.letter {
            '0' => Principal::Anonymous,
            'a' => merchant("alpha", MerchantKind::Channel),
            'b' => merchant("beta", MerchantKind::Channel),
            'w' => merchant("app", MerchantKind::Own),
            'g' => merchant("gone", MerchantKind::Channel),
            'v' => operator(Role::Viewer),
            'o' => operator(Role::Operator),
            'r' => operator(Role::Reviewer),
            'A' => operator(Role::Admin),
            'u' => operator(Role::Auditor),
            other => panic!("{other} is nobody"),
        }
    }

    /// Asks over HTTP, or for the first word of a subscription.
    pub async fn ask(self, world: &World, document: &str, variables: Value) -> Answer {
        if !document.starts_with("subscription") {
            return world.ask(self.token, document, variables).await;
        }
        let authorization = self.token.map(|token| format!("Bearer {token}"));
        let principal = world.api.0.tokens.principal(authorization.as_deref());
        let caller = Caller {
            visit: None,
            principal: principal.unwrap(),
            request_id: RequestId::accept(None),
            pass: None,
            address: CallerAddress::NOWHERE,
        };
        first_word(world, caller, document, variables).await
    }
}

async fn first_word(world: &World, caller: Caller, document: &str, variables: Value) -> Answer {
    let request_id = caller.request_id.clone();
    let request = async_graphql::Request::new(document)
        .variables(serde_json::from_value(variables).unwrap())
        .data(caller);
    let mut told = world.api.0.schema.execute_stream(request).boxed();
    let mut first = told.next().await.unwrap();
    finish(&mut first, &request_id);
    Answer {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        text: serde_json::to_string(&first).unwrap(),
    }
}

/// A session of an administrator, who has every right, that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The password is a temporary one.
    Temporary,
    /// The proof of who it is was given too long ago.
    Stale,
}

impl Half {
    /// The code that refuses it.
    pub fn code(self) -> &'static str {
        match self {
            Half::Temporary => "PASSWORD_CHANGE_NEEDED",
            Half::Stale => "REAUTHENTICATION_NEEDED",
        }
    }

    /// Asks in a session made for this one question: some of the questions end it.
    pub async fn ask(self, world: &World, document: &str, variables: Value) -> Answer {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("half{}", MADE.fetch_add(1, Ordering::SeqCst));
        let logged_in = self.enter(world, &name).await;
        if document.starts_with("subscription") {
            let principal = Principal::Operator {
                name,
                role: Role::Admin,
            };
            let caller = Caller {
                visit: Some(logged_in.visit.into()),
                principal: principal.into(),
                request_id: RequestId::accept(None),
                pass: None,
                address: CallerAddress::NOWHERE,
            };
            return first_word(world, caller, document, variables).await;
        }
        let cookie = format!("__Host-payhall={}", logged_in.secret.expose_secret());
        browse_as(world, &cookie, document, variables).await
    }

    async fn enter(self, world: &World, name: &str) -> LoggedIn {
        let account = OperatorName::try_new(name).unwrap();
        let password = match self {
            Half::Temporary => {
                let new = NewOperator {
                    name: account,
                    display_name: name.to_owned(),
                    role: Role::Admin,
                };
                let added = world.operators.add(new, &Actor::system()).await;
                added.unwrap().password
            }
            Half::Stale => {
                add(world, name, Role::Admin).await;
                SecretString::from(super::super::operators::PASSWORD)
            }
        };
        let shown = Credentials {
            password,
            code: None,
        };
        let nobody = Actor::system();
        let entered = world.operators.login(name, &shown, None, &nobody).await;
        let entered = entered.unwrap();
        if self == Half::Stale {
            world.clock.advance(Duration::from_secs(301));
        }
        entered
    }
}

/// An answer without what differs between any two of them.
pub fn settled(answer: &Answer) -> Value {
    let mut answer = answer.json();
    for error in answer["errors"].as_array_mut().into_iter().flatten() {
        if let Some(extensions) = error["extensions"].as_object_mut() {
            extensions.remove("requestId");
        }
    }
    answer
}

/// The code of the refusal in an answer; none where nothing was refused.
pub fn refusal(answer: &Answer, field: &str) -> Option<String> {
    let answer = answer.json();
    let told = [
        &answer["errors"][0]["extensions"]["code"],
        &answer["data"][field]["userErrors"][0]["code"],
    ];
    told.into_iter().find_map(Value::as_str).map(str::to_owned)
}

/// The variables of a mutation: the input of its example with some of it exchanged.
pub fn input_of(field: &str, exchanged: &[(String, String)]) -> Value {
    let mut snake = String::new();
    for letter in field.chars() {
        if letter.is_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    let examples = crate::api::playground::EXAMPLES;
    let example = examples.iter().find(|one| one.name == snake);
    let example = example.unwrap_or_else(|| panic!("{field} has no example named {snake}"));
    let number = "202001010000000000000000";
    let filled = example
        .variables
        .replace("{{requestNo}}", "R-RIGHTS")
        .replace("{{orderNo}}", number)
        .replace("{{flowNo}}", number)
        .replace("{{caseNo}}", number)
        .replace("{{caseVersion}}", "0");
    let mut variables: Value = serde_json::from_str(&filled).unwrap();
    for (name, value) in exchanged {
        variables["input"][name] = json!(value);
    }
    variables
}
