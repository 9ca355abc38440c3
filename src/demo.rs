//! `payhall demo`: a running center beside a simulated world, in one command and with no server.
//!
//! The simulated world is a process of its own; everything that is shown goes through the same code
//! as in production. The settings that it runs with are written into its folder, so that one can
//! look at them, change them, and start `payhall serve --config` with them.

use crate::config::{self, Config, Environment, Flags};
use crate::daemon::{Claim, Daemon};
use crate::domain::ids::{BillNo, ItemCode, MerchantCode, OrderNo, RequestNo};
use crate::domain::merchant::Profile;
use crate::domain::money::{Currency, Money};
use crate::domain::order::{Order, OrderState};
use crate::engine::{
    self, Actor, Clock, ConfirmInput, CreateInput, Engine, ImportFile, Onboarding, Scope, samples,
};
use crate::sign::{self, SignArgs};
use crate::storage::{Store, catalogue, merchants};
use crate::telemetry::Metrics;
use anyhow::{Context, anyhow, bail};
use clap::Args;
use rand::Rng;
use rand::distr::Alphanumeric;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

mod folder;
mod key;
mod welcome;
mod yesterday;

use folder::Folder;
use key::KeyFile;

/// Like `println!`, but who has closed standard output does not want to know.
macro_rules! tell {
    ($($words:tt)*) => {
        let _ = writeln!(std::io::stdout(), $($words)*);
    };
}

/// The same to standard error.
macro_rules! complain {
    ($($words:tt)*) => {
        let _ = writeln!(std::io::stderr(), $($words)*);
    };
}

const SETTINGS: &str = include_str!("../deploy/demo.toml");
const SIM_ADDRESS: &str = "127.0.0.1:8401";

/// How long the simulated world may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// The catalogue of the simulated world, by file name.
const CATALOGUE: [(&str, &str); 4] = [
    (
        "regions.csv",
        include_str!("../deploy/catalogue/regions.csv"),
    ),
    (
        "billers.csv",
        include_str!("../deploy/catalogue/billers.csv"),
    ),
    ("items.csv", include_str!("../deploy/catalogue/items.csv")),
    (
        "contracts.csv",
        include_str!("../deploy/catalogue/contracts.csv"),
    ),
];

/// Flags of `payhall demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where the center listens; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:8400")]
    listen: SocketAddr,
    /// Where the simulated world listens; port 0 takes any free one.
    #[arg(long, default_value = SIM_ADDRESS)]
    sim_listen: SocketAddr,
    /// Keeps database, ledger and settings in this folder; without it they go with the demo.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Who is let in, with the tokens of this demo.
struct Tokens {
    merchant: String,
    maker: String,
    checker: String,
}

/// Runs the demo until `until` completes. Whatever ends it, its temporary folder goes.
pub async fn run(
    args: DemoArgs,
    metrics: Metrics,
    until: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    check_distinct(args.listen, args.sim_listen)?;
    let mut until = pin!(until);
    let folder = Folder::new(args.dir)?;
    let started = start(args.listen, args.sim_listen, &folder, metrics);
    let (daemon, mut world) = tokio::select! {
        biased;
        () = &mut until => return Ok(()),
        started = started => started?,
    };
    let engine = daemon.engine().clone();
    let orders = tokio::spawn(async move {
        match make_orders(&engine).await {
            Ok(()) => {
                tell!("Orders in all nine states are there: query `orders` to see them.");
            }
            Err(error) => {
                complain!("the first orders could not all be made: {error:#}");
            }
        }
    });
    tokio::select! {
        () = until => {}
        () = world.ended() => {
            complain!("the simulated world ended; so does the demo");
        }
    }
    orders.abort();
    tell!("\nStopping ...");
    daemon.stop().await;
    world.stop();
    folder.leave();
    Ok(())
}

/// Starts both sides. Ports, database and ledger are taken before the settings are written, so that
/// a demo that cannot have them leaves the files of the one that has.
async fn start(
    listen: SocketAddr,
    sim_listen: SocketAddr,
    folder: &Folder,
    metrics: Metrics,
) -> anyhow::Result<(Daemon, World)> {
    let listener = bind(listen, "--listen").await?;
    drop(bind(sim_listen, "--sim-listen").await?);
    let claim = Claim::try_new(listener, &folder.database_url()).with_context(|| {
        let folder = folder.path().display();
        format!("the folder {folder} is in use; choose another with --dir")
    })?;
    folder.check_settings()?;
    let is_new = !folder.has_database();
    let world = World::start(sim_listen, folder.path()).await?;
    let tokens = Tokens {
        merchant: token(),
        maker: token(),
        checker: token(),
    };
    let master = key::master_setting(folder)?;
    let places = (claim.addr()?, world.addr);
    folder.make_output()?;
    folder.write_settings(&settings(places, folder, &tokens, &master))?;
    let file = folder.settings();
    let config = config::load(Some(&file), &Environment::default(), &Flags::default())?.config;
    import_catalogue(&config, world.addr).await?;
    if is_new {
        let now = engine::SystemClock.now();
        let past = config::load(Some(&file), &Environment::default(), &Flags::default())?.config;
        let lived = yesterday::live_through(past, world.addr, now);
        lived
            .await
            .context("yesterday could not be lived through")?;
    }
    let daemon = Daemon::start_with(&config, metrics, claim).await?;
    let portal = MerchantCode::try_new("portal")?;
    let key = key::bring_in(daemon.engine(), folder, &portal).await?;
    let signed = signed_call(daemon.addr(), &key)?;
    let welcome = welcome::text(&daemon, world.addr, &tokens, folder, (&key, &signed));
    tell!("{welcome}");
    Ok((daemon, world))
}

/// Two addresses that are one would be told as one that is taken, by whom nobody would guess.
fn check_distinct(listen: SocketAddr, sim_listen: SocketAddr) -> anyhow::Result<()> {
    let (one, other) = (listen.ip(), sim_listen.ip());
    let overlap = one == other || one.is_unspecified() || other.is_unspecified();
    if overlap && listen.port() == sim_listen.port() && listen.port() != 0 {
        bail!(
            "--listen {listen} and --sim-listen {sim_listen} are the same address; the center and \
             the simulated world need one each"
        );
    }
    Ok(())
}

/// A port that is taken is said before anything else is started.
async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow!(
            "{address} cannot be listened on ({error}). Is another demo running? Stop it, or choose \
             another address with {flag}, e.g. `make demo DEMO=\"{flag} 127.0.0.1:9400\"`."
        )
    })
}

fn token() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(24)
        .map(char::from)
        .collect()
}

/// The demo's settings file: the pattern, with this demo's addresses, folder and tokens.
/// Who sends files in the simulated world, what makes it known whose flows they are, and the profile.
const PARTNERS: [(&str, &str, &str); 7] = [
    (
        "bank",
        r#"side = "BANK"
adapter = "bank""#,
        "unionpay-zm",
    ),
    (
        "legacy",
        r#"side = "BANK"
adapter = "legacy""#,
        "pipe",
    ),
    ("bj-power", BILLER, "alipay"),
    ("bj-water", BILLER, "wechat"),
    ("sh-gas", BILLER, "payhall-csv"),
    ("sh-telecom", BILLER, "payhall-csv"),
    ("sh-school", BILLER, "pipe"),
];
/// A biller whose code is the partner's name.
const BILLER: &str = r#"side = "BILLER"
billers = ["NAME"]"#;

/// The settings of one partner.
fn section((name, whose, profile): (&str, &str, &str), sim: SocketAddr) -> String {
    let whose = whose.replace("NAME", name);
    let url = format!("http://{sim}/files/{name}/{{date}}");
    format!(
        "[partners.{name}]\n{whose}\nprofile = \"{profile}\"\nurl = \"{url}\"\n\
         digest_url = \"{url}.sha256\"\n\n"
    )
}

fn settings(
    (listen, sim): (SocketAddr, SocketAddr),
    folder: &Folder,
    tokens: &Tokens,
    master: &str,
) -> String {
    let Tokens {
        merchant,
        maker,
        checker,
    } = tokens;
    let pattern = SETTINGS.replace(SIM_ADDRESS, &sim.to_string());
    let database = folder.database_url();
    let output = folder.output();
    let output = output.display();
    let files = PARTNERS.map(|partner| section(partner, sim)).concat();
    format!(
        r#"{pattern}
[server]
listen = "{listen}"
sandbox = true

[storage]
url = "{database}"

[alarms]
webhook_url = "http://{sim}/webhook"

[keys]
master = "{master}"

[output]
dir = "{output}"

# Nobody's clock is late here, and the night is there to look at whenever the demo begins.
[statements]
close_grace_s = 0

[logs]
filter = "warn"

{files}
[[callers]]
token = "{merchant}"
kind = "merchant"
merchant = "portal"

[[callers]]
token = "{maker}"
kind = "operator"
name = "ann"
role = "operator"

[[callers]]
token = "{checker}"
kind = "operator"
name = "bob"
role = "reviewer"
"#
    )
}

/// The simulated world's process; it ends with the demo, however that ends.
struct World {
    process: Child,
    addr: SocketAddr,
    /// Kept open, so that it never writes into nothing.
    _said: Option<BufReader<ChildStdout>>,
}

impl World {
    async fn start(listen: SocketAddr, folder: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program cannot find itself")?;
        let mut process = Command::new(program)
            .args(["sim", "--listen", &listen.to_string(), "--ledger"])
            .arg(folder.join("sim-ledger.jsonl"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the simulated world cannot be started")?;
        let said = process.stdout.take().context("it has a standard output")?;
        let mut world = Self {
            process,
            addr: listen,
            _said: None,
        };
        let first_line = tokio::task::spawn_blocking(move || {
            let (mut said, mut line) = (BufReader::new(said), String::new());
            said.read_line(&mut line).map(|_| (said, line))
        });
        let heard = tokio::time::timeout(PATIENCE, first_line).await;
        let (said, line) =
            heard.context("the simulated world does not say where it listens")???;
        let addr = line.trim_end().strip_prefix("listening on http://");
        let Some(addr) = addr.and_then(|addr| addr.parse().ok()) else {
            bail!("the simulated world did not start; what stands in its way is told above");
        };
        world.addr = addr;
        world._said = Some(said);
        Ok(world)
    }

    /// Completes when the process has ended by itself.
    async fn ended(&mut self) {
        while matches!(self.process.try_wait(), Ok(None)) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn import_catalogue(config: &Config, sim: SocketAddr) -> anyhow::Result<()> {
    let options = crate::daemon::storage_options(config, &crate::daemon::instance_name());
    let files = CATALOGUE.map(|(name, text)| ImportFile {
        name: name.to_owned(),
        bytes: text.as_bytes().to_vec(),
    });
    let adapters: Vec<_> = config.adapters.keys().cloned().collect();
    let store = tokio::task::spawn_blocking(move || {
        Store::migrate(&options)?;
        Store::open(&options, Arc::new(|_| ()))
    })
    .await??;
    let known = store.read(catalogue::load).await?;
    let parts = engine::read_catalogue(files.into(), &known, &adapters)?;
    engine::import(&store, parts, &Actor::system(), engine::SystemClock.now()).await?;
    samples::bring_all_in(&store).await?;
    tell_portal_at(&store, &format!("http://{sim}/inbox/portal")).await?;
    store.close().await;
    Ok(())
}

/// Gives the merchant of the demo a notify URL, by two people like any change of a profile. A proposal that
/// somebody left open is theirs, and stays.
async fn tell_portal_at(store: &Store, url: &str) -> anyhow::Result<()> {
    let desk = Onboarding::new(store.clone(), Arc::new(engine::SystemClock), true);
    let code = MerchantCode::try_new("portal")?;
    let wanted = code.clone();
    let found = store.read(move |c| merchants::find(c, &wanted)).await?;
    let Some(dossier) = found.filter(|dossier| dossier.proposed.is_none()) else {
        return Ok(());
    };
    let Some(approved) = &dossier.approved else {
        return Ok(());
    };
    if approved.profile.notify_url.as_deref() == Some(url) {
        return Ok(());
    }
    let profile = Profile {
        notify_url: Some(url.to_owned()),
        ..approved.profile.clone()
    };
    let maker = samples::person(samples::MAKER);
    let edited = desk.edit(&code, dossier.version, profile, &maker).await?;
    samples::approve(&desk, edited).await?;
    Ok(())
}

/// A call of the merchant's by its key, indented to stand in the welcome.
fn signed_call(address: SocketAddr, key: &KeyFile) -> anyhow::Result<String> {
    let call = SignArgs {
        key: key.path.clone(),
        key_id: key.key_id.to_string(),
        url: format!("http://{address}/graphql"),
        query: "{ serverInfo { caller businessDate } }".to_owned(),
        variables: None,
        algorithm: None,
    };
    let signed = sign::command(&call, engine::SystemClock.now())?;
    Ok(signed.trim_end().replace('\n', "\n   "))
}

/// The first orders: an item, a bill number whose ending decides what happens, whether to confirm.
const FIRST_ORDERS: [(&str, &str, i64, bool); 10] = [
    ("sh-telecom-topup", "13812340001", 5_000, false),
    ("sh-telecom-topup", "13812340002", 10_000, true),
    ("sh-telecom-topup", "13812349001", 3_000, true),
    ("sh-telecom-topup", "13812349009", 3_000, true),
    ("sh-telecom-topup", "13812349010", 2_000, true),
    ("sh-telecom-topup", "13812349011", 2_500, true),
    ("sh-telecom-topup", "13812349003", 1_500, true),
    ("sh-telecom-topup", "13812349002", 4_500, true),
    ("sh-school-fee", "S20269003", 88_000, true),
    ("sh-telecom-topup", "13812340099", 1_000, false),
];

/// Makes orders until there is one in every state; the poller brings some of them there.
async fn make_orders(engine: &Engine) -> anyhow::Result<()> {
    let merchant = MerchantCode::try_new("portal")?;
    let actor = Actor {
        who: format!("merchant:{merchant}"),
        request_id: None,
    };
    let mut made = Vec::new();
    for (place, (item, bill_no, minor, confirmed)) in FIRST_ORDERS.into_iter().enumerate() {
        let input = CreateInput {
            merchant: merchant.clone(),
            request_no: RequestNo::try_new(format!("demo-{place}-{}", token()))?,
            item: ItemCode::try_new(item)?,
            bill_no: BillNo::try_new(bill_no)?,
            amount: Money::new(minor, Currency::CNY),
            pass: None,
        };
        let order = engine.create(input, &actor).await?;
        made.push(order.order_no.clone());
        if confirmed {
            confirm_behind(engine.clone(), order, actor.clone());
        }
    }
    if let Some(last) = made.last() {
        engine.cancel(last, &Scope::All, &actor).await?;
    }
    wait_for_all_states(engine, &made).await
}

/// Confirms without waiting: some of these take their time, which is the point of them.
fn confirm_behind(engine: Engine, order: Order, actor: Actor) {
    tokio::spawn(async move {
        let input = ConfirmInput {
            order_no: order.order_no.clone(),
            credential: None,
            pass: None,
        };
        if let Err(error) = engine.confirm(input, &Scope::All, &actor).await {
            complain!("order {} could not be confirmed: {error:#}", order.order_no);
        }
    });
}

async fn wait_for_all_states(engine: &Engine, made: &[OrderNo]) -> anyhow::Result<()> {
    let patience = Instant::now() + Duration::from_secs(180);
    let mut seen = BTreeSet::new();
    while seen.len() < OrderState::ALL.len() {
        if Instant::now() > patience {
            let missing: Vec<_> = OrderState::ALL
                .iter()
                .filter(|s| !seen.contains(*s))
                .collect();
            bail!("after three minutes no order is {missing:?}");
        }
        for order_no in made {
            if let Some(order) = engine.order(order_no, &Scope::All).await? {
                seen.insert(order.state);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
