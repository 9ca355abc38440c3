//! Reads many copies at once, for whoever compares them with the database.
//!
//! A reader that only wants to look takes "not here" for every trouble there is. Whoever compares
//! must not, or a Redis that is down would pass for one without faults: so this reader waits longer
//! and says when it could not read. It blocks and needs no runtime.

use super::CacheSettings;
use super::link::{BadUrl, Target, Trouble};
use super::snapshot::{Fenced, Mark, decode, flow_key, order_key};
use crate::domain::flow::Flow;
use crate::domain::ids::{FlowNo, OrderNo};
use crate::domain::order::Order;
use redis::{ConnectionLike, RedisResult};
use secrecy::ExposeSecret;
use std::time::Duration;

/// How long Redis may take to be reached, and for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A reader of what Redis holds.
pub struct Survey(Box<dyn ConnectionLike>);

impl Survey {
    /// Connects to the Redis that the settings name; `None` where they name the memory of the
    /// process, which nobody else can read.
    ///
    /// # Errors
    /// The URL cannot be read, or Redis cannot be reached.
    pub fn open(settings: &CacheSettings) -> Result<Option<Self>, SurveyError> {
        let target = Target::parse(settings.url.expose_secret())?;
        let connection = connect(&target).map_err(Trouble::Failed)?;
        Ok(connection.map(Self))
    }

    /// The copies that readers are shown of these orders, as far as there are any.
    ///
    /// # Errors
    /// Redis did not answer.
    pub fn orders(&mut self, numbers: &[&OrderNo]) -> Result<Vec<Order>, SurveyError> {
        let keys = numbers.iter().map(|number| order_key(number));
        let marks = numbers.iter().map(|number| Mark::order(number.as_str()));
        self.read(keys.collect(), marks)
    }

    /// The copies that readers are shown of these flows, as far as there are any.
    ///
    /// # Errors
    /// Redis did not answer.
    pub fn flows(&mut self, numbers: &[&FlowNo]) -> Result<Vec<Flow>, SurveyError> {
        let keys = numbers.iter().map(|number| flow_key(number));
        let marks = numbers.iter().map(|number| Mark::flow(number.as_str()));
        self.read(keys.collect(), marks)
    }

    fn read<T: Fenced>(
        &mut self,
        keys: Vec<String>,
        marks: impl Iterator<Item = Mark>,
    ) -> Result<Vec<T>, SurveyError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        // What is no text is nothing to this command, as it is a miss to readers.
        let texts: RedisResult<Vec<Option<Vec<u8>>>> =
            redis::cmd("MGET").arg(keys).query(self.0.as_mut());
        let texts = texts.map_err(Trouble::Failed)?;
        let copies = texts.iter().zip(marks).filter_map(|(text, mark)| {
            let (version, value) = decode::<T>(text.as_ref()?)?;
            (value.version() == version && value.mark() == mark).then_some(value)
        });
        Ok(copies.collect())
    }
}

fn connect(target: &Target) -> RedisResult<Option<Box<dyn ConnectionLike>>> {
    Ok(match target {
        Target::Memory => None,
        Target::Server(client) => {
            let server = client.get_connection_with_timeout(PATIENCE)?;
            server.set_read_timeout(Some(PATIENCE))?;
            Some(Box::new(server))
        }
        Target::Cluster(client) => {
            let cluster = client.get_connection()?;
            cluster.set_read_timeout(Some(PATIENCE))?;
            Some(Box::new(cluster))
        }
    })
}

/// Why the copies cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The URL names no Redis.
    #[error("cache.url {0}")]
    Url(#[from] BadUrl),
    /// Redis gave no answer.
    #[error(
        "the cache (cache.url) cannot be read; start it, or empty cache.url to check without the copies"
    )]
    Redis(#[from] Trouble),
}
