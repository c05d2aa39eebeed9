//! Start order and shutdown of the agent.
//!
//! Owns: that order, and the bounds of the queues to the slow side. Never does: decide anything.
//!
//! Start: signals are caught, then configuration and keys, the store (locked), memory and threads,
//! then interfaces: closed gate first, then addresses; the engine listens meanwhile. Nothing opens
//! before the engine says so, and what only people need (the control socket) holds up no start.
//! Stop: the engine hands over and says goodbye, the gates stay, closed. A crash anywhere leaves
//! the kernel's gates to close by themselves.

use crate::announcer::Announcer;
use crate::config::{Config, KeyFile, ReadFile};
use crate::durable::{Durable, Loaded};
use crate::engine::Engine;
use crate::gate::Former;
use crate::hot::{Hands, Hot};
use crate::io::units::Systemd;
use crate::io::{clock, realtime, shortage, systemd};
use crate::keeper::KeeperHandle;
use crate::launch::Launcher;
use crate::load::load;
use crate::options::{RunError, RunOptions};
use crate::readiness;
use crate::signals::Signals;
use crate::slow::Slow;
use crate::slow::calls::Calls;
use crate::slow::checks::Checks;
use crate::slow::connections::Connections;
use crate::slow::current::Current;
use crate::slow::events::Events;
use crate::slow::flight::Flight;
use crate::slow::hooks::Hooks;
use crate::slow::lacks::LackTable;
use crate::slow::message::Message;
use crate::slow::paths::Paths;
use crate::slow::ports::Ports;
use crate::slow::readiness::Readiness;
use crate::slow::reload::Reload;
use crate::slow::served::Served;
use crate::slow::service_thread::ServiceThread;
use crate::slow::socket::ControlSocket;
use crate::slow::vitals::Vitals;
use crate::store::{self, Store, StoreError, StoreHandle};
use crate::{from_config, orders};
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Longest wait for the lock of an agent that is just ending.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// Interval between two attempts to take that lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// Reports on interfaces that wait for the slow side: at the worst one for each address that was
/// removed by hand.
const REPORTS: usize = 65_536;
/// Messages from other threads that wait for the slow side.
const MESSAGES: usize = 1024;
/// Requests of clients that wait for the slow side.
const CALLS: usize = 64;
/// Time until a start begins anew that failed for want of something.
const AGAIN: Duration = Duration::from_millis(250);

/// Runs the agent until it is told to stop. What fails for want of descriptors, memory or threads,
/// or because a disk does not answer, does not end the start: it begins anew every [`AGAIN`].
///
/// # Errors
/// See [`RunError`]. Nothing is open when it returns.
pub fn run(options: &RunOptions) -> Result<(), RunError> {
    // Once, whatever begins anew: nobody else may own these numbers.
    let kept = systemd::kept();
    let mut told = String::new();
    let runtime = loop {
        match make_runtime() {
            Ok(runtime) => break runtime,
            Err(error) if shortage::is_shortage(&error) => {
                tell_once(&mut told, &format!("starting the runtime: {error}"));
                std::thread::sleep(AGAIN);
            }
            Err(error) => return Err(RunError::failed("starting the runtime", &error)),
        }
    };
    runtime.block_on(async {
        let mut signals = Signals::catch().map_err(|error| RunError::failed("catching signals", &error))?;
        loop {
            let of_start = options.clone();
            let assembled = match signals.unless_ended(move || find(&of_start)).await {
                Ok(None) => break,
                Ok(Some(found)) => found.and_then(|found| assemble(options, found, &kept)),
                Err(error) => Err(error),
            };
            match assembled {
                Ok(parts) => {
                    drop(kept);
                    return parts.run(signals).await;
                }
                Err(RunError::Short(text)) => tell_once(&mut told, &text),
                Err(error) => return Err(error),
            }
            if signals.ended_within(AGAIN).await {
                break;
            }
        }
        tracing::info!("told to end before anything was started");
        Ok(())
    })
}

/// The runtime of the slow side.
fn make_runtime() -> io::Result<Runtime> {
    // The runtime panics where the system gives no pair of sockets: ask before.
    let _room = (UnixDatagram::pair()?, UnixDatagram::pair()?);
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Logs why the start begins anew, unless the last attempt failed for the same reason.
fn tell_once(told: &mut String, text: &str) {
    if told != text {
        tracing::warn!("{text}; the start begins anew every {} ms", AGAIN.as_millis());
        text.clone_into(told);
    }
}

/// What the agent finds before it starts anything: what it is to do, and what the life before has
/// left.
struct Found {
    current: Current,
    store: Store,
    state: store::Loaded,
    /// Claims on the interfaces, to be held as long as the agent lives.
    claims: Vec<UnixDatagram>,
}

/// Reads configuration, keys and state, and claims the interfaces. Waits for addresses, for the
/// lock of the life before, and for the disk.
fn find(options: &RunOptions) -> Result<Found, RunError> {
    let ReadFile { config, text } = load(options)?;
    let keys = KeyFile::load(&config.key_file).map_err(|error| {
        let text = format!("{}: {}; {}", config.key_file.display(), error.wrong(), error.right());
        if error.is_unread() { RunError::Short(text) } else { RunError::Failed(text) }
    })?;
    let hash = store::cluster_hash(&config.cluster);
    let (store, state) = open_store(options, &config, hash)?;
    let claims = claim_interfaces(&config)?;
    Ok(Found { current: Current::new(config, text, keys), store, state, claims })
}

/// Opens the store. An agent that was killed a moment ago may still hold the lock while the kernel
/// takes its process apart. Nothing is decided without the state: where its disk does not answer, or
/// something is short, the start begins anew.
fn open_store(options: &RunOptions, config: &Config, hash: u64) -> Result<(Store, store::Loaded), RunError> {
    let patience = clock::now() + LOCK_PATIENCE;
    loop {
        match Store::open(&options.state_dir, config.me, hash) {
            Err(StoreError::Locked { .. }) if clock::now() < patience => std::thread::sleep(LOCK_PAUSE),
            Err(error @ StoreError::Io { .. }) if error.is_unread() => {
                return Err(RunError::Short(error.to_string()));
            }
            Err(error) => return Err(RunError::Failed(error.to_string())),
            Ok(opened) => return Ok(opened),
        }
    }
}

/// Claims every interface for this agent, because two agents would write to one gate. A claim is an
/// abstract socket: it belongs to the network namespace, as the interface does, and ends with the
/// process. Waits up to [`LOCK_PATIENCE`] for an agent that is just ending.
fn claim_interfaces(config: &Config) -> Result<Vec<UnixDatagram>, RunError> {
    let patience = clock::now() + LOCK_PATIENCE;
    let mut claims = Vec::new();
    for name in config.interfaces() {
        let address = SocketAddr::from_abstract_name(format!("vipair/gate/{name}"));
        let address = address.map_err(|error| RunError::failed("naming the interface's claim", &error))?;
        loop {
            match UnixDatagram::bind_addr(&address) {
                Ok(claim) => break claims.push(claim),
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    return Err(RunError::failed(&format!("claiming interface {name}"), &error));
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

/// Locks the process's memory; returns a warning if that is not permitted.
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

/// What the store has found on the disk, in the form that the engine is built from. Remarks and
/// damage are logged.
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

/// All parts of the agent, started.
struct Parts {
    slow: Slow,
    announcer: Announcer,
    /// Held as long as the agent lives.
    _claims: Vec<UnixDatagram>,
}

impl Parts {
    /// Runs the slow side until the hot thread has ended.
    async fn run(self, signals: Signals) -> Result<(), RunError> {
        let result = self.slow.run(signals).await;
        drop(self.announcer);
        result.map_err(|error| RunError::failed("the hot thread", &error))
    }
}

/// Starts every thread, the hot one last: what fails before it can be begun anew.
/// `kept` are the descriptors that an earlier life left; they stay with the caller.
fn assemble(options: &RunOptions, found: Found, kept: &[OwnedFd]) -> Result<Parts, RunError> {
    let Found { current, store, state, claims } = found;
    let kept: io::Result<Vec<OwnedFd>> = kept.iter().map(OwnedFd::try_clone).collect();
    let kept = kept.map_err(|error| RunError::failed("taking the gates' descriptors", &error))?;
    let former = Former::new(kept, Some(&options.socket.with_extension("gates")));
    let mut warnings = prepare_memory();
    let (config, keys) = (&current.config, &current.keys);
    let (messages_in, messages) = mpsc::channel(MESSAGES);
    let started = clock::now();
    let store = start_store(store, messages_in.clone())?;
    let announcer = start_announcer(messages_in.clone())?;
    let setup = from_config::engine_setup(config, keys, seed()?, loaded(state));
    let links = from_config::udp_links(config);
    let interfaces = usize::from(setup.interfaces);
    let peers = config.peers().map(|peer| peer.id).collect();
    let hands = Hands::new(interfaces, links.clone(), peers, from_config::hand_groups(config), announcer.handle());
    let (slow_end, hot_end, vital) =
        orders::queues(&links).map_err(|error| RunError::failed("making the queues", &error))?;
    let woken = slow_end.woken.for_tokio().map_err(|error| RunError::failed("waiting for the hot thread", &error))?;
    let engine = Engine::new(setup, started);
    let (recorder, tape) = crate::flight::queue();
    let flight = Flight::new(tape, config, &options.state_dir, messages_in.clone());
    let connections = Connections::start(config, keys, messages_in.clone())?;
    let hot = Hot::new(engine, hands, recorder, hot_end)
        .map_err(|error| RunError::failed("preparing the hot thread", &error))?;
    let readiness_reports = messages_in.clone();
    let (calls_in, calls) = mpsc::channel(CALLS);
    let service_thread =
        ServiceThread::start().map_err(|error| RunError::failed("starting checks and hooks", &error))?;
    let (systemd, launcher) = (Arc::new(Systemd::default()), Arc::new(Launcher::new()));
    let mut ports = start_keeper(config, interfaces, former)?;
    match start_hot(hot, messages_in) {
        Ok(more) => warnings.extend(more),
        Err(error) => {
            // Its thread is over before another keeper begins.
            ports.finish();
            return Err(error);
        }
    }
    let readiness = start_readiness(readiness_reports, &current);
    let slow = Slow {
        current,
        started,
        warnings,
        end: slow_end,
        woken,
        store,
        messages,
        reload: Reload::new(options.clone()),
        ports,
        lacks: LackTable::default(),
        readiness,
        paths: Paths::new(&links),
        checks: Checks::new(service_thread.runtime(), Arc::clone(&systemd), Arc::clone(&launcher)),
        hooks: Hooks::new(service_thread.runtime(), systemd, launcher),
        _service_thread: service_thread,
        flight,
        connections,
        events: Events::new(),
        served: Served::default(),
        calls: Calls::new(calls),
        socket: ControlSocket::new(options.socket.clone(), calls_in),
        vitals: Vitals::new(vital),
        stopping: false,
        leaving: Vec::new(),
    };
    Ok(Parts { slow, announcer, _claims: claims })
}

/// Starts the store's thread; results of its writes arrive as messages.
fn start_store(store: Store, messages: mpsc::Sender<Message>) -> Result<StoreHandle, RunError> {
    let report = move |version, result| {
        // A full queue means that the slow side is far behind; the next write reports again.
        let _behind = messages.try_send(Message::Stored { version, result });
    };
    store.start(report).map_err(|error| RunError::failed("starting the store", &error))
}

/// Starts the thread that asks whether clients would be answered; its reports arrive as messages.
/// Without it the agent serves all the same.
fn start_readiness(messages: mpsc::Sender<Message>, current: &Current) -> Readiness {
    let thread = readiness::Readiness::start(move |report| {
        if messages.try_send(Message::Readiness(report)).is_err() {
            tracing::error!("a report on readiness was lost: the slow side is far behind");
        }
    });
    let thread = thread.map_err(|error| tracing::warn!(%error, "nobody asks whether clients would be answered"));
    Readiness::new(thread.ok(), current)
}

/// Starts the keeper of the interfaces; its reports arrive in the ports. Beside the control socket,
/// which is in memory, the gates' programs are noted for a later life.
fn start_keeper(config: &Config, interfaces: usize, former: Former) -> Result<Ports, RunError> {
    let (reports_in, reports) = mpsc::channel(REPORTS);
    let keeper = KeeperHandle::start(from_config::guarded(config), former, move |report| {
        if reports_in.try_send(report).is_err() {
            tracing::error!("an event of an interface was lost: the slow side is far behind");
        }
    });
    let keeper = keeper.map_err(|error| RunError::failed("starting the keeper", &error))?;
    Ok(Ports::new(interfaces, keeper, reports))
}

/// Seed of the engine's random numbers, from the kernel.
fn seed() -> Result<[u8; 32], RunError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| RunError::Failed(format!("reading random bytes: {error}")))?;
    Ok(seed)
}

/// Starts the announcer's thread; its reports arrive as messages.
fn start_announcer(messages: mpsc::Sender<Message>) -> Result<Announcer, RunError> {
    let started = Announcer::start(
        || drop(realtime::be_realtime(realtime::ANNOUNCER_PRIORITY)),
        move |report| {
            // A full queue means that the slow side is far behind; a report more or less is not
            // missed.
            let _behind = messages.try_send(Message::Announced(report));
        },
    );
    started.map_err(|error| RunError::failed("starting the announcer", &error))
}

/// Starts the hot thread, and waits until it knows its priority; returns a warning if that is not
/// real-time.
fn start_hot(hot: Hot, messages: mpsc::Sender<Message>) -> Result<Option<String>, RunError> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let body = move || {
        let priority = realtime::be_realtime(realtime::HOT_PRIORITY);
        realtime::touch_stack();
        // The starter waits for exactly this one message.
        let _heard = tell.send(priority);
        let result = hot.run();
        let _behind = messages.blocking_send(Message::HotEnded(result));
    };
    std::thread::Builder::new()
        .name("hot".into())
        .spawn(body)
        .map_err(|error| RunError::failed("starting the hot thread", &error))?;
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
