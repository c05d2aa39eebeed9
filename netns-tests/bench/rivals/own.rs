//! vipair itself, as one of the contenders: its configuration, and how its agents and its witness
//! are driven.

use super::course::Contender;
use super::site::Site;
use crate::lab::Server;
use crate::lab::agent::Agent;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::netns::tool;
use crate::lab::program::program;
use crate::lab::witness::Witness;
use crate::scene::{ADDRESS, ADDRESS6, GROUP};
use nix::unistd::Pid;

/// vipair's pair, with or without a witness.
pub struct Own {
    profile: &'static str,
    agents: Vec<Agent>,
    witness: Option<Witness>,
    is_witnessed: bool,
}

/// Further lines of the pair's check of nginx's process.
const CHECK: &str = "interval_ms = 100\nfall = 1\nrise = 1\n";

/// The text of the pair's configuration file; `web` is the name of nginx's process, `pidfile` its
/// file.
pub fn config(profile: &'static str, is_witnessed: bool, web: &str, pidfile: &str) -> String {
    let check = format!("[[group.check]]\nkind = \"process\"\nprocess = \"{web}\"\npidfile = \"{pidfile}\"\n{CHECK}");
    let config = ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]).more_toml(&check));
    let config = if is_witnessed { config.witness(&[Witness::address_of(1)]) } else { config };
    config.to_toml()
}

impl Own {
    /// vipair on no server yet.
    pub fn new(profile: &'static str, is_witnessed: bool) -> Own {
        Own { profile, agents: Vec::new(), witness: None, is_witnessed }
    }

    /// Whether a server's agent reports `role` for the group; a standby must be ready, too.
    fn has_role(&self, server: Server, role: &str) -> bool {
        self.agents[server.index()]
            .status()
            .is_ok_and(|status| status.text(GROUP, "role") == role && (role == "active" || status.is_ready(GROUP)))
    }
}

impl Contender for Own {
    /// Makes a key, writes both servers' configurations, and starts the witness if there is one.
    fn prepare(&mut self, site: &mut Site) {
        let lab = &site.lab;
        tool(&program().to_string_lossy(), &["keygen", &lab.dir().join("cluster.key").to_string_lossy()], "");
        for server in Server::BOTH {
            let text = config(self.profile, self.is_witnessed, &Site::web_name(server), &site.web_pidfile(server));
            let path = lab.dir().join(format!("vipair-{}.toml", server.name()));
            std::fs::write(&path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
            self.agents.push(Agent::new(lab, server, &path));
        }
        if self.is_witnessed {
            let mut witness = Witness::new(lab, 1, Witness::address_of(1), "");
            witness.start(lab);
            self.witness = Some(witness);
        }
    }

    fn start(&mut self, site: &mut Site, server: Server) {
        self.agents[server.index()].start(&site.lab);
    }

    fn processes(&self, _: &Site, server: Server) -> Vec<Pid> {
        vec![Pid::from_raw(self.agents[server.index()].pid())]
    }

    fn switch(&mut self, _: &mut Site, from: Server) {
        self.agents[from.index()].command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    }

    fn rejoin_after_switch(&mut self, _: &mut Site, _: Server) {}

    fn is_ready(&mut self, _: &Site, standby: Server) -> bool {
        self.has_role(standby, "standby") && self.has_role(standby.other(), "active")
    }

    fn revive(&mut self, site: &mut Site, server: Server) {
        self.agents[server.index()].start(&site.lab);
    }

    fn has_witness(&self) -> bool {
        self.witness.is_some()
    }

    fn kill_witness(&mut self, site: &Site) {
        self.witness.as_mut().expect("it has a witness").kill(&site.lab);
    }

    fn restart_witness(&mut self, site: &Site) {
        self.witness.as_mut().expect("it has a witness").start(&site.lab);
    }
}
