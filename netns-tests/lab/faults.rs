//! What can go wrong around two servers, done on purpose.
//!
//! Owns: cables, carriers, drop rules on the switch, splits, reboots, clock steps. Never does:
//! faults inside the agent's process (see `agent`). The lab's history has every fault with its
//! time.

use super::clock::nanos;
use super::intruder::{self, Hook};
use super::netns::tool;
use super::wiring::{SEGMENT, SPLIT};
use super::{Lab, Port, Server};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use vipair::types::MonoTime;

/// The number of the latest drop rule; the next one is one higher.
#[derive(Default, Debug)]
pub struct Counter(u32);

/// The kind of frames that a [`Drops`] is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// All frames.
    Everything,
    /// Pulses in UDP.
    Pulses,
    /// Pulses in raw Ethernet frames.
    SegmentPulses,
    /// ARP.
    Arp,
    /// ARP requests whose sender has no address (0.0.0.0).
    NamelessArp,
    /// Neighbour solicitations from the unspecified address.
    NamelessSolicitations,
    /// ARP requests that do not announce the address of the group.
    Questions,
}

impl FrameKind {
    /// Expression of nftables for frames of this kind; empty for all.
    fn expression(self) -> &'static str {
        match self {
            FrameKind::Everything => "",
            FrameKind::Pulses => "udp dport 7811 ",
            FrameKind::SegmentPulses => "ether type 0x88b5 ",
            FrameKind::Arp => "ether type arp ",
            FrameKind::NamelessArp => "arp operation request arp saddr ip 0.0.0.0 ",
            FrameKind::NamelessSolicitations => "ip6 saddr :: icmpv6 type nd-neighbor-solicit ",
            FrameKind::Questions => "arp operation request arp saddr ip != 10.0.0.100 ",
        }
    }
}

/// Frames that the switch loses: those that pass both `from` and `to`, as far as these are given.
#[derive(Clone, Copy, Debug)]
pub struct Drops {
    /// Port where the frames come in; any if `None`.
    pub from: Option<Port>,
    /// Port where the frames go out; any if `None`.
    pub to: Option<Port>,
    /// Kind of the frames.
    pub kind: FrameKind,
    /// Share of these frames that is lost, by chance: 1 to 100 percent.
    pub percent: u8,
    /// Number of these frames in each second that pass, ten of them at once; 0 for none.
    pub beyond: u32,
    /// Whether nothing passes from that port on as soon as one frame is lost.
    pub shuts: bool,
}

impl Drops {
    /// A loss of all frames of a kind that come in at `port`.
    pub fn from(port: Port, kind: FrameKind) -> Drops {
        Drops { from: Some(port), to: None, kind, percent: 100, beyond: 0, shuts: false }
    }

    /// A loss of all frames of a kind that go out at `port`.
    pub fn to(port: Port, kind: FrameKind) -> Drops {
        Drops { from: None, to: Some(port), kind, percent: 100, beyond: 0, shuts: false }
    }

    /// Loses only this share of the frames, by chance.
    pub fn percent(mut self, percent: u8) -> Drops {
        self.percent = percent;
        self
    }

    /// Lets so many of the frames pass in each second, ten of them at once.
    pub fn beyond(mut self, per_second: u32) -> Drops {
        self.beyond = per_second;
        self
    }

    /// Shuts the port where the frames come in as soon as one of them is lost.
    pub fn shutting(mut self) -> Drops {
        self.shuts = true;
        self
    }

    /// Rule of nftables for these frames.
    fn rule(&self) -> String {
        let mut rule = String::new();
        if let Some(port) = self.from {
            rule += &format!("iifname \"{}\" ", port.name());
        }
        if let Some(port) = self.to {
            rule += &format!("oifname \"{}\" ", port.name());
        }
        rule += self.kind.expression();
        if self.percent < 100 {
            rule += &format!("numgen random mod 100 < {} ", self.percent);
        }
        if self.beyond > 0 {
            rule += &format!("limit rate over {}/second burst 10 packets ", self.beyond);
        }
        rule + if self.shuts { "counter add @shut { iifname } drop" } else { "counter drop" }
    }
}

/// A drop rule in force; see [`Lab::lift`].
#[derive(Debug)]
#[must_use = "it stays in force until it is lifted"]
pub struct Fault(String);

impl Lab {
    /// Lets the switch lose frames until the fault is lifted.
    pub fn drop_frames(&self, drops: &[Drops]) -> Fault {
        let shut = drops.iter().any(|drops| drops.shuts).then(|| "iifname @shut drop".to_owned());
        let rules: Vec<String> = shut.into_iter().chain(drops.iter().map(Drops::rule)).collect();
        self.note(format!("the switch drops: {}", rules.join("; ")));
        self.add_rules("forward priority 0", &rules)
    }

    /// Counts the frames of a kind that come in at a port, until it is lifted: see [`Lab::lift`].
    pub fn count_frames(&self, from: Port, kind: FrameKind) -> Fault {
        let rule = format!("iifname \"{}\" {}counter", from.name(), kind.expression());
        self.add_rules("prerouting priority -300", &[rule])
    }

    /// Gives the switch a table of nftables of its own with these rules.
    fn add_rules(&self, hook: &str, rules: &[String]) -> Fault {
        let number = {
            let mut faults = self.faults.borrow_mut();
            faults.0 += 1;
            faults.0
        };
        let (table, rules) = (format!("fault{number}"), rules.join("\n  "));
        self.switch().tool(
            "nft",
            &["-f", "-"],
            &format!(
                "table bridge {table} {{\n set shut {{ type ifname; flags dynamic; size 8; }}\n \
                 chain rules {{\n  type filter hook {hook};\n  {rules}\n }}\n}}\n"
            ),
        );
        Fault(table)
    }

    /// Ends a drop rule. Returns how many frames it dropped: a test whose fault dropped none has
    /// proved nothing.
    pub fn lift(&self, fault: Fault) -> u64 {
        let rules = self.switch().tool("nft", &["list", "table", "bridge", &fault.0], "");
        self.switch().tool("nft", &["delete", "table", "bridge", &fault.0], "");
        self.note(format!("the switch no longer drops ({})", fault.0));
        rules.split("packets ").skip(1).filter_map(|t| t.split(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Pulls the cables of these ports, all in one batch of `ip`; the hosts keep their carrier.
    pub fn cut(&self, ports: &[Port]) -> MonoTime {
        self.set_ports(ports, "cut", |p| format!("link set dev {} nomaster", p.name()))
    }

    /// Plugs the cables of these ports in again.
    pub fn join(&self, ports: &[Port]) -> MonoTime {
        self.set_ports(ports, "joined", |p| format!("link set dev {} master {}", p.name(), p.bridge()))
    }

    /// Takes the carrier of these ports away, as a switch does that loses power.
    pub fn carrier_down(&self, ports: &[Port]) -> MonoTime {
        self.set_ports(ports, "carrier down", |p| format!("link set dev {} down", p.name()))
    }

    /// Gives the carrier of these ports back.
    pub fn carrier_up(&self, ports: &[Port]) -> MonoTime {
        self.set_ports(ports, "carrier up", |p| format!("link set dev {} up", p.name()))
    }

    /// Splits the clients' segment: these ports on one side, all others on the other, and no way
    /// between the sides.
    pub fn split(&self, ports: &[Port]) -> MonoTime {
        self.set_ports(ports, "split off", |p| format!("link set dev {} master {SPLIT}", p.name()))
    }

    /// Brings these ports back to the others on the clients' segment.
    pub fn heal(&self, ports: &[Port]) -> MonoTime {
        self.set_ports(ports, "healed", |p| format!("link set dev {} master {SEGMENT}", p.name()))
    }

    /// Runs one line of `ip` for each port in the switch's namespace, all in one batch; returns the
    /// instant just before.
    fn set_ports(&self, ports: &[Port], what: &str, line: impl Fn(Port) -> String) -> MonoTime {
        let names: Vec<&str> = ports.iter().map(|p| p.name()).collect();
        let at = self.note(format!("{what}: {}", names.join(", ")));
        let lines: Vec<String> = ports.iter().map(|p| line(*p)).collect();
        self.switch().ip(&lines.join("\n"));
        at
    }

    /// Takes the interface of `port` down inside the host, as an administrator does.
    pub fn admin_down(&self, port: Port) -> MonoTime {
        let at = self.note(format!("{} set down by hand", port.name()));
        self.host(port).ip(&format!("link set dev {} down", port.inside()));
        at
    }

    /// Takes the interface of `port` up inside the host, as an administrator does.
    pub fn admin_up(&self, port: Port) -> MonoTime {
        let at = self.note(format!("{} set up by hand", port.name()));
        self.host(port).ip(&format!("link set dev {} up", port.inside()));
        at
    }

    /// Deletes the interface of `port` inside the host; the switch's end goes with it.
    pub fn delete_interface(&self, port: Port) -> MonoTime {
        let at = self.note(format!("interface of {} deleted", port.name()));
        self.host(port).ip(&format!("link delete dev {}", port.inside()));
        at
    }

    /// Makes the interface of `port` again, with the host's own addresses.
    pub fn recreate_interface(&self, port: Port) -> MonoTime {
        let at = self.note(format!("interface of {} made anew", port.name()));
        self.replug(port);
        at
    }

    /// Leaves of a server what a power loss leaves: its disk, but no process, no interface, no
    /// gate. See [`Lab::power_on`].
    pub fn power_off(&self, server: Server) -> MonoTime {
        let at = self.note(format!("{} loses power", server.name()));
        let host = self.server(server);
        for pid in host.processes() {
            // A process that is gone already counts as ended.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        let lines: Vec<String> =
            self.ports(server).iter().map(|port| format!("link delete dev {}", port.inside())).collect();
        host.ip(&lines.join("\n"));
        at
    }

    /// Makes the server's interfaces again, with its own addresses; the caller starts agents and
    /// services.
    pub fn power_on(&self, server: Server) -> MonoTime {
        let at = self.note(format!("{} boots", server.name()));
        self.ports(server).into_iter().for_each(|port| self.replug(port));
        at
    }

    /// Takes the gate away, as an administrator may by mistake: its programs, or on older kernels
    /// its filters.
    pub fn delete_gate(&self, server: Server) -> MonoTime {
        let at = self.note(format!("gate deleted on {}", server.name()));
        let (netns, name) = (self.server(server), server.port().inside());
        match intruder::programs(netns, name, Hook::Egress) {
            Some(_) => Hook::BOTH.into_iter().for_each(|hook| intruder::detach_first(netns, name, hook)),
            None => drop(netns.tool("tc", &["qdisc", "del", "dev", name, "clsact"], "")),
        }
        at
    }

    /// Deletes an address from the server's interface, as an administrator may by mistake.
    /// `address` has its prefix length.
    pub fn delete_address(&self, server: Server, address: &str) -> MonoTime {
        let at = self.note(format!("{address} deleted on {}", server.name()));
        self.server(server).ip(&format!("address del {address} dev {}", server.port().inside()));
        at
    }

    /// Gives the client a permanent neighbour entry, which no announcement corrects.
    pub fn static_neighbour(&self, address: &str, server: Server) {
        self.note(format!("static neighbour entry on the client: {address} is at {}", server.name()));
        let mac = server.port().mac();
        self.host(Port::Client).ip(&format!("neighbour replace {address} lladdr {mac} dev eth0 nud permanent"));
    }

    /// The hardware address that the client's kernel has for `address`; `None` when it has none.
    pub fn believed_by_client(&self, address: &str) -> Option<String> {
        let host = self.host(Port::Client).name();
        let line = tool("ip", &["-n", host, "neighbour", "show", "to", address], "");
        line.split("lladdr ").nth(1)?.split(' ').next().map(str::to_owned)
    }
}

/// A step of CLOCK_REALTIME that is taken back on drop, exact but for the microseconds between two
/// readings.
#[derive(Debug)]
pub struct ClockStep {
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC before the first step, in nanoseconds.
    offset: u64,
}

impl ClockStep {
    /// Remembers the right time; steps nothing yet.
    pub fn new() -> ClockStep {
        ClockStep { offset: nanos(ClockId::CLOCK_REALTIME) - nanos(ClockId::CLOCK_MONOTONIC) }
    }

    /// Sets the clock to the right time plus `seconds`.
    pub fn step(&self, seconds: i64) {
        let right = self.offset + nanos(ClockId::CLOCK_MONOTONIC);
        let wanted = right.saturating_add_signed(seconds * 1_000_000_000);
        let parts = |value: u64| i64::try_from(value).expect("clocks of this century fit");
        let time = TimeSpec::new(parts(wanted / 1_000_000_000), parts(wanted % 1_000_000_000));
        clock_settime(ClockId::CLOCK_REALTIME, time).unwrap_or_else(|e| panic!("set the clock: {e}"));
    }
}

impl Drop for ClockStep {
    fn drop(&mut self) {
        self.step(0);
    }
}
