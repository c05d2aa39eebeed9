//! A lab with the product in it: two agents, two web servers, clients that ask, and the oracle at
//! the end.
//!
//! Owns: bringing a pair up, waiting for conditions, and the final verdict. Never does: sleeping
//! for a result; it waits for a condition with a generous limit. After any panic the statuses, the
//! logs and the timeline of the first address are printed.

mod setup;
mod verdict;
mod witness;

pub use crate::lab::PATIENCE;
use crate::lab::agent::Agent;
use crate::lab::home::Home;
use crate::lab::netns::tool;
use crate::lab::program::program;
use crate::lab::service::{Service, wait_for_addresses};
use crate::lab::witness::Witness;
use crate::lab::{Lab, Server, clock};
use crate::probe::asker::{Answers, Asker};
use crate::probe::capture::{Capture, Heard};
use crate::probe::knock::Knocker;
use crate::probe::oracle::Apart;
use crate::probe::web::Web;
pub use setup::Setup;
use setup::addresses_of;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use vipair::types::MonoTime;

/// The shared IPv4 address of most scenes.
pub const ADDRESS: &str = "10.0.0.100";
/// The shared IPv6 address of most scenes.
pub const ADDRESS6: &str = "2001:db8::100";
/// The group of most scenes.
pub const GROUP: &str = "web";

/// A lab with a pair. Fields are dropped in this order: probes and processes before the lab.
#[derive(Debug)]
pub struct Scene {
    /// Clients that ask who has an address, one for each address of the setup's `asked`.
    pub askers: Vec<Asker>,
    knocker: Option<Knocker>,
    /// The capture of the servers' frames, until the verdict or [`Scene::end_capture`].
    capture: Option<Capture>,
    agents: [Agent; 2],
    witnesses: Vec<Witness>,
    services: [Option<Service>; 2],
    /// Files of both servers' own, in a scene of a worked example; otherwise empty.
    homes: Vec<Rc<Home>>,
    /// Times in which claims of a server are not held against it (S8).
    apart: Vec<Apart>,
    /// Kills of agents: each may have left an opening out of its log.
    kills: Vec<(Server, MonoTime)>,
    began: MonoTime,
    setup: Setup,
    pulse: Duration,
    /// Epochs that were seen in use, in order.
    epochs: Vec<Held>,
    /// The lab of the scene.
    pub lab: Lab,
}

/// An epoch that a server was seen active with.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Held {
    group: String,
    server: Server,
    epoch: u64,
}

impl Scene {
    /// Builds the lab and starts the probes; no agent runs yet.
    pub fn build(setup: Setup) -> Scene {
        let lab = Lab::build(&setup.plan);
        let configs = Server::BOTH.map(|server| write_config(&lab, &setup.config.to_toml(), server));
        let program = program();
        let key = lab.dir().join("cluster.key");
        tool(&program.to_string_lossy(), &["keygen", &key.to_string_lossy()], "");
        assert!(key.is_file(), "vipair keygen made no key");
        let homes: Vec<Rc<Home>> = setup.example.map(|name| install_homes(&lab, name, &key)).unwrap_or_default();
        let addresses: Vec<IpAddr> = setup.config.groups().iter().flat_map(addresses_of).collect();
        let pace = Duration::from_millis(1);
        let numbered = setup.witnesses.iter().zip(1_u8..);
        Scene {
            knocker: setup.knock.then(|| Knocker::start(&lab, &addresses)),
            witnesses: numbered
                .map(|(at, number)| Witness::new(&lab, number, *at, &setup.witness_checks_toml))
                .collect(),
            kills: Vec::new(),
            began: clock::now(),
            capture: Some(Capture::start(&lab, &addresses)),
            askers: setup.asked.iter().map(|a| Asker::start(&lab, *a, pace)).collect(),
            agents: Server::BOTH.map(|server| match homes.get(server.index()) {
                Some(home) => Agent::at_home(&lab, server, home),
                None => Agent::new(&lab, server, &configs[server.index()]),
            }),
            services: [None, None],
            homes,
            apart: Vec::new(),
            pulse: Duration::from_millis(setup.config.pulse_ms()),
            epochs: Vec::new(),
            setup,
            lab,
        }
    }

    /// Builds a scene, starts alpha's agent, then beta's, and waits until alpha has every group and
    /// beta is its ready standby. The agents start one after the other, because on a busy machine
    /// the server that is ready much earlier becomes active. With a witness alpha only becomes
    /// ready before beta starts: a witness that was never started before votes when it has heard
    /// both.
    pub fn start(setup: Setup) -> Scene {
        let mut scene = Scene::build(setup);
        scene.begin();
        scene
    }

    /// What [`Scene::start`] does once the scene is built.
    pub fn begin(&mut self) {
        let scene = self;
        scene.start_witnesses();
        let names: Vec<String> = scene.setup.config.groups().iter().map(|group| group.name.clone()).collect();
        scene.start_agent(Server::Alpha);
        for name in &names {
            if scene.witnesses.is_empty() {
                scene.wait_role(Server::Alpha, name, "active");
            } else {
                let lacks_votes_only = |s: &mut Scene| {
                    let status = s.agent(Server::Alpha).status();
                    status.is_ok_and(|s| s.is_ready(name) || s.text(name, "reason").starts_with("no majority"))
                };
                scene.wait(&format!("alpha to lack nothing but votes for {name}"), lacks_votes_only);
            }
        }
        scene.start_agent(Server::Beta);
        if !scene.setup.witness_checks_toml.is_empty() {
            // A service that the witness finds failing from the beginning is a reason to move.
            Server::BOTH.into_iter().for_each(|server| scene.start_service(server));
        }
        for name in &names {
            scene.wait_role(Server::Alpha, name, "active");
            scene.wait_ready(Server::Beta, name);
        }
        if scene.setup.services && scene.setup.witness_checks_toml.is_empty() {
            Server::BOTH.into_iter().for_each(|server| scene.start_service(server));
        }
        scene.lab.note("the pair is complete");
    }

    /// Starts both agents in the same moment.
    pub fn start_agents(&mut self) {
        for agent in &mut self.agents {
            agent.start(&self.lab);
        }
    }

    /// Starts a server's agent; returns the instant just before.
    pub fn start_agent(&mut self, server: Server) -> MonoTime {
        self.agents[server.index()].start(&self.lab)
    }

    /// Starts nginx on a server whose agent runs, once the server has all addresses.
    pub fn start_service(&mut self, server: Server) {
        let addresses: Vec<IpAddr> = self.setup.config.groups().iter().flat_map(addresses_of).collect();
        self.services[server.index()] = None;
        self.services[server.index()] = Some(Service::start(&self.lab, server, &addresses));
    }

    /// Ends nginx on a server, and nothing else of it; returns the instant just before.
    pub fn stop_service(&mut self, server: Server) -> MonoTime {
        let at = self.lab.note(format!("the service of {} ends", server.name()));
        self.services[server.index()] = None;
        at
    }

    /// Starts a web client that asks all addresses in turn, `per_second` requests in all.
    pub fn start_web(&self, per_second: u32) -> Web {
        let addresses: Vec<IpAddr> = self.setup.config.groups().iter().flat_map(addresses_of).collect();
        Web::start(&self.lab, &addresses, per_second)
    }

    /// The home of a server, in a scene of a worked example.
    pub fn home(&self, server: Server) -> &Rc<Home> {
        self.homes.get(server.index()).expect("a scene of a worked example")
    }

    /// The agent of a server.
    pub fn agent(&self, server: Server) -> &Agent {
        &self.agents[server.index()]
    }

    /// The agent of a server, and the lab that its methods take.
    pub fn agent_mut(&mut self, server: Server) -> (&mut Agent, &Lab) {
        (&mut self.agents[server.index()], &self.lab)
    }

    /// Kills the agent of a server with SIGKILL; returns the instant of the signal.
    pub fn kill_agent(&mut self, server: Server) -> MonoTime {
        let at = self.agents[server.index()].kill(&self.lab);
        self.kills.push((server, at));
        at
    }

    /// Takes a server's power: processes, interfaces and gate are gone, the disk stays.
    pub fn power_off(&mut self, server: Server) -> MonoTime {
        let at = self.lab.power_off(server);
        self.kills.push((server, at));
        self.agents[server.index()].forget_process();
        self.services[server.index()] = None;
        at
    }

    /// Gives a server its power back: interfaces, then the agent. The caller starts services.
    pub fn power_on(&mut self, server: Server) -> MonoTime {
        let at = self.lab.power_on(server);
        if let Some(home) = self.homes.get(server.index()) {
            home.boot();
        }
        self.start_agent(server);
        at
    }

    /// Pulls all cables of a server.
    pub fn cut_off(&mut self, server: Server) -> MonoTime {
        self.lab.cut(&self.lab.ports(server))
    }

    /// Plugs all cables of a server in again. In a bare pair, what the server claimed since `cut`
    /// reached nobody, and two pulses later it must be right (S8). With a witness nothing excuses a
    /// claim (S1).
    pub fn rejoin(&mut self, server: Server, cut: MonoTime) -> MonoTime {
        let at = self.lab.join(&self.lab.ports(server));
        if self.witnesses.is_empty() {
            self.excuse_claims(server, cut, at);
        }
        at
    }

    /// Excuses what `server` claims from `from` until two pulses after `joined` (S8).
    pub fn excuse_claims(&mut self, server: Server, from: MonoTime, joined: MonoTime) {
        // The cable is in when `ip` has ended, and a pulse may just have been missed.
        let until = joined + Duration::from_millis(10) + self.pulse * 2;
        self.apart.push(Apart { server, from, until });
    }

    /// Waits until `condition` holds; panics when it does not within [`PATIENCE`], or when an agent
    /// or a witness ends by itself.
    pub fn wait(&mut self, what: &str, mut condition: impl FnMut(&mut Scene) -> bool) -> MonoTime {
        let limit = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < limit, "waited {PATIENCE:?} in vain for: {what}");
            let died = self.agents.iter_mut().any(Agent::ended_by_itself)
                || self.witnesses.iter_mut().any(Witness::ended_by_itself);
            assert!(!died, "an agent or a witness ended by itself while waiting for: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
        clock::now()
    }

    /// Waits until a server has a role for a group.
    pub fn wait_role(&mut self, server: Server, group: &str, role: &str) -> MonoTime {
        self.wait(&format!("{} to be {role} for {group}", server.name()), |s| s.role(server, group) == role)
    }

    /// Waits until a server is a ready standby for a group.
    pub fn wait_ready(&mut self, server: Server, group: &str) -> MonoTime {
        self.wait(&format!("{} to be a ready standby for {group}", server.name()), |s| {
            let status = s.agent(server).status();
            status.is_ok_and(|status| status.text(group, "role") == "standby" && status.is_ready(group))
        })
    }

    /// Waits until a server has all addresses on its interface.
    pub fn wait_addresses(&self, server: Server) {
        let addresses: Vec<IpAddr> = self.setup.config.groups().iter().flat_map(addresses_of).collect();
        wait_for_addresses(&self.lab, server, &addresses);
    }

    /// Role of a server for a group now, empty without an answer. Every epoch seen in use is
    /// remembered and must rise (S2).
    pub fn role(&mut self, server: Server, group: &str) -> String {
        let Ok(status) = self.agent(server).status() else { return String::new() };
        let role = status.text(group, "role");
        if role == "active" {
            let text = status.text(group, "epoch");
            let epoch = text.parse().unwrap_or_else(|e| panic!("an epoch is a number, not {text:?}: {e}"));
            self.note_epoch(Held { group: group.to_owned(), server, epoch });
        }
        role
    }

    /// Remembers an epoch in use; panics unless it rises above the group's last one (S2).
    fn note_epoch(&mut self, held: Held) {
        let last = self.epochs.iter().rev().find(|h| h.group == held.group);
        if last == Some(&held) {
            return;
        }
        let rises = last.is_none_or(|l| l.epoch < held.epoch);
        assert!(rises, "S2: {held:?} does not rise above {last:?}");
        self.epochs.push(held);
    }

    /// Roles of both servers for a group.
    pub fn roles(&mut self, group: &str) -> [String; 2] {
        Server::BOTH.map(|server| self.role(server, group))
    }

    /// Waits until exactly one server is active and the other a standby; returns the active one.
    pub fn wait_one_active(&mut self, group: &str) -> Server {
        let mut owner = None;
        self.wait(&format!("one active and one standby for {group}"), |s| {
            owner = match s.roles(group).each_ref().map(String::as_str) {
                ["active", "standby"] => Some(Server::Alpha),
                ["standby", "active"] => Some(Server::Beta),
                _ => None,
            };
            owner.is_some()
        });
        owner.expect("the condition holds")
    }

    /// Questions and answers since `from`, for the scene's first asked address.
    pub fn answers(&self, from: MonoTime) -> Answers {
        self.askers.first().expect("this scene asks for an address").since(from)
    }

    /// Waits until `server` gives the latest answers for every address that is asked for.
    pub fn wait_answered_by(&mut self, server: Server) -> MonoTime {
        self.wait(&format!("{} to answer", server.name()), |s| {
            let recent = MonoTime(clock::now().0.saturating_sub(100_000_000));
            s.askers.iter().all(|a| a.since(recent).last_server() == Some(server))
        })
    }

    /// Ends the capture, whose work would be measured, too. The scene cannot be finished by a
    /// verdict after that.
    pub fn end_capture(&mut self) {
        self.capture = None;
    }

    /// The frames heard from the servers so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.capture.as_ref().map(Capture::heard_so_far).unwrap_or_default()
    }

    /// Leaves everything running when this process ends; returns the directory of the lab's files.
    pub fn leave_running(mut self) -> PathBuf {
        self.agents.iter_mut().for_each(Agent::leave_running);
        self.services.iter_mut().filter_map(Option::take).for_each(Service::leave_running);
        let dir = self.lab.dir().to_owned();
        self.lab.leave_standing();
        dir
    }
}

/// Writes a configuration file: one for both servers, unless the text has @SERVER@, the server's
/// name. @DIR@ is the lab's directory.
fn write_config(lab: &Lab, text: &str, server: Server) -> PathBuf {
    let text = text.replace("@DIR@", &lab.dir().to_string_lossy());
    let name =
        if text.contains("@SERVER@") { format!("vipair-{}.toml", server.name()) } else { "vipair.toml".into() };
    let path = lab.dir().join(name);
    std::fs::write(&path, text.replace("@SERVER@", server.name()))
        .unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    path
}

/// Makes files of their own for both servers, with a worked example and the key.
fn install_homes(lab: &Lab, example: &str, key: &Path) -> Vec<Rc<Home>> {
    let install = |server| {
        let home = Home::new(lab, server);
        home.install_example(example);
        tool("cp", &["-p", &key.to_string_lossy(), &home.path("/etc/vipair/").to_string_lossy()], "");
        Rc::new(home)
    };
    Server::BOTH.map(install).to_vec()
}
