//! keepalived with many addresses, beside vipair with as many: the same lab, the same host loss,
//! the same clock.
//!
//! Owns: keepalived's pair, its start, and the table of both. Never does: less than keepalived's
//! best: as in `keepalived`, but without a service to watch, because vipair watches none here
//! either. Addresses beyond those that one VRRP packet lists go where keepalived's manual says.

use super::super::claims::addresses;
use super::super::figures::Unit::{Count, Milliseconds};
use super::super::figures::{Plot, Section, Shape, figure};
use super::super::pair::ms;
use super::super::record::Results;
use super::super::scale::{self, lose_host};
use super::super::spread::Spread;
use super::super::{Block, Topic, remark, sample};
use super::keepalived::FASTEST;
use super::room::Room;
use crate::lab::process::{Process, tail};
use crate::lab::{Lab, Plan, Server};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// keepalived with 1 to 10,000 addresses.
pub const TOPIC: Topic = Topic {
    blocks: &[
        Block::new("keepalived-scale-1", 25, || measure(1)).of_rivals(1),
        Block::new("keepalived-scale-100", 25, || measure(100)).of_rivals(1),
        Block::new("keepalived-scale-1000", 25, || measure(1_000)).of_rivals(1),
        Block::new("keepalived-scale-10000", 25, || measure(10_000)).of_rivals(1),
    ],
    sections,
    configuration: |_| {
        let config = config(Server::Alpha, 1_000);
        let is_shown = |line: &&str| {
            let address = line.trim().strip_prefix("10.1.").map(|rest| rest.trim_end_matches("/32"));
            address.is_none_or(|address| ["0.1", "0.20", "0.21", "3.250"].contains(&address))
        };
        let lines: Vec<&str> = config.lines().filter(is_shown).collect();
        format!(
            "keepalived with 1,000 addresses, on alpha; of each list its first and its last line are shown, on beta with priority 253:\
             \n\n```\n{}\n```\n",
            lines.join("\n")
        )
    },
};

/// Numbers of addresses, in the order of the table.
const SIZES: [u32; 4] = [1, 100, 1_000, 10_000];
/// Number of addresses in each advertisement.
const LISTED: usize = 20;
/// Longest wait for the pair to settle: the kernel takes a while to add ten thousand addresses.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest wait for an address to move; later it is missing.
const LIMIT: Duration = Duration::from_secs(60);

/// Key of a figure of keepalived.
fn key(count: u32, what: &str) -> String {
    format!("keepalived-scale-{count}-{what}")
}

/// Most addresses that keepalived announces as often as its defaults say. With more it announces
/// each once and not again 5 s later, because with its defaults the pair did not settle.
const OFTEN: u32 = 1_000;

/// The configuration on `server`; its limit of real-time run is beyond the time that adding all
/// addresses takes.
fn config(server: Server, count: u32) -> String {
    let priority = if server == Server::Alpha { 254 } else { 253 };
    let (own, peer) = (server.port().ipv4(), server.other().port().ipv4());
    let once = if count > OFTEN { "  vrrp_garp_master_repeat 1\n  vrrp_garp_master_delay 0\n" } else { "" };
    let mut text = format!(
        "global_defs {{\n  router_id {}\n  vrrp_version 3\n  vrrp_rt_priority 50\n  vrrp_rlimit_rttime 60000000\n  vrrp_no_swap\n{once}}}\n\
         vrrp_instance web {{\n  state BACKUP\n  nopreempt\n  interface eth0\n  virtual_router_id 51\n  priority {priority}\n  \
         advert_int {FASTEST}\n  unicast_src_ip {own}\n  unicast_peer {{\n    {peer}\n  }}\n",
        server.name()
    );
    let all = addresses(count);
    let (listed, excluded) = all.split_at(all.len().min(LISTED));
    for (name, part) in [("virtual_ipaddress", listed), ("virtual_ipaddress_excluded", excluded)] {
        if !part.is_empty() {
            let lines: String = part.iter().map(|address| format!("    {address}/32\n")).collect();
            text += &format!("  {name} {{\n{lines}  }}\n");
        }
    }
    text + "}\n"
}

/// Both servers, as far as they were started. Processes are dropped before their rooms.
struct Pair {
    processes: Vec<Process>,
    rooms: Vec<Room>,
    lab: Lab,
}

impl Pair {
    /// Starts keepalived on a server, with `count` addresses.
    fn start(&mut self, server: Server, count: u32) {
        let room = Room::new(&self.lab, server, 1, &[("/etc/keepalived/keepalived.conf", config(server, count))]);
        let args = ["keepalived", "--dont-fork", "--vrrp", "--log-console"];
        self.processes.push(room.start(&self.lab, &args, false));
        self.rooms.push(room);
    }

    /// Number of the test's addresses on a server.
    fn address_count(&self, server: Server) -> usize {
        let shown = self.lab.server(server).tool("ip", &["-4", "-o", "address", "show", "dev", "eth0"], "");
        shown.lines().filter(|line| line.contains(" 10.1.")).count()
    }

    /// Ends of both processes' output.
    fn output_tail(&self) -> String {
        self.processes.iter().map(|process| tail(&process.output(), 10)).collect()
    }

    /// Waits until one server has had all `count` addresses, and the other none, for `time`;
    /// returns the first.
    fn wait_settled(&self, count: usize, time: Duration) -> Server {
        let limit = Instant::now() + PATIENCE;
        let (mut owner, mut since) = (None, Instant::now());
        while owner.is_none() || since.elapsed() < time {
            let has = |server: Server| self.address_count(server);
            let now = Server::BOTH.into_iter().find(|server| has(*server) == count && has(server.other()) == 0);
            if now != owner {
                (owner, since) = (now, Instant::now());
            }
            assert!(Instant::now() < limit, "keepalived does not settle:\n{}", self.output_tail());
            std::thread::sleep(Duration::from_millis(100));
        }
        owner.expect("it was waited for")
    }
}

/// Measures a host loss, once one server has all addresses and the other stands by.
fn measure(count: u32) {
    remark("versions", &super::package_versions());
    let lab = Lab::build(&Plan { alone: true, ..Plan::default() });
    let mut pair = Pair { processes: Vec::new(), rooms: Vec::new(), lab };
    let all = usize::try_from(count).expect("a small number");
    let began = Instant::now();
    pair.start(Server::Alpha, count);
    pair.wait_settled(all, Duration::ZERO);
    // While keepalived announces all of them it sends no advertisement.
    std::thread::sleep(Duration::from_secs(if count > OFTEN { 3 } else { 0 }));
    pair.start(Server::Beta, count);
    pair.wait_settled(all, Duration::from_millis(500));
    sample(&key(count, "start"), ms(began.elapsed()));
    // The master announces once more, 5 s after it became master.
    let owner = pair.wait_settled(all, Duration::from_secs(8));
    let (first, moves, fault) = lose_host(&pair.lab, owner, count, LIMIT);
    pair.lab.power_off(owner);
    assert!(pair.lab.lift(fault) > 0, "the fault did not strike");
    sample(&key(count, "first"), ms(first));
    sample(&key(count, "spread"), ms(moves.last.since(moves.first)));
    sample(&key(count, "missing"), moves.missing.into());
}

/// Sections of the page: host loss over the number of addresses, keepalived's beside vipair's.
fn sections() -> Vec<Section> {
    let mut figures = Vec::new();
    for count in SIZES {
        let called = if count == 1 { "1 address".to_owned() } else { format!("{count} addresses") };
        let of =
            |what: &str, title: &str, unit| figure(key(count, what), format!("keepalived, {called}: {title}"), unit);
        figures.push(of("missing", "addresses not announced within 60 s", Count));
        figures.push(of(
            "start",
            "from the first start until one has all and the other none, for 0.5 s",
            Milliseconds,
        ));
    }
    vec![Section {
        text: TEXT.to_owned(),
        table: Some(table),
        plots: vec![scale_plot()],
        ..Section::new("Many addresses: vipair and keepalived at their fastest", figures)
    }]
}

const TEXT: &str = "\
Host loss with so many addresses in one group, or in one VRRP instance. *First* and *last* are as above, and counted by the same
clock: from the last question that the lost host answered to the first frame by which the other claims the first, and the last,
address. vipair's addresses are on both servers all the time, and a takeover opens the gate and announces; keepalived adds them to
the interface when it takes over. With 10,000 it is set to announce each address once (`vrrp_garp_master_repeat 1`,
`vrrp_garp_master_delay 0`): with its defaults, five times and again after 5 s, the pair was not the same for 8 s in two minutes. Each cell: median / largest of all runs.";

/// Times from the loss to the last address, one for each run.
fn loss_to_last(results: &Results, first: &str, spread: &str) -> Vec<f64> {
    results.values(first).iter().zip(results.values(spread)).map(|(first, spread)| first + spread).collect()
}

/// Table of the section, in Markdown: vipair and keepalived side by side for each number of
/// addresses.
fn table(results: &Results) -> String {
    let show = |values: Vec<f64>| {
        let spread = Spread::of(values);
        let both = |s: Spread| format!("**{}** / {}", Milliseconds.show(s.median()), Milliseconds.show(s.max()));
        spread.map_or("not measured".to_owned(), both)
    };
    let mut text = "| addresses | runs | vipair: first | keepalived: first | vipair: last | keepalived: last |\n\
                    |--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for count in SIZES {
        let [ours, theirs] = [scale::key(count, 1, "first"), key(count, "first")];
        let [our_spread, their_spread] = [scale::key(count, 1, "spread"), key(count, "spread")];
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {count} | {}, {} | {} | {} | {} | {} |",
            results.values(&ours).len(),
            results.values(&theirs).len(),
            show(results.values(&ours)),
            show(results.values(&theirs)),
            show(loss_to_last(results, &ours, &our_spread)),
            show(loss_to_last(results, &theirs, &their_spread))
        );
    }
    text
}

/// Picture of both contenders over the number of addresses.
fn scale_plot() -> Plot {
    let over = |of: &dyn Fn(u32) -> String| SIZES.into_iter().map(|count| (f64::from(count), of(count))).collect();
    let curves = vec![
        ("vipair: to first".to_owned(), over(&|count| scale::key(count, 1, "first"))),
        ("keepalived: to first".to_owned(), over(&|count| key(count, "first"))),
        ("vipair: first to last".to_owned(), over(&|count| scale::key(count, 1, "spread"))),
        ("keepalived: first to last".to_owned(), over(&|count| key(count, "spread"))),
    ];
    Plot {
        file: "scale-keepalived",
        title: "Host loss over the number of addresses, vipair and keepalived".to_owned(),
        unit: Milliseconds,
        shape: Shape::Curves("addresses".to_owned(), curves),
    }
}
