//! The engine for a command: with the database, the cache and the partners of the settings, and without the
//! jobs and the listener. What it commits is told to the cache as by the daemon.

use super::{engine_options, instance_name, masters, notifier, open_store, storage_options};
use super::{upstreams, webhook};
use crate::cache::Cache;
use crate::config::Config;
use crate::engine::{Alarms, Clock, Engine, EngineParts, Hub, SystemClock};
use crate::storage::Store;
use anyhow::Context;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// An engine for a while.
pub struct CommandDesk {
    /// The engine.
    pub engine: Engine,
    store: Store,
    cache: Cache,
    tasks: TaskTracker,
}

impl CommandDesk {
    /// Opens it. The schema is brought up to date, as by every command that changes something.
    ///
    /// # Errors
    /// The database, the cache or a setting cannot be used.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let instance = instance_name();
        let cache =
            Cache::open(&config.cache, SystemClock.now()).context("the cache cannot be opened")?;
        let hub = Hub::default();
        let options = storage_options(config, &instance);
        let store = open_store(options, cache.clone(), hub.clone()).await?;
        let tasks = TaskTracker::new();
        let engine = Engine::start(EngineParts {
            store: store.clone(),
            cache: cache.clone(),
            upstreams: upstreams(config)?,
            notifier: Arc::new(notifier(config)?),
            clock: Arc::new(SystemClock),
            hub,
            alarms: Alarms::new(webhook(config)?, tasks.clone()),
            tasks: tasks.clone(),
            stop: CancellationToken::new(),
            masters: masters(config)?,
            options: engine_options(config, &instance)?,
            random: rand::random(),
        })
        .await
        .context("the catalogue cannot be read")?;
        Ok(Self {
            engine,
            store,
            cache,
            tasks,
        })
    }

    /// Ends what is under way, and closes.
    pub async fn close(self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
        self.cache.drain().await;
    }
}
