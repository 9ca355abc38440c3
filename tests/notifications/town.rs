//! The servers of merchants, in the process: each keeps what it was sent, and answers, refuses or hangs
//! as it is told. No clock is asked and nothing is waited for, so that a test says what happens when.

use async_trait::async_trait;
use payhall::domain::notification::{Heard, TryOutcome};
use payhall::upstream::{Notifier, Post, Reach, Target};
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::watch;

/// What a server does with what it is sent.
#[derive(Clone, Debug)]
pub enum Mood {
    /// Answers with a status.
    Answers(u16),
    /// Answers nothing, as this outcome says.
    Silent(TryOutcome),
    /// Holds everybody until the mood changes, and then answers with a status.
    Hangs(u16),
    /// Brings down whoever calls, which no server can: what a fault of the center's own would do.
    Panics,
}

/// What arrived at a server.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Which one.
    pub host: String,
    /// `payhall-notification-id`.
    pub id: String,
    /// The order's version in the body.
    pub version: i64,
    /// The whole body.
    pub body: serde_json::Value,
    /// The headers.
    pub headers: Vec<(String, String)>,
}

/// All servers.
#[derive(Debug)]
pub struct Town {
    moods: watch::Sender<BTreeMap<String, Mood>>,
    arrived: watch::Sender<Vec<Arrived>>,
    inside: Mutex<BTreeMap<String, (usize, usize)>>,
}

impl Town {
    pub fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self {
            moods: watch::Sender::default(),
            arrived: watch::Sender::default(),
            inside: Mutex::default(),
        })
    }

    /// Tells a merchant's server what to do from now on; whoever hangs there is let go.
    pub fn set(&self, merchant: &str, mood: Mood) {
        let host = format!("{merchant}.example.com");
        self.moods.send_modify(|moods| {
            moods.insert(host, mood);
        });
    }

    /// Everything that arrived, in the order of arrival.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived.borrow().clone()
    }

    /// What arrived at one merchant's server.
    pub fn arrived_at(&self, merchant: &str) -> Vec<Arrived> {
        let host = format!("{merchant}.example.com");
        let all = self.arrived().into_iter();
        all.filter(|one| one.host == host).collect()
    }

    /// Waits until so many have arrived at a merchant's server.
    pub async fn wait_for(&self, merchant: &str, count: usize) {
        let host = format!("{merchant}.example.com");
        let mut arrived = self.arrived.subscribe();
        let enough =
            |all: &Vec<Arrived>| all.iter().filter(|one| one.host == host).count() >= count;
        arrived.wait_for(enough).await.unwrap();
    }

    /// How many were at a merchant's server at once, at most.
    pub fn most_at_once(&self, merchant: &str) -> usize {
        let inside = self.inside.lock().unwrap();
        inside
            .get(&format!("{merchant}.example.com"))
            .map_or(0, |(_, most)| *most)
    }

    fn enter(&self, host: &str) {
        let mut inside = self.inside.lock().unwrap();
        let (now, most) = inside.entry(host.to_owned()).or_default();
        *now += 1;
        *most = (*most).max(*now);
    }

    fn leave(&self, host: &str) {
        self.inside
            .lock()
            .unwrap()
            .entry(host.to_owned())
            .or_default()
            .0 -= 1;
    }

    async fn answer(&self, host: &str) -> Heard {
        let mut moods = self.moods.subscribe();
        let mut held = None;
        loop {
            let mood = moods.borrow_and_update().get(host).cloned();
            match (mood.unwrap_or(Mood::Answers(200)), held) {
                (Mood::Panics, _) => panic!("a fault of the way to merchants"),
                (Mood::Hangs(status), _) => held = Some(status),
                (_, Some(status)) | (Mood::Answers(status), None) => {
                    return Heard::answered(status);
                }
                (Mood::Silent(outcome), None) => return Heard::nothing(outcome, "silence"),
            }
            moods.changed().await.unwrap();
        }
    }
}

#[async_trait]
impl Notifier for Town {
    fn target(&self, url: &str) -> Result<Target, Heard> {
        Target::try_new(url, Reach::Public)
    }

    async fn post(&self, post: &Post<'_>) -> Heard {
        let host = post.target.authority().to_owned();
        let body: serde_json::Value = serde_json::from_slice(post.body).unwrap();
        let headers = post.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let id = headers
            .iter()
            .find(|(name, _)| name == "payhall-notification-id");
        let arrived = Arrived {
            host: host.clone(),
            id: id.unwrap().1.clone(),
            version: body["orderVersion"].as_i64().unwrap(),
            body,
            headers,
        };
        self.enter(&host);
        self.arrived.send_modify(|all| all.push(arrived));
        let heard = self.answer(&host).await;
        self.leave(&host);
        heard
    }
}
