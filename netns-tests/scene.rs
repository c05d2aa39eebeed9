//! A lab with the product in it: two agents, two web servers, clients that ask, and the judge at the end.
//!
//! Owns: bringing a pair up, waiting for conditions, and the final verdict. Never does: sleeping for a result; it waits
//! for a condition with a generous limit. On failure both statuses, both logs and the timeline of the first address
//! are printed, whoever panicked.

use crate::lab::agent::Agent;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::netns::tool;
use crate::lab::service::{Service, wait_for_addresses};
use crate::lab::{Lab, Plan, Port, Server, agent, clock};
use crate::probe::asker::{Answers, Asker};
use crate::probe::capture::{Capture, Heard};
use crate::probe::oracle::{Apart, Case, Expected, Tenure};
use crate::probe::web::Web;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use vipair::types::MonoTime;

/// The shared IPv4 address of most scenes.
pub const ADDRESS: &str = "10.0.0.100";
/// The shared IPv6 address of most scenes.
pub const ADDRESS6: &str = "2001:db8::100";
/// The group of most scenes.
pub const GROUP: &str = "web";
/// Longest wait for anything: L5 says 10 s, a busy machine may take longer to tell.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What stands at the beginning.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The lab.
    pub plan: Plan,
    /// The pair's configuration.
    pub config: ConfigText,
    /// Addresses that are asked for every millisecond.
    pub asked: Vec<IpAddr>,
    /// Whether nginx runs on both servers.
    pub services: bool,
}

impl Setup {
    /// One group with an IPv4 and an IPv6 address, both asked for all the time.
    pub fn of(profile: &'static str) -> Setup {
        Setup::with(ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6])))
    }

    /// Any configuration; the first address of each family in each group is asked for all the time.
    pub fn with(config: ConfigText) -> Setup {
        let mut asked = Vec::new();
        for group in config.groups() {
            let all = addresses_of(group);
            asked.extend(all.iter().find(|a| a.is_ipv4()));
            asked.extend(all.iter().find(|a| a.is_ipv6()));
        }
        Setup { plan: Plan::default(), config, asked, services: false }
    }

    /// With no other lab beside it.
    pub fn alone(mut self) -> Setup {
        self.plan.alone = true;
        self
    }

    /// With nginx on both servers.
    pub fn services(mut self) -> Setup {
        self.services = true;
        self
    }
}

fn addresses_of(group: &GroupText) -> Vec<IpAddr> {
    group.addresses.iter().map(|a| a.parse().unwrap_or_else(|e| panic!("{a}: {e}"))).collect()
}

/// The scene. Fields are dropped in this order: probes and processes before the lab.
#[derive(Debug)]
pub struct Scene {
    /// Clients that ask who has an address.
    pub askers: Vec<Asker>,
    capture: Option<Capture>,
    agents: [Agent; 2],
    services: [Option<Service>; 2],
    apart: Vec<Apart>,
    setup: Setup,
    pulse: Duration,
    epochs: Vec<Held>,
    /// The lab itself.
    pub lab: Lab,
}

/// An epoch seen in use.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Held {
    group: String,
    server: Server,
    epoch: u64,
}

impl Scene {
    /// Builds the lab and starts to listen; no agent runs yet.
    pub fn build(setup: Setup) -> Scene {
        let lab = Lab::build(&setup.plan);
        let config = lab.dir().join("vipair.toml");
        std::fs::write(&config, setup.config.text()).unwrap_or_else(|e| panic!("write {}: {e}", config.display()));
        let program = agent::program();
        let key = lab.dir().join("cluster.key");
        tool(&program.to_string_lossy(), &["keygen", &key.to_string_lossy()], "");
        assert!(key.is_file(), "vipair keygen made no key");
        let addresses: Vec<IpAddr> = setup.config.groups().iter().flat_map(addresses_of).collect();
        let pace = Duration::from_millis(1);
        Scene {
            capture: Some(Capture::start(&lab, &addresses)),
            askers: setup.asked.iter().map(|a| Asker::start(&lab, *a, pace)).collect(),
            agents: Server::BOTH.map(|server| Agent::new(&lab, server, &config)),
            services: [None, None],
            apart: Vec::new(),
            pulse: Duration::from_millis(setup.config.pulse_ms()),
            epochs: Vec::new(),
            setup,
            lab,
        }
    }

    /// Builds it, starts alpha's agent, then beta's, and waits until alpha has every group and beta is its ready
    /// standby. One after the other: on a busy machine the one that is ready much earlier becomes active.
    pub fn start(setup: Setup) -> Scene {
        let mut scene = Scene::build(setup);
        let names: Vec<String> = scene.setup.config.groups().iter().map(|group| group.name.clone()).collect();
        scene.start_agent(Server::Alpha);
        for name in &names {
            scene.wait_role(Server::Alpha, name, "active");
        }
        scene.start_agent(Server::Beta);
        for name in &names {
            scene.wait_ready(Server::Beta, name);
        }
        if scene.setup.services {
            Server::BOTH.into_iter().for_each(|server| scene.start_service(server));
        }
        scene.lab.note("the pair is complete");
        scene
    }

    /// Starts both agents at the same moment.
    pub fn start_agents(&mut self) {
        for agent in &mut self.agents {
            agent.start(&self.lab);
        }
    }

    /// Starts one agent.
    pub fn start_agent(&mut self, server: Server) -> MonoTime {
        self.agents[index(server)].start(&self.lab)
    }

    /// Starts nginx on a server whose agent runs.
    pub fn start_service(&mut self, server: Server) {
        let addresses: Vec<IpAddr> = self.setup.config.groups().iter().flat_map(addresses_of).collect();
        self.services[index(server)] = None;
        self.services[index(server)] = Some(Service::start(&self.lab, server, &addresses));
    }

    /// Starts a web client that asks all addresses in turn.
    pub fn web(&self, per_second: u32) -> Web {
        let addresses: Vec<IpAddr> = self.setup.config.groups().iter().flat_map(addresses_of).collect();
        Web::start(&self.lab, &addresses, per_second)
    }

    /// The agent of a server.
    pub fn agent(&self, server: Server) -> &Agent {
        &self.agents[index(server)]
    }

    /// The agent of a server, and the lab to use it with.
    pub fn agent_mut(&mut self, server: Server) -> (&mut Agent, &Lab) {
        (&mut self.agents[index(server)], &self.lab)
    }

    /// SIGKILL to the agent of a server.
    pub fn kill_agent(&mut self, server: Server) -> MonoTime {
        self.agents[index(server)].kill(&self.lab)
    }

    /// Power loss: processes, interfaces and gate are gone, the disk stays.
    pub fn power_off(&mut self, server: Server) -> MonoTime {
        let at = self.lab.power_off(server);
        self.agents[index(server)].forget();
        self.services[index(server)] = None;
        at
    }

    /// Power is back: interfaces, then the agent, then the service if there was one.
    pub fn power_on(&mut self, server: Server) -> MonoTime {
        let at = self.lab.power_on(server);
        self.start_agent(server);
        at
    }

    /// Pulls all cables of a server.
    pub fn cut_off(&mut self, server: Server) -> MonoTime {
        self.lab.cut(&[server.port(), server.heartbeat()])
    }

    /// Plugs them in again. What the server claimed since `cut` reached nobody; two pulses later it must be right.
    pub fn rejoin(&mut self, server: Server, cut: MonoTime) -> MonoTime {
        let at = self.lab.join(&[server.port(), server.heartbeat()]);
        self.set_apart(server, cut, at);
        at
    }

    /// What `server` claims from `from` until two pulses after `joined` is not held against it (S8).
    pub fn set_apart(&mut self, server: Server, from: MonoTime, joined: MonoTime) {
        // The cable is in when `ip` has ended; a pulse may just have been missed.
        let until = joined + Duration::from_millis(10) + self.pulse * 2;
        self.apart.push(Apart { server, from, until });
    }

    /// Waits until `condition` holds; prints everything and panics when it does not within [`PATIENCE`].
    pub fn wait(&mut self, what: &str, mut condition: impl FnMut(&mut Scene) -> bool) -> MonoTime {
        let limit = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < limit, "waited {PATIENCE:?} in vain for: {what}");
            let died = self.agents.iter_mut().any(Agent::died);
            assert!(!died, "an agent ended by itself while waiting for: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
        clock::now()
    }

    /// Waits for a role.
    pub fn wait_role(&mut self, server: Server, group: &str, role: &str) -> MonoTime {
        self.wait(&format!("{} to be {role} for {group}", server.name()), |s| s.role(server, group) == role)
    }

    /// Waits until a server is a ready standby.
    pub fn wait_ready(&mut self, server: Server, group: &str) -> MonoTime {
        self.wait(&format!("{} to be a ready standby for {group}", server.name()), |s| {
            let status = s.agent(server).status();
            status.is_ok_and(|status| status.text(group, "role") == "standby" && status.ready(group))
        })
    }

    /// Waits until a server has all addresses.
    pub fn wait_addresses(&self, server: Server) {
        let addresses: Vec<IpAddr> = self.setup.config.groups().iter().flat_map(addresses_of).collect();
        wait_for_addresses(&self.lab, server, &addresses);
    }

    /// The role of a server now; every epoch seen in use is remembered and must rise (S2).
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

    fn note_epoch(&mut self, held: Held) {
        let last = self.epochs.iter().rev().find(|h| h.group == held.group);
        if last == Some(&held) {
            return;
        }
        let rises = last.is_none_or(|l| l.epoch < held.epoch);
        assert!(rises, "S2: {held:?} does not rise above {last:?}");
        self.epochs.push(held);
    }

    /// Every server's role for a group.
    pub fn roles(&mut self, group: &str) -> [String; 2] {
        Server::BOTH.map(|server| self.role(server, group))
    }

    /// Waits until exactly one server is active and the other a standby; says which.
    pub fn wait_one_active(&mut self, group: &str) -> Server {
        self.wait(&format!("one active and one standby for {group}"), |s| {
            let mut roles = s.roles(group);
            roles.sort();
            roles == ["active", "standby"]
        });
        let owner = Server::BOTH.into_iter().find(|s| self.role(*s, group) == "active");
        owner.unwrap_or_else(|| panic!("the active server for {group} went away"))
    }

    /// What clients got to hear since `from`, for the scene's first asked address.
    pub fn answers(&self, from: MonoTime) -> Answers {
        self.askers.first().expect("this scene asks for an address").since(from)
    }

    /// Waits until clients get their answers from `server`, for every address that is asked for.
    pub fn wait_answered_by(&mut self, server: Server) -> MonoTime {
        self.wait(&format!("{} to answer", server.name()), |s| {
            let recent = MonoTime(clock::now().0.saturating_sub(100_000_000));
            s.askers.iter().all(|a| a.since(recent).last_server() == Some(server))
        })
    }

    /// Ends the capture, whose work would be measured, too. Such a scene cannot be judged.
    pub fn end_capture(&mut self) {
        self.capture = None;
    }

    /// What has left the servers so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.capture.as_ref().map(Capture::so_far).unwrap_or_default()
    }

    /// Ends the scene and judges it: the owners of every address of the only group, as expected, and S1, S3, S8.
    pub fn finish(self, expected: &Expected) -> Vec<Tenure> {
        let group = self.setup.config.groups()[0].name.clone();
        self.finish_groups(&[(&group, expected)])
    }

    /// The same for several groups; returns the tenures of the first address.
    pub fn finish_groups(mut self, expected: &[(&str, &Expected)]) -> Vec<Tenure> {
        self.judge(expected)
    }

    /// The verdict by itself, for a scene that goes on afterwards without a judge.
    pub fn judge(&mut self, expected: &[(&str, &Expected)]) -> Vec<Tenure> {
        for asker in &self.askers {
            let together = asker.since(MonoTime::ZERO).both();
            let wrong = together.iter().find(|q| !self.apart.iter().any(|a| (a.from..a.until).contains(&q.at)));
            assert!(wrong.is_none(), "two servers answered one question: {wrong:?}");
        }
        let heard = self.capture.take().expect("it runs until here").finish().unwrap_or_else(|e| panic!("{e}"));
        let journal = self.lab.journal();
        let case = Case { heard: &heard, journal: &journal, apart: &self.apart, drain: Duration::from_secs(1) };
        let mut first = Vec::new();
        for group in self.setup.config.groups() {
            let (_, expected) = expected.iter().find(|(name, _)| *name == group.name).expect("every group is judged");
            for address in addresses_of(group) {
                let tenures = case.judge(address, expected).unwrap_or_else(|verdict| panic!("{verdict}"));
                if first.is_empty() {
                    first = tenures;
                }
            }
        }
        first
    }

    /// Leaves everything running when this process ends; returns where its files are.
    pub fn leave(mut self) -> PathBuf {
        self.agents.iter_mut().for_each(Agent::leave);
        self.services.iter_mut().filter_map(Option::take).for_each(Service::leave);
        let dir = self.lab.dir().to_owned();
        self.lab.keep_standing();
        dir
    }

    fn describe(&self) -> String {
        let mut text: String = self.agents.iter().map(Agent::describe).collect();
        let (heard, journal) = (self.heard(), self.lab.journal());
        let case = Case { heard: &heard, journal: &journal, apart: &self.apart, drain: Duration::ZERO };
        let address = self.setup.config.groups().first().and_then(|g| addresses_of(g).first().copied());
        if let Some(address) = address {
            text += &format!("--- {address} on the wire\n{}", case.timeline(address));
        }
        text
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.describe());
        }
    }
}

fn index(server: Server) -> usize {
    match server {
        Server::Alpha => 0,
        Server::Beta => 1,
    }
}

/// Ports of a server, for faults that strike it whole.
pub fn ports(server: Server) -> [Port; 2] {
    [server.port(), server.heartbeat()]
}
