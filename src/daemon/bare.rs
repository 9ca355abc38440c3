//! The engine without jobs and without an API: for the daemon, which adds both, for a command, and for a
//! place in which days pass faster. What it commits is told to the cache as by any replica.

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

/// An engine with what it stands on, without jobs and without an API.
pub struct Bare {
    /// The engine.
    pub engine: Engine,
    pub(super) store: Store,
    pub(super) cache: Cache,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Bare {
    /// Brings the schema up to date and starts an engine that goes by a clock of the caller's: the machine's,
    /// or one that shows another day, for a place in which days have to pass faster.
    ///
    /// # Errors
    /// The settings name something that cannot be used, or the database cannot be opened.
    pub async fn start(
        config: &Config,
        instance: &str,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Bare> {
        let cache =
            Cache::open(&config.cache, clock.now()).context("the cache cannot be opened")?;
        let hub = Hub::default();
        let options = storage_options(config, instance);
        let store = open_store(options, cache.clone(), hub.clone()).await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let engine = Engine::start(EngineParts {
            store: store.clone(),
            cache: cache.clone(),
            upstreams: upstreams(config)?,
            notifier: Arc::new(notifier(config)?),
            clock,
            hub,
            alarms: Alarms::new(webhook(config)?, tasks.clone()),
            tasks: tasks.clone(),
            stop: stop.clone(),
            masters: masters(config)?,
            options: engine_options(config, instance)?,
            random: rand::random(),
        })
        .await
        .context("the catalogue cannot be read")?;
        Ok(Bare {
            engine,
            store,
            cache,
            tasks,
            stop,
        })
    }

    /// The same for a command, by the machine's clock.
    ///
    /// # Errors
    /// As [`Bare::start`].
    pub async fn for_command(config: &Config) -> anyhow::Result<Bare> {
        Bare::start(config, &instance_name(), Arc::new(SystemClock)).await
    }

    /// Ends what is under way, commits what is queued, and closes the database.
    pub async fn stop(self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.stop.cancel();
        self.store.close().await;
        self.cache.drain().await;
    }
}
