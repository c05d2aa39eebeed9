//! Start order and shutdown of the agent.
//!
//! Start: configuration and keys, the store (locked), memory and threads, then interfaces: closed gate first, then
//! addresses; the engine listens meanwhile. Nothing opens before the engine says so. Stop: the engine hands over and
//! says goodbye, the gates stay, closed. A crash anywhere leaves the kernel's gates to close by themselves.

use crate::announcer::Announcer;
use crate::config::{self, ClusterFile, Config, KeyFile, ReadFile};
use crate::control::server;
use crate::durable::{Durable, Loaded};
use crate::engine::Engine;
use crate::hot::{Hands, Hot};
use crate::io::{clock, realtime, systemd};
use crate::keeper::KeeperHandle;
use crate::options::{RunError, RunOptions};
use crate::slow::{self, Slow, connections, flight};
use crate::store::{self, Store, StoreError};
use crate::{from_config, orders, words};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long to wait for the lock of an agent that is just ending, and how often to look.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// How long to wait for an address of this node's links, and how often to look. Less than the unit's TimeoutStartSec;
/// more than its StartLimitIntervalSec / StartLimitBurst, so that systemd never gives up.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(20);
const ADDRESS_PAUSE: Duration = Duration::from_millis(100);
/// Events of interfaces that wait for the slow side: one for each address that somebody removed, at the worst.
const EVENTS: usize = 65_536;
/// Messages from other threads that wait for the slow side.
const WORDS: usize = 1024;

/// Runs the agent until it is told to stop.
///
/// # Errors
/// See [`RunError`]. Nothing is open when it returns.
pub fn run(options: &RunOptions) -> Result<(), RunError> {
    let ReadFile { config, text } = load(options)?;
    let keys = KeyFile::load(&config.key_file).map_err(|error| {
        RunError::Failed(format!("{}: {}; {}", config.key_file.display(), error.wrong(), error.right()))
    })?;
    let hash = store::cluster_hash(&config.cluster);
    let (store, found) = open_store(options, &config, hash)?;
    let _claims = claim_interfaces(&config)?;
    let warnings = prepare_memory();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed("starting the runtime", &error))?;
    runtime.block_on(serve(options, (config, text), keys, store, found, warnings))
}

/// Reads the configuration. At boot the addresses by which a node finds itself can come late (DHCP, a link without a
/// signal), although the file is right; a service manager's agent waits for them, and is started again and again by
/// exit code 1. A person at a terminal is told at once.
fn load(options: &RunOptions) -> Result<ReadFile, RunError> {
    let patience = clock::now() + ADDRESS_PATIENCE;
    let mut told = false;
    loop {
        let local = local_addresses().map_err(|error| failed("reading this machine's addresses", &error))?;
        let errors = match config::load(&options.config, options.node.as_deref(), &local) {
            Ok(read) => return Ok(read),
            Err(errors) => errors,
        };
        if !systemd::is_manager() || options.node.is_some() || !is_stranger(options, &local) {
            return Err(errors.into());
        }
        if clock::now() >= patience {
            return Err(RunError::Failed(errors.to_string()));
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("waiting for an address of this node's links: {errors}");
        }
        std::thread::sleep(ADDRESS_PAUSE);
    }
}

/// The file is right, and none of its links begins here.
fn is_stranger(options: &RunOptions, local: &[std::net::IpAddr]) -> bool {
    ClusterFile::read(&options.config)
        .is_ok_and(|file| file.nodes.iter().flat_map(|node| &node.links).all(|link| !local.contains(link)))
}

/// Opens the store. An agent that was killed a moment ago may still hold its lock while the kernel takes it apart.
fn open_store(options: &RunOptions, config: &Config, hash: u64) -> Result<(Store, store::Loaded), RunError> {
    let patience = clock::now() + LOCK_PATIENCE;
    loop {
        match Store::open(&options.state_dir, config.me, hash) {
            Err(StoreError::Locked { .. }) if clock::now() < patience => std::thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(RunError::Failed(error.to_string())),
            Ok(opened) => return Ok(opened),
        }
    }
}

/// One agent per interface: two would write to one gate. An abstract socket belongs to the network namespace, as the
/// interface does, and is gone with the process.
fn claim_interfaces(config: &Config) -> Result<Vec<UnixDatagram>, RunError> {
    let patience = clock::now() + LOCK_PATIENCE;
    let mut claims = Vec::new();
    for name in config.interfaces() {
        let address = SocketAddr::from_abstract_name(format!("vipair/gate/{name}"));
        let address = address.map_err(|error| failed("naming the interface's claim", &error))?;
        loop {
            match UnixDatagram::bind_addr(&address) {
                Ok(claim) => break claims.push(claim),
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    return Err(failed(&format!("claiming interface {name}"), &error));
                }
                Err(_) if clock::now() < patience => std::thread::sleep(LOCK_PAUSE),
                Err(_) => {
                    let text = format!("another agent guards interface {name} already: stop it first");
                    return Err(RunError::Failed(text));
                }
            }
        }
    }
    Ok(claims)
}

fn failed(operation: &str, error: &dyn std::fmt::Display) -> RunError {
    RunError::Failed(format!("{operation}: {error}"))
}

/// The addresses of this machine, by which a node finds itself in the file.
pub(crate) fn local_addresses() -> io::Result<Vec<std::net::IpAddr>> {
    let all = nix::ifaddrs::getifaddrs()?;
    let address = |entry: nix::ifaddrs::InterfaceAddress| {
        let storage = entry.address?;
        let v4 = storage.as_sockaddr_in().map(|address| std::net::IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| std::net::IpAddr::V6(address.ip())))
    };
    Ok(all.filter_map(address).collect())
}

fn prepare_memory() -> Vec<String> {
    match realtime::lock_memory() {
        Ok(()) => Vec::new(),
        Err(error) => {
            let text = format!("memory is not locked ({error}): give CAP_IPC_LOCK or LimitMEMLOCK=infinity");
            tracing::warn!("{text}");
            vec![text]
        }
    }
}

fn loaded(found: store::Loaded) -> Loaded {
    match found {
        store::Loaded::Fresh => Loaded::Fresh,
        store::Loaded::State { state, remark } => {
            if let Some(remark) = remark {
                tracing::warn!("{remark}");
            }
            Loaded::State(Durable { lease: state.lease, groups: state.groups })
        }
        store::Loaded::Damaged(description) => {
            tracing::error!("{description}");
            Loaded::Damaged
        }
    }
}

async fn serve(
    options: &RunOptions,
    (config, text): (Config, String),
    keys: KeyFile,
    store: Store,
    found: store::Loaded,
    mut warnings: Vec<String>,
) -> Result<(), RunError> {
    let listener = server::bind(&options.socket)
        .map_err(|error| failed(&format!("control socket {}", options.socket.display()), &error))?;
    let (words_in, words) = mpsc::channel(WORDS);
    let started = clock::now();
    let report = words_in.clone();
    let store = store.start(move |version, result| {
        // A full queue means that the slow side is far behind; the next write reports again.
        let _behind = report.try_send(slow::Word::Stored { version, result });
    });
    let store = store.map_err(|error| failed("starting the store", &error))?;
    let announcer = start_announcer(words_in.clone()).map_err(|error| failed("starting the announcer", &error))?;
    let setup = from_config::setup(&config, &keys, seed()?, loaded(found));
    let links = from_config::udp_links(&config);
    let peers = config.peers().map(|peer| peer.id).collect();
    let interfaces = usize::from(setup.interfaces);
    let hands = Hands::new(interfaces, links.clone(), peers, from_config::hand_groups(&config), announcer.handle());
    let (slow_end, hot_end, vital) = orders::queues().map_err(|error| failed("making the queues", &error))?;
    let engine = Engine::new(setup, started);
    let (recorder, tape) = crate::flight::queue();
    let flight = flight::Flight::new(tape, &config, &options.state_dir, words_in.clone());
    let connections = connections::start(&config, &keys, words_in.clone())?;
    let hot =
        Hot::new(engine, hands, recorder, hot_end).map_err(|error| failed("preparing the hot thread", &error))?;
    warnings.extend(start_hot(hot, words_in)?);
    let (events_in, keeper_events) = mpsc::channel(EVENTS);
    let keeper = KeeperHandle::start(from_config::guarded(&config), systemd::kept(), move |event| {
        if events_in.try_send(event).is_err() {
            tracing::error!("an event of an interface was lost: the slow side is far behind");
        }
    });
    let keeper = keeper.map_err(|error| failed("starting the keeper", &error))?;
    let (calls_in, calls) = mpsc::channel(64);
    let server = tokio::spawn(server::serve(listener, calls_in));
    let slow = Slow {
        names: words::Names::new(&config),
        state: slow::State::new(interfaces, &links),
        end: slow_end,
        vital,
        journal: slow::events::Journal::new(),
        store,
        keeper: Some(keeper),
        started,
        warnings,
        words,
        keeper_events,
        calls,
        config,
        text,
        keys,
        options: options.clone(),
        reload: slow::reload::Reload::default(),
        service: slow::service::start().map_err(|error| failed("starting checks and hooks", &error))?,
        flight,
        connections,
    };
    let result = slow.run().await;
    server.abort();
    drop(announcer);
    // Somebody may have removed it already; a socket that stays is replaced at the next start.
    let _gone = std::fs::remove_file(&options.socket);
    result.map_err(|error| failed("the hot thread", &error))
}

fn seed() -> Result<[u8; 32], RunError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| failed("reading random bytes", &error))?;
    Ok(seed)
}

fn start_announcer(report: mpsc::Sender<slow::Word>) -> io::Result<Announcer> {
    Announcer::start(
        || drop(realtime::be_realtime(realtime::ANNOUNCER_PRIORITY)),
        move |announced| {
            // A full queue means that the slow side is far behind; an announcement more or less is not missed.
            let _behind = report.try_send(slow::Word::Announced(announced));
        },
    )
}

/// Starts the hot thread and waits until it knows its priority.
fn start_hot(hot: Hot, words: mpsc::Sender<slow::Word>) -> Result<Option<String>, RunError> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let body = move || {
        let priority = realtime::be_realtime(realtime::HOT_PRIORITY);
        realtime::touch_stack();
        // The starter waits for exactly this one word.
        let _heard = tell.send(priority);
        let result = hot.run();
        let _behind = words.blocking_send(slow::Word::HotEnded(result));
    };
    std::thread::Builder::new()
        .name("hot".into())
        .spawn(body)
        .map_err(|error| failed("starting the hot thread", &error))?;
    match told.recv() {
        Ok(Ok(())) => Ok(None),
        Ok(Err(error)) => {
            let text =
                format!("no real-time priority ({error}): on a busy machine pulses can be late; give CAP_SYS_NICE");
            tracing::warn!("{text}");
            Ok(Some(text))
        }
        Err(_) => Err(RunError::Failed("the hot thread ended at once".to_owned())),
    }
}
