//! Tests of connections: changes of lists, frames of a peer, and two threads that mirror each
//! other's lists in a namespace of their own.

use super::list::changes;
use super::mirrored::Mirrored;
use super::*;
use crate::io::clock;
use crate::testing::netns::{destroy_sockets, in_netns, ip};
use crate::wire::mirror::{Connection, Frame, GREETING_SIZE, INTRODUCTION_SIZE, PORT};
use proptest::prelude::*;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

mod outlet;

const GROUP: GroupKey = GroupKey(7);
const OTHER: GroupKey = GroupKey(8);
const NOW: MonoTime = MonoTime(1_000_000_000);
const PATIENCE: Duration = Duration::from_secs(60);

/// The connection of a client at port `n` to the address of the group.
fn connection(n: u16) -> Connection {
    Connection::new("10.0.0.100:80".parse().unwrap(), SocketAddr::new("10.0.0.7".parse().unwrap(), n))
}

proptest! {
    #[test]
    fn what_came_and_went_makes_the_new_list_of_the_old(
        old in proptest::collection::btree_set(0_u16..40, 0..20),
        new in proptest::collection::btree_set(0_u16..40, 0..20),
    ) {
        let list = |ports: &BTreeSet<u16>| ports.iter().copied().map(connection).collect::<Vec<_>>();
        let (came, went) = changes(&list(&old), &list(&new));
        prop_assert_eq!(came, list(&new.difference(&old).copied().collect()));
        prop_assert_eq!(went, list(&old.difference(&new).copied().collect()));
    }
}

#[test]
fn a_renewed_list_replaces_the_old_one_when_it_is_complete() {
    let mut mirrored = Mirrored::default();
    let ours = |group| group == GROUP;
    let say = |mirrored: &mut Mirrored, frame| mirrored.apply(frame, ours, NOW);
    say(&mut mirrored, Frame::Add(GROUP, vec![connection(1), connection(2)]));
    say(&mut mirrored, Frame::Remove(GROUP, vec![connection(2), connection(3)]));
    assert_eq!(mirrored.figures_of(GROUP), (1, None), "nobody said that this is all");
    assert_eq!(say(&mut mirrored, Frame::Complete(5)), Some(Frame::Held(5, 1)));
    assert_eq!(mirrored.figures_of(GROUP), (1, Some(NOW)));
    say(&mut mirrored, Frame::Begin(GROUP));
    say(&mut mirrored, Frame::Add(GROUP, vec![connection(4), connection(5)]));
    say(&mut mirrored, Frame::Add(OTHER, vec![connection(9)]));
    assert_eq!(mirrored.figures_of(GROUP), (1, Some(NOW)), "the old one stands until then");
    assert_eq!(mirrored.figures_of(OTHER), (0, None), "a group that is not ours");
    assert_eq!(say(&mut mirrored, Frame::Complete(6)), Some(Frame::Held(6, 2)));
    say(&mut mirrored, Frame::Begin(GROUP));
    say(&mut mirrored, Frame::Add(GROUP, vec![connection(6)]));
    assert_eq!(mirrored.take_for_tickling(GROUP), [4, 5, 6].map(connection), "of a broken one both parts count");
    assert_eq!((mirrored.take_for_tickling(GROUP), mirrored.figures_of(GROUP)), (Vec::new(), (0, None)), "once");
    assert_eq!(say(&mut mirrored, Frame::Complete(7)), Some(Frame::Held(7, 1)));
    assert_eq!(mirrored.take_for_tickling(GROUP), [connection(6)], "added since");
    // A peer that was not gone goes on with what changes.
    say(&mut mirrored, Frame::Add(GROUP, vec![connection(7)]));
    assert_eq!(mirrored.take_for_tickling(GROUP), [6, 7].map(connection));
}

// S6: an authentic peer that sends nonsense costs no more than twice the bound.
#[test]
fn more_connections_than_the_bound_are_not_held() {
    let mut mirrored = Mirrored::default();
    let part = |n: u32| {
        let remote = SocketAddr::new(std::net::Ipv4Addr::from_bits(n).into(), 1);
        Connection::new("10.0.0.100:80".parse().unwrap(), remote)
    };
    for begin in (0..450_000_u32).step_by(1_000) {
        mirrored.apply(Frame::Add(GROUP, (begin..begin + 1_000).map(part).collect()), |_| true, NOW);
    }
    assert_eq!(mirrored.figures_of(GROUP).0, 2 * MAX_CONNECTIONS);
    assert_eq!(mirrored.take_for_tickling(GROUP).len(), MAX_CONNECTIONS);
}

/// Two nodes at 127.0.0.11 and 127.0.0.12 that share a kernel, and a group's address; beta has
/// another one, so that what it ends is not what alpha has.
struct Pair {
    alpha: Connections,
    beta: Connections,
    told: std::sync::mpsc::Receiver<Event>,
}

const ADDRESS: &str = "10.9.9.9";

/// Setup of the node `me`, 1 or 2, with the one group; `key` fills the key of the cluster.
fn setup(me: u8, key: u8) -> Setup {
    let ends: [IpAddr; 2] = ["127.0.0.11", "127.0.0.12"].map(|text| text.parse().unwrap());
    let (mine, theirs) = if me == 1 { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
    Setup {
        me: NodeId(me),
        peer: NodeId(3 - me),
        links: vec![(mine, theirs)],
        keys: MirrorKeys::new(("web", 1), &[(1, [key; 32])]),
        groups: vec![Watched {
            key: GROUP,
            addresses: vec![if me == 1 { ADDRESS } else { "10.9.9.7" }.parse().unwrap()],
            drain: Duration::from_millis(400),
        }],
    }
}

impl Pair {
    /// Starts both threads, alpha with the first key and beta with the second.
    fn start(keys: [u8; 2]) -> Pair {
        ip(&format!("address add {ADDRESS}/32 dev lo"));
        ip("address add 10.9.9.8/32 dev lo");
        let (tell, told) = sync_channel(1_000);
        let alpha = Connections::start(setup(1, keys[0]), |_| {}).unwrap();
        let beta = Connections::start(setup(2, keys[1]), move |event| tell.send(event).unwrap()).unwrap();
        Pair { alpha, beta, told }
    }
}

/// A client at 10.9.9.8 and its server's side.
fn client(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"10.9.9.8:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&listener.local_addr().unwrap().into()).unwrap();
    (socket.into(), listener.accept().unwrap().0)
}

/// Waits until `found` gives something, and returns that; fails with `what` after [`PATIENCE`].
fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < limit, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Number of connections of the peer that a thread holds.
fn mirrored(connections: &Connections) -> usize {
    connections.figures().groups.get(&GROUP).map_or(0, |group| group.mirrored)
}

#[test]
fn the_standby_knows_the_actives_connections_and_tells_their_clients_three_times() {
    in_netns(|| {
        let pair = Pair::start([1, 1]);
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        let mut open: Vec<_> = (0..30).map(|_| client(&listener)).collect();
        pair.alpha.opened(GROUP, Opening::Adopted, clock::now());
        wait("30 connections", || (mirrored(&pair.beta) == 30).then_some(()));
        open.truncate(20);
        wait("10 of them to go", || (mirrored(&pair.beta) == 20).then_some(()));
        wait("the peer's word", || (pair.alpha.figures().held == 20).then_some(()));
        pair.beta.opened(GROUP, Opening::TakenOver, clock::now());
        let done = wait("clients to be told", || match pair.told.try_recv() {
            Ok(Event::Tickled { sent, failed, .. }) => Some((sent, failed)),
            _ => None,
        });
        assert_eq!(done, (60, 0));
        wait("the figure", || (pair.beta.figures().groups[&GROUP].tickled == 60).then_some(()));
        assert_eq!(mirrored(&pair.beta), 0, "they are told of one takeover");
    });
}

#[test]
fn what_is_left_at_the_end_of_a_drain_is_reset() {
    in_netns(|| {
        let pair = Pair::start([1, 1]);
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        let (mut left, _server) = client(&listener);
        pair.alpha.opened(GROUP, Opening::Adopted, clock::now());
        wait("the connection", || (mirrored(&pair.beta) == 1).then_some(()));
        let closed = clock::now();
        pair.alpha.closed(GROUP, Closing::HandedOver, closed);
        left.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(left.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(clock::now().since(closed) >= Duration::from_millis(300), "the drain of 400 ms was not waited for");
        wait("the figure", || (pair.alpha.figures().groups[&GROUP].reset == 1).then_some(()));
    });
}

#[test]
fn a_group_that_comes_back_within_the_drain_keeps_its_connections() {
    in_netns(|| {
        let pair = Pair::start([1, 1]);
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        let (mut kept, mut server) = client(&listener);
        pair.alpha.opened(GROUP, Opening::Adopted, clock::now());
        pair.alpha.closed(GROUP, Closing::HandedOver, clock::now());
        pair.alpha.opened(GROUP, Opening::HandedOver, clock::now());
        // Nothing is to happen: there is no condition to wait for.
        std::thread::sleep(Duration::from_millis(600));
        server.write_all(b"x").unwrap();
        kept.set_read_timeout(Some(PATIENCE)).unwrap();
        kept.read_exact(&mut [0]).expect("it lives");
    });
}

// S6
#[test]
fn strangers_change_counters_only() {
    in_netns(|| {
        let pair = Pair::start([1, 1]);
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        let _open = client(&listener);
        pair.alpha.opened(GROUP, Opening::Adopted, clock::now());
        wait("the connection", || (mirrored(&pair.beta) == 1).then_some(()));
        // A caller from another address than the peer's is not read at all.
        let mut stranger = TcpStream::connect(("127.0.0.12", PORT)).unwrap();
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(stranger.read(&mut [0]).unwrap_or(0), 0, "it is not greeted");
        // Callers from the peer's address without the key: garbage, a piece of a frame, nothing,
        // many at once.
        let call = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&"127.0.0.11:0".parse::<SocketAddr>().unwrap().into()).unwrap();
            socket.connect(&SocketAddr::new("127.0.0.12".parse().unwrap(), PORT).into()).unwrap();
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        };
        for said in [vec![0xff; INTRODUCTION_SIZE], vec![0x76; 5], Vec::new(), vec![7; 100_000]] {
            let mut caller = call();
            let mut greeting = [0; GREETING_SIZE];
            caller.read_exact(&mut greeting).expect("the peer's address is greeted");
            // The listener may close the connection before all of it is written.
            let _enough = caller.write_all(&said);
            let mut rest = Vec::new();
            let _reset = caller.read_to_end(&mut rest);
            assert!(rest.is_empty(), "nothing is said to a stranger: {rest:?}");
        }
        let crowd: Vec<TcpStream> = (0..40).map(|_| call()).collect();
        drop(crowd);
        wait("them to be counted", || (pair.beta.figures().refused >= 5).then_some(()));
        assert_eq!(mirrored(&pair.beta), 1);
        wait("the mirror to go on", || {
            let of = pair.beta.figures().groups[&GROUP];
            (of.mirrored_at? > clock::now().back(Duration::from_millis(900)) && of.mirrored == 1).then_some(())
        });
    });
}

// S6
#[test]
fn a_peer_with_another_key_tells_nothing() {
    in_netns(|| {
        let pair = Pair::start([1, 2]);
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        let _open = client(&listener);
        pair.alpha.opened(GROUP, Opening::Adopted, clock::now());
        wait("a refusal on both sides", || {
            (pair.alpha.figures().refused > 1 && pair.beta.figures().refused > 1).then_some(())
        });
        assert_eq!(mirrored(&pair.beta), 0);
        // The right key arrives by a reload.
        pair.beta.reconfigure(setup(2, 1));
        wait("the connection", || (mirrored(&pair.beta) == 1).then_some(()));
    });
}

// Fencing: a node that is closed and finds the peer active has a service that talks to no client.
#[test]
fn what_is_left_of_a_closed_group_is_reset_when_the_peer_has_it() {
    in_netns(|| {
        let pair = Pair::start([1, 1]);
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        let (mut left, _server) = client(&listener);
        pair.alpha.opened(GROUP, Opening::Adopted, clock::now().back(Duration::from_secs(60)));
        wait("the connection", || (mirrored(&pair.beta) == 1).then_some(()));
        pair.alpha.closed(GROUP, Closing::Other, clock::now());
        // The group may come back with its connections: nothing is to happen.
        left.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
        assert_eq!(left.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        pair.beta.opened(GROUP, Opening::TakenOver, clock::now());
        left.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(left.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        wait("the figure", || (pair.alpha.figures().groups[&GROUP].reset == 1).then_some(()));
    });
}

/// Plays an eavesdropper on the mirror's connection at 127.0.0.13: relays between the caller at
/// 127.0.0.11 and the listener at 127.0.0.12, and adds the caller's bytes to `said`.
fn record(said: &std::sync::Mutex<Vec<u8>>) {
    let listener = TcpListener::bind(("127.0.0.13", PORT)).unwrap();
    let (caller, _) = listener.accept().unwrap();
    let listener = calling();
    std::thread::scope(|scope| {
        let (mut from, mut to) = (listener.try_clone().unwrap(), caller.try_clone().unwrap());
        scope.spawn(move || drop(std::io::copy(&mut from, &mut to)));
        let (mut from, mut to, mut piece) = (&caller, &listener, [0; 4096]);
        while let Ok(count @ 1..) = from.read(&mut piece) {
            said.lock().unwrap().extend_from_slice(&piece[..count]);
            if to.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        let _gone = [caller.shutdown(std::net::Shutdown::Both), listener.shutdown(std::net::Shutdown::Both)];
    });
}

/// A connection to 127.0.0.12 from the peer's address.
fn calling() -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.11:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&SocketAddr::new("127.0.0.12".parse().unwrap(), PORT).into()).unwrap();
    socket.into()
}

// S6
#[test]
fn a_recorded_mirror_that_is_played_again_changes_nothing() {
    in_netns(|| {
        let mut mine = setup(1, 1);
        mine.links = vec![("127.0.0.11".parse().unwrap(), "127.0.0.13".parse().unwrap())];
        let mut theirs = setup(2, 1);
        theirs.links = vec![("127.0.0.12".parse().unwrap(), "127.0.0.11".parse().unwrap())];
        ip(&format!("address add {ADDRESS}/32 dev lo"));
        ip("address add 10.9.9.8/32 dev lo");
        let said = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let recording = scope.spawn(|| record(&said));
            let beta = Connections::start(theirs, |_| {}).unwrap();
            let alpha = Connections::start(mine, |_| {}).unwrap();
            let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
            let mut open: Vec<_> = (0..3).map(|_| client(&listener)).collect();
            alpha.opened(GROUP, Opening::Adopted, clock::now());
            wait("three connections", || (mirrored(&beta) == 3).then_some(()));
            open.truncate(1);
            wait("one of them to be left", || (mirrored(&beta) == 1).then_some(()));
            // The recording ends with alpha, and so does the live session.
            drop(alpha);
            recording.join().unwrap();
            let recorded = said.lock().unwrap().clone();
            assert!(recorded.len() > INTRODUCTION_SIZE + 3 * 36, "lists were recorded");
            wait("beta to have no peer", || (!beta.figures().heard).then_some(()));
            // As a whole, and without the introduction; the greeting is another one each time.
            for again in [&recorded[..], &recorded[INTRODUCTION_SIZE..]] {
                let before = beta.figures().refused;
                let mut caller = calling();
                caller.set_read_timeout(Some(PATIENCE)).unwrap();
                caller.read_exact(&mut [0; GREETING_SIZE]).expect("a greeting");
                let _enough = caller.write_all(again);
                let mut rest = Vec::new();
                let _reset = caller.read_to_end(&mut rest);
                assert!(rest.is_empty(), "it was answered: {rest:?}");
                wait("a refusal", || (beta.figures().refused > before).then_some(()));
                assert_eq!((mirrored(&beta), beta.figures().heard), (1, false));
            }
        });
    });
}

#[test]
fn a_listener_that_is_destroyed_is_replaced() {
    in_netns(|| {
        let mut theirs = setup(2, 1);
        theirs.links = vec![("127.0.0.12".parse().unwrap(), "127.0.0.11".parse().unwrap())];
        let beta = Connections::start(theirs, |_| {}).unwrap();
        let answers = || {
            let mut greeting = [0; GREETING_SIZE];
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&"127.0.0.11:0".parse::<SocketAddr>().unwrap().into()).unwrap();
            let to = SocketAddr::new("127.0.0.12".parse().unwrap(), PORT);
            (socket.connect(&to.into()).is_ok() && TcpStream::from(socket).read_exact(&mut greeting).is_ok())
                .then_some(())
        };
        wait("beta to listen", answers);
        destroy_sockets(&format!("-t -l sport = {PORT}"));
        wait("beta to listen again", answers);
        drop(beta);
    });
}
