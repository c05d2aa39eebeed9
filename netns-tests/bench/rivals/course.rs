//! The faults that every contender meets, one after the other, each on the server that answers by
//! then.
//!
//! Owns: doing one thing to the site and handing over what clients saw, as `CONTENDER-FAULT-WHAT`.
//! Never does: helping. What a contender does not mend by itself counts until the end of the
//! watched time; then its server is booted again. A site that does not settle within the limit ends
//! the process; what was measured before counts. A fault strikes at a moment drawn by lot: at a
//! fixed time after the start it would always meet the same part of an interval between two
//! advertisements.

use super::super::pair::{just_before, vanish};
use super::super::{remark, sample};
use super::site::{RequestFigures, Site, sum_up};
use crate::lab::voters::{ALPHA, BETA, between};
use crate::lab::{Server, clock};
use crate::probe::web::Web;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use vipair::types::MonoTime;

/// A product that gives a service address to one of two servers.
pub trait Contender {
    /// Sets up, before anything starts, what must stand on both servers.
    fn prepare(&mut self, _site: &mut Site) {}
    /// Starts the contender on a server that has just booted.
    fn start(&mut self, site: &mut Site, server: Server);
    /// Processes of the contender on a server.
    fn processes(&self, site: &Site, server: Server) -> Vec<Pid>;
    /// Moves the address away from a server, the way the contender's manual says.
    fn switch(&mut self, site: &mut Site, from: Server);
    /// Makes `from` a standby again after such a move.
    fn rejoin_after_switch(&mut self, site: &mut Site, from: Server);
    /// The server that answers now, if it is one.
    fn holder(&self, site: &Site) -> Option<Server> {
        site.answering_server()
    }
    /// Whether a server would take over now, as far as the contender tells.
    fn is_ready(&mut self, _site: &Site, _standby: Server) -> bool {
        true
    }
    /// Boots the server after SIGKILL and starts the contender there.
    fn revive(&mut self, site: &mut Site, server: Server) {
        site.reboot(server);
        self.start(site, server);
    }
    /// Whether the contender moves the address when the service ends.
    fn watches_the_service(&self) -> bool {
        true
    }
    /// Whether the contender has a witness.
    fn has_witness(&self) -> bool {
        false
    }
    /// Kills the contender's witness, if it has one.
    fn kill_witness(&mut self, _site: &Site) {}
    /// Starts the witness again after [`Contender::kill_witness`].
    fn restart_witness(&mut self, _site: &Site) {}
}

/// Times that suit a contender's setting.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time that a fault lasts and clients are watched: longer than a takeover.
    pub watched: Duration,
    /// Time without any change after which the site has settled.
    pub steady: Duration,
    /// Longest wait for the site to settle.
    pub limit: Duration,
    /// Time in which a fault strikes anywhere: not shorter than the longest interval in which the
    /// contender speaks or looks after something.
    pub period: Duration,
}

impl Pace {
    /// A pace from times in milliseconds.
    pub const fn new(watched: u64, steady: u64, period: u64) -> Pace {
        Pace {
            watched: Duration::from_millis(watched),
            steady: Duration::from_millis(steady),
            limit: Duration::from_secs(90),
            period: Duration::from_millis(period),
        }
    }
}

/// A contender and its site on their way through the faults.
pub struct Course {
    key: &'static str,
    site: Site,
    contender: Box<dyn Contender>,
    pace: Pace,
    /// The server that answers.
    owner: Server,
}

/// Requests a second of a web client while ARP questions tell the gap.
const FEW: u32 = 100;
/// Requests a second of a web client that tells the gap itself.
const MANY: u32 = 1_000;
/// Time in which requests are answered before a fault.
const SOME_REQUESTS: Duration = Duration::from_millis(300);

/// The right to run a busy web client, which takes a good part of the machine: one at a time in all
/// labs.
struct OneAtATime(std::fs::File);

impl OneAtATime {
    /// Waits for the right.
    fn wait_turn() -> OneAtATime {
        let path = std::env::temp_dir().join("vipair-bench.lock");
        let file = std::fs::File::create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // SAFETY: the descriptor is open as long as `file`; the lock goes with it.
        let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) };
        assert_eq!(result, 0, "lock {}", path.display());
        OneAtATime(file)
    }
}

impl Course {
    /// Starts the contender on alpha, then on beta, and waits until both have settled.
    pub fn begin(key: &'static str, mut site: Site, mut contender: Box<dyn Contender>, pace: Pace) -> Course {
        contender.prepare(&mut site);
        contender.start(&mut site, Server::Alpha);
        std::thread::sleep(pace.steady);
        contender.start(&mut site, Server::Beta);
        let mut course = Course { key, site, contender, pace, owner: Server::Alpha };
        course.wait_settled();
        // A standby that heard no other server at its start takes over all the same, some time
        // later.
        course.watch_clients();
        course.wait_settled();
        remark(&format!("{key}-watched"), &format!("{:.1} s", pace.watched.as_secs_f64()));
        course
    }

    /// Strikes with all faults, one after the other.
    pub fn run(&mut self) {
        self.lose_host();
        self.freeze();
        self.kill_processes();
        self.cut_between();
        self.switch_planned();
        self.lose_carrier();
        if self.contender.watches_the_service() {
            self.kill_service();
        }
        if self.contender.has_witness() {
            self.lose_witness();
        }
    }

    /// Hands over one value under the contender's key.
    fn sample(&self, what: &str, value: f64) {
        sample(&format!("{}-{what}", self.key), value);
    }

    /// Hands over what the questions and the visitor met since `from`.
    fn sample_seen(&self, fault: &str, from: MonoTime, web: Web) {
        self.sample(fault, self.site.longest_gap_ms(just_before(from)));
        self.sample(&format!("{fault}-both"), self.site.both_answered_ms(from, clock::now()));
        self.sample_requests(fault, sum_up(&web.finish(), from));
    }

    /// Hands over the requests' figures at a fault.
    fn sample_requests(&self, fault: &str, figures: RequestFigures) {
        self.sample(&format!("{fault}-slowest"), figures.slowest);
        self.sample(&format!("{fault}-lost"), figures.lost);
    }

    /// Waits until a moment drawn by lot from the contender's period, each as likely as the other.
    fn wait_any_moment(&self) {
        let drawn = f64::from(getrandom::u32().expect("the kernel gives random numbers")) / f64::from(u32::MAX);
        std::thread::sleep(self.pace.period.mul_f64(drawn));
    }

    /// Starts, at a random moment, a client that asks the service now and then.
    fn start_visitor(&self) -> Web {
        self.wait_any_moment();
        self.start_client(FEW)
    }

    /// Starts, at a random moment, a client whose requests are so many that they tell the gap, and
    /// the turn in which it may run.
    fn start_crowd(&self) -> (OneAtATime, Web) {
        self.wait_any_moment();
        let turn = OneAtATime::wait_turn();
        (turn, self.start_client(MANY))
    }

    /// Starts a web client and lets it have some requests answered.
    fn start_client(&self, per_second: u32) -> Web {
        let web = self.site.start_web_client(per_second);
        std::thread::sleep(SOME_REQUESTS);
        web
    }

    /// Lets the time pass that clients are watched.
    fn watch_clients(&self) {
        std::thread::sleep(self.pace.watched);
    }

    /// Waits until one server answers alone, and the other would take over.
    fn wait_settled(&mut self) {
        let limit = Instant::now() + self.pace.limit;
        std::thread::sleep(self.pace.steady);
        loop {
            if let Some(owner) = self.contender.holder(&self.site)
                && self.site.is_steady(self.pace.steady)
                && self.contender.is_ready(&self.site, owner.other())
            {
                self.owner = owner;
                return;
            }
            assert!(Instant::now() < limit, "{} does not settle", self.key);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal to the contender's processes on a server; panics when there are none.
    fn signal_processes(&self, server: Server, signal: Signal) {
        let processes = self.contender.processes(&self.site, server);
        assert!(!processes.is_empty(), "{} does not run on {}", self.key, server.name());
        for pid in processes {
            // A process that ended together with its parent is as good.
            let _ = kill(pid, signal);
        }
    }

    /// Measures a host loss and the way back: takes the answering server off every network, and
    /// brings it back as it was after the watched time.
    fn lose_host(&mut self) {
        let (owner, web) = (self.owner, self.start_visitor());
        let (at, fault) = vanish(&self.site.lab, owner);
        self.watch_clients();
        self.sample_seen("host", at, web);
        let (web, back) = (self.start_visitor(), clock::now());
        assert!(self.site.lab.lift(fault) > 0, "the fault did not strike");
        self.wait_settled();
        self.sample_seen("back", back, web);
    }

    /// Measures a freeze: stops all processes of the contender on the answering server (SIGSTOP),
    /// and lets them go on after the watched time.
    fn freeze(&mut self) {
        let (owner, web) = (self.owner, self.start_visitor());
        let at = clock::now();
        self.signal_processes(owner, Signal::SIGSTOP);
        self.watch_clients();
        self.signal_processes(owner, Signal::SIGCONT);
        self.wait_settled();
        self.sample_seen("stop", at, web);
    }

    /// Measures the loss of the contender's processes: kills all of them on the answering server,
    /// and boots that server after the watched time.
    fn kill_processes(&mut self) {
        let (owner, web) = (self.owner, self.start_visitor());
        let at = clock::now();
        self.signal_processes(owner, Signal::SIGKILL);
        self.watch_clients();
        self.sample_seen("kill", at, web);
        self.contender.revive(&mut self.site, owner);
        self.wait_settled();
    }

    /// Measures a partition and its end: cuts the ways between the servers, which clients still
    /// reach, and mends them after the watched time.
    fn cut_between(&mut self) {
        let (web, at) = (self.start_visitor(), clock::now());
        let fault = self.site.lab.sever(&between(ALPHA, BETA));
        self.watch_clients();
        let healed = clock::now();
        assert!(self.site.lab.lift(fault) > 0, "the fault did not strike");
        self.wait_settled();
        self.sample("cut", self.site.longest_gap_ms(just_before(at)));
        self.sample("cut-both", self.site.both_answered_ms(at, healed));
        self.sample("heal-both", self.site.both_answered_ms(healed, clock::now()));
        self.sample_requests("cut", sum_up(&web.finish(), at));
    }

    /// Measures a planned switch away from the answering server, with a thousand requests a second.
    fn switch_planned(&mut self) {
        let (turn, web) = self.start_crowd();
        let quiet = clock::now();
        std::thread::sleep(Duration::from_millis(700));
        let before = web.since(quiet);
        let (owner, at) = (self.owner, clock::now());
        self.contender.switch(&mut self.site, owner);
        let limit = Instant::now() + self.pace.limit;
        while self.contender.holder(&self.site) != Some(owner.other()) {
            assert!(Instant::now() < limit, "{}: the switch did not happen", self.key);
            std::thread::sleep(Duration::from_millis(10));
        }
        // Longer than the requests take that were begun before.
        std::thread::sleep(Duration::from_millis(600));
        let requests = sum_up(&web.finish(), at);
        drop(turn);
        self.sample("switch", requests.gap);
        self.sample_requests("switch", requests);
        self.sample("switch-quiet", super::super::pair::ms(before.longest_gap()));
        self.sample("switch-arp", self.site.longest_gap_ms(just_before(at)));
        self.sample("switch-both", self.site.both_answered_ms(at, clock::now()));
        self.contender.rejoin_after_switch(&mut self.site, owner);
        self.wait_settled();
    }

    /// Measures a carrier loss: takes the carrier of the answering server's cable to the clients,
    /// and gives it back after the watched time. A second link, where one is used, keeps its
    /// carrier.
    fn lose_carrier(&mut self) {
        let (port, web) = (self.owner.port(), self.start_visitor());
        let at = self.site.lab.carrier_down(&[port]);
        self.watch_clients();
        self.sample_seen("carrier", at, web);
        self.site.lab.carrier_up(&[port]);
        self.wait_settled();
    }

    /// Measures the loss of the service: kills nginx on the answering server, with a thousand
    /// requests a second, and starts it again after the watched time.
    fn kill_service(&mut self) {
        let (turn, web) = self.start_crowd();
        let owner = self.owner;
        let at = self.site.kill_web(owner);
        self.watch_clients();
        let requests = sum_up(&web.finish(), at);
        drop(turn);
        self.sample("service", requests.gap);
        self.sample_requests("service", requests);
        self.sample("service-both", self.site.both_answered_ms(at, clock::now()));
        self.site.start_web(owner);
        self.wait_settled();
    }

    /// Measures a witness loss: kills the witness, and starts it again after the watched time.
    fn lose_witness(&mut self) {
        let (web, at) = (self.start_visitor(), clock::now());
        self.contender.kill_witness(&self.site);
        self.watch_clients();
        self.sample_seen("witness", at, web);
        self.contender.restart_witness(&self.site);
        self.wait_settled();
    }
}
