//! Readiness as clients see it: would the kernel answer them here, gate or no gate, and does the
//! way back to them still exist?
//!
//! Owns: a thread with a netlink socket of its own that looks every two seconds, and what it has
//! found. Never does: change a route or a setting, or judge what follows: it reports what a group
//! lacks, twice seen, and the engine compares nodes. Where the kernel cannot be asked, nothing is
//! reported, and what was reported stands. The work of a look is bounded: of very many groups some
//! are looked at in each.
//!
//! | file | noun |
//! |---|---|
//! | `ways` | what was reached by a route, and is no longer |

mod ways;

use crate::engine::Lacks;
use crate::io::netlink::{Answering, Netlink, RouteInfo};
use crate::keeper::Guarded;
use crate::types::{GroupKey, InterfaceId, Vip};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use ways::Ways;

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Looks in a row that must find a lack: routes are missing for a moment when they are replaced.
const LOOKS: u8 = 2;
/// Questions to the kernel in one look, about 10 µs each.
const QUESTIONS: usize = 1024;
/// Orders that may wait for the thread.
const ORDERS: usize = 64;

/// What the thread has found: new, or over.
#[derive(Debug)]
pub(crate) struct Report {
    /// The lack: [`Lacks::ANSWER`] or [`Lacks::WAY_BACK`].
    pub lack: Lacks,
    /// The groups that lack it from now on, or no longer.
    pub groups: Vec<GroupKey>,
    /// What the first of them lacks, for people; `None` when that is over.
    pub why: Option<String>,
}

/// What the thread is told.
enum Order {
    /// Other interfaces, groups, and addresses of peers. What was there before is forgotten.
    Watch(Vec<Guarded>, Vec<IpAddr>),
    /// Who was seen on a segment.
    Clients(InterfaceId, Vec<IpAddr>),
}

/// Handle of the thread, which ends when the handle is dropped.
pub(crate) struct Readiness {
    orders: SyncSender<Order>,
}

impl Readiness {
    /// Starts the thread in the network namespace of the calling thread. `report` is called there
    /// and must not block.
    ///
    /// # Errors
    /// When the process is out of threads.
    pub fn start(report: impl FnMut(Report) + Send + 'static) -> io::Result<Readiness> {
        let (orders, receiver) = sync_channel(ORDERS);
        let watcher = Watcher { ports: Vec::new(), peers: Vec::new(), report: Box::new(report) };
        std::thread::Builder::new().name("readiness".into()).spawn(move || watcher.run(&receiver))?;
        Ok(Readiness { orders })
    }

    /// Has other interfaces and groups looked at, and forgets which ways there were before: so an
    /// operator accepts that one has gone. `peers`: addresses of the other nodes.
    pub fn watch(&self, guarded: Vec<Guarded>, peers: Vec<IpAddr>) {
        self.send(Order::Watch(guarded, peers));
    }

    /// Tells who was seen on a segment: they are the clients that must be answered.
    pub fn set_clients(&self, interface: InterfaceId, clients: Vec<IpAddr>) {
        self.send(Order::Clients(interface, clients));
    }

    /// Hands an order over. At the bound it is lost, which only a thread that hangs in the kernel
    /// can cause.
    fn send(&self, order: Order) {
        if let Err(TrySendError::Full(_)) = self.orders.try_send(order) {
            tracing::warn!("the thread that looks after readiness does not take its orders");
        }
    }
}

/// The thread.
struct Watcher {
    ports: Vec<Port>,
    peers: Vec<IpAddr>,
    report: Box<dyn FnMut(Report) + Send>,
}

/// One interface, its groups, and who was seen there.
struct Port {
    wanted: Guarded,
    clients: Vec<IpAddr>,
    /// Place of the group whose turn is next.
    turn: usize,
    states: HashMap<GroupKey, State>,
}

/// What is known of one group.
#[derive(Default)]
struct State {
    ways: Ways,
    mute: Streak,
    cut: Streak,
}

/// A lack that must be seen in [`LOOKS`] looks.
#[derive(Default)]
struct Streak {
    looks: u8,
    told: bool,
}

impl Streak {
    /// Counts a look. True if the lack is new, or over.
    fn count(&mut self, found: bool) -> bool {
        self.looks = if found { self.looks.saturating_add(1) } else { 0 };
        let holds = self.looks >= LOOKS || (found && self.told);
        std::mem::replace(&mut self.told, holds) != holds
    }
}

/// What one look has found to be new or over, by lack.
#[derive(Default)]
struct News(Vec<Report>);

impl News {
    /// Adds what one group lacks, or no longer.
    fn add(&mut self, lack: Lacks, group: GroupKey, why: Option<String>) {
        let same = |report: &&mut Report| report.lack == lack && report.why.is_some() == why.is_some();
        match self.0.iter_mut().find(same) {
            Some(report) => report.groups.push(group),
            None => self.0.push(Report { lack, groups: vec![group], why }),
        }
    }
}

impl Watcher {
    /// Looks until the handle is dropped.
    fn run(mut self, orders: &Receiver<Order>) {
        let mut netlink = None;
        let mut next = Instant::now();
        loop {
            match orders.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Order::Watch(guarded, peers)) => self.watch(guarded, peers),
                Ok(Order::Clients(interface, clients)) => {
                    let port = self.ports.iter_mut().find(|port| port.wanted.interface == interface);
                    port.into_iter().for_each(|port| port.clients.clone_from(&clients));
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    next = Instant::now() + LOOK;
                    match netlink.take().map_or_else(Netlink::open, Ok) {
                        Ok(mut open) => {
                            self.look(&mut open, Instant::now());
                            netlink = Some(open);
                        }
                        Err(cause) => tracing::debug!(%cause, "cannot ask the kernel for routes"),
                    }
                }
            }
        }
    }

    /// Looks at other groups from now on. What was told of ways back is taken back.
    fn watch(&mut self, guarded: Vec<Guarded>, peers: Vec<IpAddr>) {
        let mut news = News::default();
        let mut states = HashMap::new();
        for (key, state) in std::mem::take(&mut self.ports).into_iter().flat_map(|port| port.states) {
            if state.cut.told {
                news.add(Lacks::WAY_BACK, key, None);
            }
            states.insert(key, State { mute: state.mute, ..State::default() });
        }
        self.peers = peers;
        for wanted in guarded {
            let keys = wanted.groups.iter().map(|(key, _)| *key);
            let states = keys.map(|key| (key, states.remove(&key).unwrap_or_default())).collect();
            self.ports.push(Port { wanted, clients: Vec::new(), turn: 0, states });
        }
        news.0.into_iter().for_each(&mut self.report);
    }

    /// Looks at every interface that is up, and reports what is new.
    fn look(&mut self, netlink: &mut Netlink, now: Instant) {
        let mut news = News::default();
        for port in &mut self.ports {
            if let Err(cause) = port.look(netlink, &self.peers, now, &mut news) {
                tracing::debug!(%cause, interface = port.wanted.name, "cannot look at the answers of the kernel");
            }
        }
        news.0.into_iter().for_each(&mut self.report);
    }
}

impl Port {
    /// Looks at the groups whose turn it is. Of an interface without a signal nothing can be said:
    /// its routes may be gone with it.
    fn look(&mut self, netlink: &mut Netlink, peers: &[IpAddr], now: Instant, news: &mut News) -> io::Result<()> {
        let Some(link) = netlink.interface(&self.wanted.name)?.filter(|link| link.carrier) else { return Ok(()) };
        let answering = Answering::read(netlink, link.index, &self.wanted.name)?;
        let mut routes = netlink.routes(link.index)?;
        routes.retain(|route| route.prefix == 0 || !route.is_dynamic);
        let clients: Vec<IpAddr> = self.clients.iter().chain(peers).copied().collect();
        let count = self.wanted.groups.len();
        let mut questions = 0;
        for turn in 0..count {
            let (key, addresses) = &self.wanted.groups[(self.turn + turn) % count];
            if questions >= QUESTIONS {
                self.turn = (self.turn + turn) % count;
                break;
            }
            let state = self.states.entry(*key).or_default();
            let (mut mute, mut cut) = (None, None);
            for vip in first_of_each_family(addresses).filter(|vip| answering.has(*vip)) {
                questions += 2 * clients.len() + routes.len() + 2;
                mute = mute.or(refusal(netlink, &answering, vip, &clients, &self.wanted.name)?);
                let here: Vec<RouteInfo> =
                    routes.iter().copied().filter(|route| route.network.is_ipv4() == vip.is_ipv4()).collect();
                let gone =
                    state.ways.look(vip, &here, now, |to| netlink.way_out(vip, to).map(|way| (way, link.index)))?;
                cut =
                    cut.or(
                        gone.map(|gone| format!("from {vip} {gone} is reached no more through {}", self.wanted.name))
                    );
            }
            if state.mute.count(mute.is_some()) {
                news.add(Lacks::ANSWER, *key, mute);
            }
            if state.cut.count(cut.is_some()) {
                news.add(Lacks::WAY_BACK, *key, cut);
            }
        }
        Ok(())
    }
}

/// The first address of each family of a group: settings and routes are those of all of them, but
/// for rules that name a single one.
fn first_of_each_family(addresses: &[Vip]) -> impl Iterator<Item = Vip> {
    let first = |ipv6: bool| addresses.iter().copied().find(move |vip| vip.is_ipv6() == ipv6);
    first(false).into_iter().chain(first(true))
}

/// Why some client of the segment would get no answer for `vip`. Where nobody was seen, whoever has
/// the address next to it is asked for.
fn refusal(
    netlink: &mut Netlink,
    answering: &Answering,
    vip: Vip,
    clients: &[IpAddr],
    interface: &str,
) -> io::Result<Option<String>> {
    let asks = |client: &IpAddr| answering.is_neighbour(*client, vip) && !answering.has(*client);
    let stand_in = beside(vip);
    for client in clients.iter().copied().filter(asks).chain(asks(&stand_in).then_some(stand_in)) {
        if let Some(mute) = answering.refuses(netlink, vip, client)? {
            return Ok(Some(format!("a client at {client} would get no answer for {vip} on {interface}: {mute}")));
        }
    }
    Ok(None)
}

/// The address beside another: the last bit is the other one.
fn beside(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => std::net::Ipv4Addr::from_bits(address.to_bits() ^ 1).into(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() ^ 1).into(),
    }
}
