//! Hears the alarms of the engine where every deployment hears them: in the log.

use payhall::domain::ids::OrderNo;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, Once};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// An alarm as the log shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// `ERROR` is critical, `WARN` is a warning.
    pub level: Level,
    /// About what, e.g. `MISMATCH`.
    pub kind: String,
    /// In words.
    pub message: String,
}

static HEARD: LazyLock<Mutex<BTreeMap<String, Vec<Heard>>>> = LazyLock::new(Mutex::default);
static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LISTENING: Once = Once::new();

/// Listens from now on, once in a process. Order numbers are unique in it, so tests that run beside
/// each other do not hear each other's alarms.
pub fn listen() {
    LISTENING.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Ear);
        tracing::subscriber::set_global_default(subscriber).expect("nobody else listens");
    });
}

/// The alarms about an order, oldest first.
pub fn about(order_no: &OrderNo) -> Vec<Heard> {
    let heard = HEARD.lock().unwrap();
    heard.get(order_no.as_str()).cloned().unwrap_or_default()
}

/// The alarms of a kind that are about no order, oldest first; of every test in this process.
pub fn of_kind(kind: &str) -> Vec<Heard> {
    let heard = HEARD.lock().unwrap();
    let all = heard.get("").cloned().unwrap_or_default().into_iter();
    all.filter(|alarm| alarm.kind == kind).collect()
}

/// What else was logged as an error in this process, for the message of a failing test.
pub fn errors() -> Vec<String> {
    ERRORS.lock().unwrap().clone()
}

struct Ear;

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        let level = *event.metadata().level();
        match (words.alarm, words.order_no) {
            (Some(kind), Some(order_no)) => {
                let message = words.message;
                let heard = Heard {
                    level,
                    kind,
                    message,
                };
                HEARD
                    .lock()
                    .unwrap()
                    .entry(order_no)
                    .or_default()
                    .push(heard);
            }
            _ if level == Level::ERROR => ERRORS.lock().unwrap().push(words.message),
            _ => {}
        }
    }
}

#[derive(Default)]
struct Words {
    alarm: Option<String>,
    order_no: Option<String>,
    message: String,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "alarm" => self.alarm = Some(value.to_owned()),
            "order_no" => self.order_no = Some(value.to_owned()),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write as _;
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?} "),
            name => write!(self.message, "{name}={value:?} "),
        };
    }
}
