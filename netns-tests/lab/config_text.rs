//! Builds the text of a configuration for the lab's two servers.
//!
//! Owns: the text, as an operator would write it. Never does: reading configuration; the product does that.

use super::wiring::{Port, Server};
use std::fmt::Write;
use std::net::Ipv4Addr;

/// A configuration in the making.
#[derive(Clone, Debug)]
pub struct ConfigText {
    profile: &'static str,
    timing: String,
    witness: String,
    links: Vec<(String, String)>,
    groups: Vec<GroupText>,
}

/// One group of a configuration.
#[derive(Clone, Debug)]
pub struct GroupText {
    /// The name.
    pub name: String,
    /// The addresses, IPv4 and IPv6 alike, without a prefix length.
    pub addresses: Vec<String>,
    /// The preferred server; `None` leaves the product's default, the first node of the file.
    pub prefer: Option<Server>,
    /// Whether the preferred server takes the group back as soon as it is ready.
    pub preempt: bool,
    /// Further lines of the group's table, as an operator would write them.
    pub more: String,
}

impl GroupText {
    /// A group with defaults everywhere else.
    pub fn new(name: &str, addresses: &[&str]) -> GroupText {
        GroupText {
            name: name.to_owned(),
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            prefer: None,
            preempt: false,
            more: String::new(),
        }
    }

    /// Names the preferred server.
    pub fn prefer(mut self, server: Server) -> GroupText {
        self.prefer = Some(server);
        self
    }

    /// Makes the preferred server take the group back as soon as it is ready.
    pub fn preempt(mut self) -> GroupText {
        self.preempt = true;
        self
    }

    /// Adds further lines to the group's table; lines of an earlier call go.
    pub fn more(mut self, lines: &str) -> GroupText {
        self.more = lines.to_owned();
        self
    }
}

impl ConfigText {
    /// Two servers with both links and the timing profile `profile`; no group yet.
    pub fn pair(profile: &'static str) -> ConfigText {
        ConfigText {
            profile,
            timing: String::new(),
            witness: String::new(),
            links: [(Port::Alpha, Port::Beta), (Port::AlphaHeartbeat, Port::BetaHeartbeat)]
                .map(|(alpha, beta)| (alpha.ipv4().to_string(), beta.ipv4().to_string()))
                .to_vec(),
            groups: Vec::new(),
        }
    }

    /// Replaces the links: each a pair of addresses, alpha's and beta's.
    pub fn links(mut self, links: &[(&str, &str)]) -> ConfigText {
        self.links = links.iter().map(|(alpha, beta)| ((*alpha).to_owned(), (*beta).to_owned())).collect();
        self
    }

    /// Interval between pulses of the profile, in milliseconds.
    pub fn pulse_ms(&self) -> u64 {
        match self.profile {
            "fast" => 10,
            "lan" => 50,
            "wan" => 1_000,
            other => panic!("there is no profile {other}"),
        }
    }

    /// Sets further lines of `[timing]`.
    pub fn timing(mut self, lines: &str) -> ConfigText {
        self.timing = lines.to_owned();
        self
    }

    /// Adds a witness at each of these addresses, and further lines of `[witness]`.
    pub fn witness(mut self, addresses: &[Ipv4Addr], more: &str) -> ConfigText {
        let quoted: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        let key = if quoted.len() == 1 { "address" } else { "addresses" };
        let value = if quoted.len() == 1 { quoted[0].clone() } else { format!("[{}]", quoted.join(", ")) };
        self.witness = format!("[witness]\n{key} = {value}\n{more}\n");
        self
    }

    /// Adds a group.
    pub fn group(mut self, group: GroupText) -> ConfigText {
        self.groups.push(group);
        self
    }

    /// The groups so far, in the order of the file.
    pub fn groups(&self) -> &[GroupText] {
        &self.groups
    }

    /// The text of the whole file.
    pub fn text(&self) -> String {
        let mut text = format!(
            "cluster = \"lab\"\nkey_file = \"cluster.key\"\n\n[timing]\nprofile = \"{}\"\n{}\n",
            self.profile, self.timing
        );
        for server in Server::BOTH {
            let links: Vec<String> = self
                .links
                .iter()
                .map(|(alpha, beta)| if server == Server::Alpha { alpha } else { beta })
                .map(|link| format!("\"{link}\""))
                .collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "[[node]]\nname = \"{}\"\nlinks = [{}]\n", server.name(), links.join(", "));
        }
        text += &self.witness;
        for group in &self.groups {
            let addresses: Vec<String> = group.addresses.iter().map(|a| format!("\"{a}\"")).collect();
            let _ = writeln!(
                text,
                "[[group]]\nname = \"{}\"\ninterface = \"eth0\"\naddresses = [{}]",
                group.name,
                addresses.join(", ")
            );
            if let Some(server) = group.prefer {
                let _ = writeln!(text, "prefer = \"{}\"", server.name());
            }
            if group.preempt {
                text += "preempt = true\npreempt_delay_ms = 0\n";
            }
            let _ = writeln!(text, "{}", group.more);
        }
        text
    }
}
