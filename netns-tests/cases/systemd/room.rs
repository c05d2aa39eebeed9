//! Two servers and perhaps a witness as machines with systemd, set up the way the README says.

use crate::lab::agent::Status;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::machine::Machine;
use crate::lab::netns::tool;
use crate::lab::program::program;
use crate::lab::wiring::WITNESSES;
use crate::lab::{Lab, Plan, Port, Server, clock};
use crate::probe::asker::Asker;
use crate::probe::capture::Capture;
use crate::probe::openings::Tenure;
use crate::probe::oracle::{Case, Expected};
use crate::scene::{ADDRESS, GROUP, PATIENCE};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vipair::types::MonoTime;

/// The agent's unit.
pub const AGENT: &str = "vipair.service";
/// The witness's unit.
pub const WITNESS: &str = "vipair-witness.service";

/// The machines and their lab. Fields are dropped in this order: machines before the lab.
#[derive(Debug)]
pub struct Room {
    /// The client that asks who has the address.
    pub asker: Asker,
    capture: Option<Capture>,
    servers: [Machine; 2],
    witness: Option<Machine>,
    files: PathBuf,
    /// The lab of the room.
    pub lab: Lab,
}

impl Room {
    /// Switches the machines on and installs everything; no unit of ours runs yet.
    /// `timing_toml` are further lines of `[timing]`.
    pub fn build(witness: bool, timing_toml: &str) -> Room {
        Room::build_for(witness, timing_toml, "")
    }

    /// Builds a room like [`Room::build`], with further lines of `[[group]]`.
    pub fn build_for(witness: bool, timing_toml: &str, group_toml: &str) -> Room {
        let lab = Lab::build(&Plan { witness, ..Plan::default() });
        let files = lab.dir().join("files");
        std::fs::create_dir(&files).unwrap_or_else(|e| panic!("make {}: {e}", files.display()));
        let mut config = ConfigText::pair("lan")
            .timing_toml(timing_toml)
            .group(GroupText::new(GROUP, &[ADDRESS]).more_toml(group_toml));
        if witness {
            config = config.witness(&WITNESSES[..1]);
        }
        std::fs::write(files.join("vipair.toml"), config.to_toml()).expect("write a configuration");
        let key = files.join("cluster.key");
        tool(&program().to_string_lossy(), &["keygen", &key.to_string_lossy()], "");
        let address = ADDRESS.parse().expect("an address");
        let mut room = Room {
            asker: Asker::start(&lab, address, Duration::from_millis(1)),
            capture: Some(Capture::start(&lab, &[address])),
            servers: Server::BOTH.map(|server| Machine::new(&lab, server.port(), &files)),
            witness: witness.then(|| Machine::new(&lab, Port::Witness, &files)),
            files,
            lab,
        };
        // Side by side, because a boot mostly waits.
        let Room { servers, witness, lab, .. } = &mut room;
        servers.iter_mut().chain(witness.as_mut()).for_each(|machine| machine.power_on(lab));
        servers.iter_mut().chain(witness.as_mut()).for_each(Machine::wait_until_up);
        // A system may be without procps.
        room.machine(Server::Beta).run(&["rm", "/usr/bin/kill"]);
        Server::BOTH.into_iter().for_each(|server| install_agent(room.machine(server)));
        if let Some(witness) = &room.witness {
            install_witness(witness, &room.files);
        }
        room
    }

    /// Builds a room with a pair whose agents are enabled and run: alpha is active, beta its ready
    /// standby.
    pub fn pair() -> Room {
        Room::pair_with("")
    }

    /// Builds a room like [`Room::pair`], with further lines of `[timing]`.
    pub fn pair_with(timing_toml: &str) -> Room {
        let room = Room::build(false, timing_toml);
        room.enable_agent(Server::Alpha);
        room.wait("alpha to be active", |room| room.has_role(Server::Alpha, "active"));
        room.enable_agent(Server::Beta);
        room.wait_complete(Server::Alpha);
        room
    }

    /// Runs `systemctl enable --now vipair` on a server.
    pub fn enable_agent(&self, server: Server) {
        self.machine(server).run(&["systemctl", "enable", "--quiet", "--now", AGENT]);
    }

    /// Directory that machines see as `/files`.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// The machine of a server.
    pub fn machine(&self, server: Server) -> &Machine {
        &self.servers[server.index()]
    }

    /// The machine of the witness; panics without one.
    pub fn witness(&self) -> &Machine {
        self.witness.as_ref().expect("this room has one")
    }

    /// Takes a server's power: SIGKILL to all of the machine, its systemd included; interfaces and
    /// gate are gone.
    pub fn power_off(&mut self, server: Server) -> MonoTime {
        let at = self.lab.power_off(server);
        self.servers[server.index()].lose_power();
        at
    }

    /// Has a server's systemd shut the machine down, by `reboot` or `poweroff`, and waits until it is
    /// off. Its power is gone then.
    pub fn shut_down(&mut self, server: Server, verb: &str) {
        self.lab.note(format!("systemctl {verb} on {}", server.name()));
        self.machine(server).run(&["systemctl", verb, "--no-block"]);
        self.servers[server.index()].wait_until_off();
        self.lab.power_off(server);
    }

    /// Gives a server its power back and waits until it is up. Enabled units start by themselves.
    pub fn power_on(&mut self, server: Server) {
        self.lab.power_on(server);
        let machine = &mut self.servers[server.index()];
        machine.power_on(&self.lab);
        machine.wait_until_up();
    }

    /// Report of `vipair status --json` on a server, or why there is none.
    pub fn status(&self, server: Server) -> Result<Status, String> {
        let text = self.machine(server).try_run(&["vipair", "status", "--json"])?;
        serde_json::from_str(&text).map(Status).map_err(|e| format!("status is no JSON: {e}: {text}"))
    }

    /// Whether a server has this role now.
    pub fn has_role(&self, server: Server, role: &str) -> bool {
        self.status(server).is_ok_and(|status| status.text(GROUP, "role") == role)
    }

    /// Epoch with which a server is active; panics when it is not.
    pub fn epoch(&self, server: Server) -> String {
        let status = self.status(server).unwrap_or_else(|cause| panic!("{}: {cause}", server.name()));
        assert_eq!(status.text(GROUP, "role"), "active", "{} is not active", server.name());
        status.text(GROUP, "epoch")
    }

    /// Process number of a server's agent, by the machine's own numbers.
    pub fn agent_pid(&self, server: Server) -> String {
        self.machine(server).property(AGENT, "MainPID")
    }

    /// Waits until a condition holds; panics when it does not within [`PATIENCE`].
    pub fn wait(&self, what: &str, mut condition: impl FnMut(&Room) -> bool) -> MonoTime {
        let limit = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < limit, "waited {PATIENCE:?} in vain for: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
        clock::now()
    }

    /// Waits until `active` has the group and the other server is its ready standby.
    pub fn wait_complete(&self, active: Server) -> MonoTime {
        self.wait(&format!("{} to be active and the other one ready", active.name()), |room| {
            let ready = |status: Status| status.text(GROUP, "role") == "standby" && status.is_ready(GROUP);
            room.has_role(active, "active") && room.status(active.other()).is_ok_and(ready)
        })
    }

    /// Waits until clients get their answers from `server`.
    pub fn wait_answered_by(&self, server: Server) -> MonoTime {
        self.wait(&format!("{} to answer", server.name()), |room| {
            let recent = MonoTime(clock::now().0.saturating_sub(100_000_000));
            room.asker.since(recent).last_server() == Some(server)
        })
    }

    /// Ends the room and checks it: the owners of the address, as expected, never two at once, and
    /// no frame of a closed gate.
    pub fn finish(mut self, expected: &Expected) -> Vec<Tenure> {
        let both = self.asker.since(MonoTime::ZERO).answered_twice();
        assert!(both.is_empty(), "two servers answered one question: {:?}", both.first());
        let heard = self.capture.take().expect("it runs until here").finish().unwrap_or_else(|e| panic!("{e}"));
        let history = self.lab.history();
        let case = Case { heard: &heard, history: &history, apart: &[], drain: Duration::from_secs(1) };
        case.check(self.asker.target(), expected).unwrap_or_else(|verdict| panic!("{verdict}"))
    }

    /// Ends of the units' journals, to be printed after a failure.
    fn failure_text(&self) -> String {
        let machines = self.servers.iter().chain(&self.witness);
        let journal = |machine: &Machine| {
            let units = format!("--unit={}", if machine.port() == Port::Witness { WITNESS } else { AGENT });
            let said = machine.try_run(&["journalctl", "--no-pager", "--lines=60", "--output=short-precise", &units]);
            format!("--- {}\n{}\n", machine.port().host(), said.unwrap_or_else(|cause| cause))
        };
        machines.map(journal).collect()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.failure_text());
        }
    }
}

/// Installs the agent as the README says.
fn install_agent(machine: &Machine) {
    machine.run(&["install", "-m", "755", "/program", "/usr/local/bin/vipair"]);
    let units = ["/src/systemd/vipair.service", "/src/systemd/vipair-handover.service"];
    machine.run(&[&["install", "-m", "644"], &units[..], &["/etc/systemd/system/"]].concat());
    machine.run(&["install", "-d", "-m", "755", "/etc/vipair"]);
    machine.run(&["install", "-m", "644", "/files/vipair.toml", "/etc/vipair/"]);
    machine.run(&["install", "-m", "600", "/files/cluster.key", "/etc/vipair/"]);
    machine.run(&["vipair", "check"]);
    machine.run(&["systemctl", "daemon-reload"]);
}

/// Installs the witness as the guide says.
fn install_witness(machine: &Machine, files: &Path) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/witness.toml"));
    let text = text.expect("the example is there").replace("name = \"web\"", "name = \"lab\"");
    std::fs::write(files.join("witness.toml"), text).expect("write a configuration");
    machine.run(&["install", "-m", "755", "/program", "/usr/local/bin/vipair"]);
    machine.run(&["install", "-m", "644", "/src/systemd/vipair-witness.service", "/etc/systemd/system/"]);
    machine.run(&["install", "-d", "/etc/vipair"]);
    machine.run(&["install", "-m", "600", "/files/cluster.key", "/files/witness.toml", "/etc/vipair/"]);
    machine.run(&["vipair", "witness", "--check", "/etc/vipair/witness.toml"]);
    machine.run(&["systemctl", "daemon-reload"]);
}
