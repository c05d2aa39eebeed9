//! Network namespaces on one switch, for the tests of the gate.

use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use super::frames;
use crate::gate::adopt::Names;
use crate::gate::place::{Place, Site, Standing};
use crate::gate::{Former, Gate, GateError, GateHandle};
use crate::types::{Epoch, GroupKey, MacAddr, MonoTime, Vip};

pub(super) const VIP4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 100);
pub(super) const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, 0x100);
pub(super) const WEB: GroupKey = GroupKey(0x77);
/// Longer than any test waits for what must come.
pub(super) const SOON: Duration = Duration::from_secs(30);
/// EtherType of the sentinel.
pub(super) const SENTINEL: u16 = 0x88b5;
const DEVICE: &str = "eth0";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Runs a command, which must succeed; returns its output.
pub(super) fn run(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    run_words(&words)
}

/// Runs a command given word by word, which must succeed; returns its output.
fn run_words(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output().expect(words[0]);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Now, on the gate's clock.
pub(super) fn now() -> MonoTime {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).expect("a clock");
    MonoTime(
        u64::try_from(time.tv_sec()).expect("positive") * 1_000_000_000
            + u64::try_from(time.tv_nsec()).expect("positive"),
    )
}

/// Waits until the condition holds; fails with `what` after [`SOON`].
pub(super) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        std::thread::yield_now();
    }
}

/// The places that this kernel has.
pub(super) fn places() -> Vec<Place> {
    let best = Place::best(Site { ifindex: 1, name: "lo" }).expect("an answer");
    Place::ALL.into_iter().filter(|place| *place == best || *place == Place::Clsact).collect()
}

/// A switch and some hosts; each host has an `eth0` with 10.7.0.N and fd07::N, N counting from 1.
pub(super) struct Lab {
    prefix: String,
    hosts: usize,
}

impl Lab {
    /// Makes the namespaces, with all interfaces up; they are removed when the lab is dropped.
    pub(super) fn new(hosts: usize) -> Lab {
        let prefix = format!("vgt{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let lab = Lab { prefix, hosts };
        let switch = lab.name(0);
        run(&format!("ip netns add {switch}"));
        run(&format!("ip -n {switch} link add br0 type bridge mcast_snooping 0"));
        run(&format!("ip -n {switch} link set br0 up"));
        for number in 1..=hosts {
            let name = lab.name(number);
            run(&format!("ip netns add {name}"));
            run(&format!("ip -n {switch} link add p{number} type veth peer name {DEVICE} netns {name}"));
            run(&format!("ip -n {switch} link set p{number} master br0 up"));
            lab.host(number).up();
        }
        lab
    }

    /// Name of a host's namespace; `number` counts from 1.
    fn name(&self, number: usize) -> String {
        format!("{}n{number}", self.prefix)
    }

    /// Switches the switch's port of a host `up` or `down`: the host's carrier.
    pub(super) fn port(&self, number: usize, state: &str) {
        run(&format!("ip -n {} link set p{number} {state}", self.name(0)));
    }

    /// A raw socket on the switch's port of a host, which sees what no bridge forwards, too.
    pub(super) fn port_tap(&self, number: usize) -> Tap {
        let host = self.host(number);
        let switch = Host { name: self.name(0), ..host.clone() };
        Tap { mac: MacAddr([0; 6]), ..switch.tap_on(&format!("p{number}")) }
    }

    /// The host with this number, from 1.
    pub(super) fn host(&self, number: usize) -> Host {
        Host { name: self.name(number), number: u8::try_from(number).expect("few hosts") }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for number in 0..=self.hosts {
            // Also after a failure; what cannot be removed here cannot be helped.
            let _ = Command::new("ip").args(["netns", "del", &self.name(number)]).output();
        }
    }
}

/// A host of the lab.
#[derive(Clone)]
pub(super) struct Host {
    name: String,
    number: u8,
}

impl Host {
    /// Hardware address of the host's interface.
    pub(super) fn mac(&self) -> MacAddr {
        MacAddr([2, 7, 0, 0, 0, self.number])
    }

    /// The host's own IPv4 address.
    pub(super) fn address4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 7, 0, self.number)
    }

    /// The host's own IPv6 address.
    pub(super) fn address6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, u16::from(self.number))
    }

    /// Runs ip(8) inside the host, which must succeed; returns its output.
    pub(super) fn ip(&self, arguments: &str) -> String {
        run(&format!("ip -n {} {arguments}", self.name))
    }

    /// Runs tc(8) inside the host, which must succeed; returns its output.
    pub(super) fn tc(&self, arguments: &str) -> String {
        run(&format!("tc -n {} {arguments}", self.name))
    }

    /// Runs a command whose arguments contain spaces.
    pub(super) fn tc_words(&self, arguments: &[&str]) -> String {
        run_words(&[&["tc", "-n", &self.name], arguments].concat())
    }

    /// Brings up (again) a bare `eth0`.
    pub(super) fn up(&self) {
        self.sysctl("net/ipv6/conf/eth0/accept_dad", "0");
        self.sysctl("net/ipv6/conf/eth0/keep_addr_on_down", "1");
        self.ip("link set lo up");
        self.ip(&format!("link set {DEVICE} address {}", self.mac()));
        self.ip(&format!("link set {DEVICE} up"));
        self.ip(&format!("addr add {}/24 dev {DEVICE}", self.address4()));
        self.ip(&format!("addr add {}/64 dev {DEVICE} nodad", self.address6()));
        self.wait_until_joined(self.address6());
    }

    /// Sets a kernel parameter inside the host.
    pub(super) fn sysctl(&self, path: &str, value: &str) {
        let (path, value) = (format!("/proc/sys/{path}"), value.to_owned());
        self.inside(move || std::fs::write(&path, value).expect(&path));
    }

    /// Adds a group's address as the agent does.
    pub(super) fn add(&self, vip: Vip) {
        match vip {
            Vip::V4(vip) => drop(self.ip(&format!("addr add {vip}/32 dev {DEVICE} noprefixroute preferred_lft 0"))),
            Vip::V6(vip) => {
                self.ip(&format!("addr add {vip}/128 dev {DEVICE} nodad noprefixroute preferred_lft 0"));
                self.wait_until_joined(vip);
            }
        }
    }

    /// Waits until the kernel has joined the multicast group to which solicitations for `address`
    /// go. It joins in a work queue, after the address was added.
    fn wait_until_joined(&self, address: Ipv6Addr) {
        let [.., x, y, z] = address.octets();
        let group =
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(x), u16::from_be_bytes([y, z])).to_string();
        wait_for("solicitations are heard", || self.ip(&format!("-6 maddr show dev {DEVICE}")).contains(&group));
    }

    /// Runs `work` in a thread of its own inside this host.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file = File::open(format!("/run/netns/{}", self.name)).expect("a namespace");
                setns(file, CloneFlags::CLONE_NEWNET).expect("setns");
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The kernel's number of the host's interface.
    pub(super) fn ifindex(&self) -> u32 {
        self.inside(|| nix::net::if_::if_nametoindex(DEVICE).expect("eth0"))
    }

    /// Installs a gate on the host's interface.
    pub(super) fn install(&self, groups: &[(GroupKey, Vec<Vip>)]) -> Gate {
        let ifindex = self.ifindex();
        self.inside(|| Gate::install(ifindex, DEVICE, groups)).expect("a gate")
    }

    /// Installs a gate in this place, by a build whose programs have these names.
    pub(super) fn install_in(&self, place: Place, names: Names, groups: &[(GroupKey, Vec<Vip>)]) -> Gate {
        self.try_install_in(place, names, groups).expect("a gate")
    }

    /// As [`Host::install_in`]; it may fail.
    pub(super) fn try_install_in(
        &self,
        place: Place,
        names: Names,
        groups: &[(GroupKey, Vec<Vip>)],
    ) -> Result<Gate, GateError> {
        let site = Site { ifindex: self.ifindex(), name: DEVICE };
        self.inside(|| Gate::install_as(names, Some(place), site, groups, &Former::default()))
    }

    /// A gate for both addresses of one group, and the addresses on the interface.
    pub(super) fn install_web(&self) -> Gate {
        let gate = self.install(&[(WEB, vec![VIP4.into(), VIP6.into()])]);
        self.add(VIP4.into());
        self.add(VIP6.into());
        gate
    }

    /// Whether the gate's programs are the first to decide on the host's interface.
    pub(super) fn is_attached(&self, gate: &Gate) -> bool {
        self.standing(gate) == Standing::First
    }

    /// Whether the gate stops a frame, tried on the host's interface.
    pub(super) fn prove(&self, gate: &mut Gate) -> Result<bool, GateError> {
        self.inside(|| gate.prove(self.mac()))
    }

    /// Where the gate's programs stand on the host's interface.
    pub(super) fn standing(&self, gate: &Gate) -> Standing {
        self.inside(|| gate.standing()).expect("an answer")
    }

    /// Opens a raw socket on the host's interface, which sees every frame from now on.
    pub(super) fn tap(&self) -> Tap {
        self.tap_on(DEVICE)
    }

    /// Opens a raw socket on an interface of this namespace.
    fn tap_on(&self, device: &str) -> Tap {
        self.inside(|| {
            let index = i32::try_from(nix::net::if_::if_nametoindex(device).expect("it is there")).expect("small");
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0))).expect("packet socket");
            let mut storage = SockAddrStorage::zeroed();
            // SAFETY: sockaddr_ll fits into the storage, and all its bytes are integers.
            let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
            link.sll_family = u16::try_from(libc::AF_PACKET).expect("small");
            link.sll_protocol = u16::try_from(libc::ETH_P_ALL).expect("small").to_be();
            link.sll_ifindex = index;
            let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).expect("small");
            // SAFETY: the storage was filled as the sockaddr_ll that `length` says.
            socket.bind(&unsafe { SockAddr::new(storage, length) }).expect("bind");
            socket.set_nonblocking(true).expect("nonblocking");
            Tap { socket, mac: self.mac(), address4: self.address4(), address6: self.address6() }
        })
    }
}

/// Begins a generation, opens the group `web` under it, and gives a lease for `length` from now.
pub(super) fn open_web(gate: &Gate, generation: u64, length: Duration) -> GateHandle {
    let handle = gate.handle();
    handle.begin(generation);
    handle.open(gate.slot(WEB).expect("the group"), Epoch(generation << 8 | 1), MonoTime::FOREVER);
    handle.renew(now() + length);
    handle
}

/// A raw socket on a host's interface.
pub(super) struct Tap {
    socket: Socket,
    pub(super) mac: MacAddr,
    address4: Ipv4Addr,
    address6: Ipv6Addr,
}

impl Tap {
    /// Sends a frame from the host; a frame that the gate of the host drops is no error.
    pub(super) fn send(&self, frame: &[u8]) {
        // A frame that the egress gate drops is reported as ENOBUFS.
        match self.socket.send(frame) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(error) => panic!("send: {error}"),
        }
    }

    /// Sends the sentinel, which no gate drops: whoever sees it sees nothing more of the frames
    /// that were sent before it.
    pub(super) fn sentinel(&self) {
        self.send(&frames::ethernet(MacAddr::BROADCAST, self.mac, SENTINEL, b"sentinel"));
    }

    /// Collects frames that others sent until one satisfies `last`.
    pub(super) fn until(&self, what: &str, last: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        use std::os::fd::AsFd;
        let mut seen = Vec::new();
        let end = Instant::now() + SOON;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not within {SOON:?}: {what}; seen {} frames", seen.len());
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::try_from(left).expect("short")) {
                // Another test's child has ended.
                Ok(_) | Err(Errno::EINTR) => {}
                Err(cause) => panic!("poll: {cause}"),
            }
            let mut buffer = [0_u8; 2048];
            let Ok(length) = nix::unistd::read(&self.socket, &mut buffer) else { continue };
            let frame = buffer[..length].to_vec();
            if frame[6..12] == self.mac.0 {
                continue;
            }
            let done = last(&frame);
            seen.push(frame);
            if done {
                return seen;
            }
        }
    }

    /// Frames up to the sentinel of another host.
    pub(super) fn until_sentinel(&self) -> Vec<Vec<u8>> {
        self.until("the sentinel", |frame| frame[12..14] == SENTINEL.to_be_bytes())
    }

    /// Whether `host` answers ARP for `vip`. Asks for `vip` and then for the host's own address,
    /// which nothing gates: an answer for `vip` would come before the other one.
    pub(super) fn answers4(&self, host: &Host, vip: Ipv4Addr, sender: Ipv4Addr) -> bool {
        self.send(&frames::arp(frames::REQUEST, self.mac, sender, vip));
        self.send(&frames::arp(frames::REQUEST, self.mac, self.address4, host.address4()));
        let seen = self.until("an ARP reply", |frame| {
            frames::is_arp_reply(frame, host.address4()) && frame[6..12] == host.mac().0
        });
        seen.iter().any(|frame| frames::is_arp_reply(frame, vip) && frame[6..12] == host.mac().0)
    }

    /// Whether `host` answers neighbour discovery for `vip`; asks as [`Tap::answers4`] does.
    pub(super) fn answers6(&self, host: &Host, vip: Ipv6Addr) -> bool {
        self.send(&frames::discovery(frames::SOLICITATION, self.mac, self.address6, vip));
        self.send(&frames::discovery(frames::SOLICITATION, self.mac, self.address6, host.address6()));
        let by = |frame: &[u8], target| {
            frames::discovery_target(frame) == Some((frames::ADVERTISEMENT, target)) && frame[6..12] == host.mac().0
        };
        let seen = self.until("an advertisement", |frame| by(frame, host.address6()));
        seen.iter().any(|frame| by(frame, vip))
    }

    /// Whether the host answers for the addresses of `web`: for the IPv4 one, for the IPv6 one.
    pub(super) fn answers(&self, host: &Host) -> (bool, bool) {
        (self.answers4(host, VIP4, self.address4), self.answers6(host, VIP6))
    }
}
