//! The site where contenders meet: the lab with two servers, nginx on both, and a client that asks
//! every millisecond.
//!
//! Owns: bringing servers up, and reading off what clients saw. Never does: faults (see `course`).

use super::room::Room;
use crate::lab::process::Process;
use crate::lab::{Lab, Plan, Server, clock};
use crate::probe::asker::{Answers, Asker};
use crate::probe::web::{Requests, Web};
use crate::scene::ADDRESS;
use nix::unistd::Pid;
use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use vipair::types::MonoTime;

/// The lab with all that runs in it besides the contender.
#[derive(Debug)]
pub struct Site {
    askers: Vec<Asker>,
    webs: [Option<Process>; 2],
    rooms: [Option<Room>; 2],
    boots: u32,
    addresses: Vec<IpAddr>,
    /// Whether both servers answer from one hardware address, as VRRP has it.
    pub is_mac_shared: bool,
    /// The lab of the site.
    pub lab: Lab,
}

impl Site {
    /// Builds the site; nothing of the contender runs yet. Clients ask for the IPv4 address and for
    /// `more`.
    pub fn build(witness: bool, more: &[&str]) -> Site {
        let lab = Lab::build(&Plan { alone: true, witness, ..Plan::default() });
        let texts = [ADDRESS].into_iter().chain(more.iter().copied());
        let addresses: Vec<IpAddr> = texts.map(|a| a.parse().expect("an address")).collect();
        let pace = Duration::from_millis(1);
        let mut site = Site {
            askers: addresses.iter().map(|address| Asker::start(&lab, *address, pace)).collect(),
            webs: [None, None],
            rooms: [None, None],
            boots: 0,
            addresses,
            is_mac_shared: false,
            lab,
        };
        Server::BOTH.into_iter().for_each(|server| site.start_web(server));
        site
    }

    /// Gives a server a new room with these files.
    pub fn furnish_room(&mut self, server: Server, files: &[(&str, String)]) {
        self.boots += 1;
        // The old room's keeper ends before its mounts are made again elsewhere.
        self.rooms[server.index()] = None;
        self.rooms[server.index()] = Some(Room::new(&self.lab, server, self.boots, files));
    }

    /// The room of a server.
    pub fn room(&self, server: Server) -> &Room {
        self.rooms[server.index()].as_ref().expect("it was furnished")
    }

    /// Name of nginx's process on a server, as `comm` has it: no other process of this machine has
    /// it, since watchers of processes look at all of them.
    pub fn web_name(server: Server) -> String {
        format!("w{}-{}", server.index(), std::process::id())
    }

    /// Path of the file with the number of nginx's process.
    pub fn web_pidfile(&self, server: Server) -> String {
        self.lab.dir().join(format!("{}-web.pid", server.name())).to_string_lossy().into_owned()
    }

    /// Starts nginx on a server, on any address.
    pub fn start_web(&mut self, server: Server) {
        let dir = self.lab.dir().join(format!("{}-web", server.name()));
        std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("make {}: {e}", dir.display()));
        let program = dir.join(Site::web_name(server));
        if !program.exists() {
            let nginx = Command::new("sh").args(["-c", "command -v nginx"]).output().expect("a shell").stdout;
            let nginx = String::from_utf8_lossy(&nginx).trim().to_owned();
            std::os::unix::fs::symlink(&nginx, &program).unwrap_or_else(|e| panic!("link {nginx}: {e}"));
        }
        let (dir_text, name) = (dir.display(), server.name());
        let config = format!(
            "user root;\ndaemon off;\nmaster_process off;\nworker_processes 1;\npid {};\nerror_log {dir_text}/error.log;\n\
             events {{ worker_connections 8192; }}\nhttp {{\n  access_log off;\n  client_body_temp_path {dir_text}/body;\n  \
             proxy_temp_path {dir_text}/proxy;\n  fastcgi_temp_path {dir_text}/fastcgi;\n  uwsgi_temp_path {dir_text}/uwsgi;\n  \
             scgi_temp_path {dir_text}/scgi;\n  keepalive_timeout 0;\n  server {{\n    listen 80 backlog=4096;\n    \
             listen [::]:80 backlog=4096;\n    location / {{ return 200 '{name}'; }}\n  }}\n}}\n",
            self.web_pidfile(server)
        );
        let file = dir.join("nginx.conf");
        std::fs::write(&file, config).unwrap_or_else(|e| panic!("write nginx.conf: {e}"));
        // A busy machine is to delay the service last: the way to it is measured.
        let mut command = Command::new("nice");
        command.args(["-n", "-10"]).arg(&program).arg("-c").arg(&file).arg("-p").arg(&dir);
        command.arg("-e").arg(dir.join("error.log"));
        self.webs[server.index()] = None;
        let mut process = Process::start(self.lab.server(server), command, &dir.join("output.log"), false);
        let limit = Instant::now() + Duration::from_secs(10);
        while self.lab.server(server).tool("ss", &["-Hltn", "sport", "=", ":80"], "").lines().count() < 2 {
            assert!(process.is_running() && Instant::now() < limit, "nginx does not listen: {}", process.output());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.webs[server.index()] = Some(process);
    }

    /// Kills nginx on a server; returns the instant just before.
    pub fn kill_web(&mut self, server: Server) -> MonoTime {
        let at = clock::now();
        self.webs[server.index()] = None;
        at
    }

    /// Takes a server's power and boots it: nothing of a failed contender is left, and nginx runs
    /// again.
    pub fn reboot(&mut self, server: Server) {
        self.lab.power_off(server);
        (self.webs[server.index()], self.rooms[server.index()]) = (None, None);
        self.lab.power_on(server);
        self.start_web(server);
    }

    /// Processes of a server whose name begins with one of `names`.
    pub fn processes(&self, server: Server, names: &[&str]) -> Vec<Pid> {
        let is_one = |pid: &Pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            names.iter().any(|wanted| name.trim().starts_with(wanted))
        };
        self.lab.server(server).processes().into_iter().filter(is_one).collect()
    }

    /// Questions and answers of each address since `from`.
    pub fn answers_since(&self, from: MonoTime) -> Vec<Answers> {
        self.askers.iter().map(|asker| asker.since(from)).collect()
    }

    /// The longest time without an answer since `from`, in milliseconds, of the address that was
    /// worst off.
    pub fn longest_gap_ms(&self, from: MonoTime) -> f64 {
        let gaps = self.answers_since(from).into_iter().map(|answers| answers.longest_gap().length());
        super::super::pair::ms(gaps.max().unwrap_or_default())
    }

    /// Time in which two servers answered between these instants, in milliseconds, of the address
    /// that was worst off.
    #[allow(clippy::cast_precision_loss, reason = "some thousands at most")]
    pub fn both_answered_ms(&self, from: MonoTime, until: MonoTime) -> f64 {
        let of = |answers: &Answers| {
            let within = answers.questions.iter().filter(|question| question.at <= until);
            within.filter(|q| q.second.is_some() || (self.is_mac_shared && q.answers > 1)).count()
        };
        self.answers_since(from).iter().map(of).max().unwrap_or_default() as f64
    }

    /// The server that answers for all addresses now, by the hardware address of the last answers.
    pub fn answering_server(&self) -> Option<Server> {
        let recent = MonoTime(clock::now().0.saturating_sub(50_000_000));
        let all: Vec<Option<Server>> = self.answers_since(recent).iter().map(Answers::last_server).collect();
        all.first().copied().flatten().filter(|first| all.iter().all(|other| *other == Some(*first)))
    }

    /// Whether clients have had every answer, from one server alone, for `time`.
    pub fn is_steady(&self, time: Duration) -> bool {
        let until = clock::now();
        let from = MonoTime(until.0.saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)));
        let is_answered = |answers: &Answers| {
            answers.questions.len() > 50
                && answers.questions.iter().any(|question| question.answer.is_some())
                && answers.longest_gap().length() < Duration::from_millis(30)
        };
        self.answers_since(from).iter().all(is_answered) && self.both_answered_ms(from, until) == 0.0
    }

    /// Starts a web client that asks all addresses in turn.
    pub fn start_web_client(&self, per_second: u32) -> Web {
        Web::start(&self.lab, &self.addresses, per_second)
    }
}

/// Figures of the requests at a fault.
#[derive(Clone, Copy, Debug)]
pub struct RequestFigures {
    /// The longest time without an answer, in milliseconds.
    pub gap: f64,
    /// The longest time that an answered request took, in milliseconds.
    pub slowest: f64,
    /// Number of lost requests.
    pub lost: f64,
}

/// Sums up the requests: losses of all, times of those begun from shortly before `at` on.
#[allow(clippy::cast_precision_loss, reason = "some thousands at most")]
pub fn sum_up(all: &Requests, at: MonoTime) -> RequestFigures {
    let later = Requests(all.0.iter().filter(|r| r.at >= super::super::pair::just_before(at)).copied().collect());
    let ms = super::super::pair::ms;
    RequestFigures { gap: ms(later.longest_gap()), slowest: ms(later.slowest()), lost: all.lost().len() as f64 }
}
