//! Builds the text of a configuration for the lab's two servers.
//!
//! Owns: the text, as an operator would write it. Never does: reading configuration; the product
//! does that.

use super::wiring::{Port, Server};
use std::fmt::Write;
use std::net::Ipv4Addr;

/// A configuration in the making.
#[derive(Clone, Debug)]
pub struct ConfigText {
    profile: &'static str,
    /// Further lines of the table `[timing]`.
    timing_toml: String,
    /// Addresses of the witnesses; empty for a bare pair.
    witnesses: Vec<Ipv4Addr>,
    /// Whether nothing may be open without a majority; the product's default, which is not written.
    strict: bool,
    /// Addresses of each link, alpha's and beta's.
    links: Vec<(String, String)>,
    groups: Vec<GroupText>,
}

/// One group of a configuration.
#[derive(Clone, Debug)]
pub struct GroupText {
    /// The name.
    pub name: String,
    /// Name of the interface, on both servers.
    pub interface: &'static str,
    /// The addresses, IPv4 and IPv6 alike, without a prefix length.
    pub addresses: Vec<String>,
    /// The preferred server; `None` leaves the product's default, the first node of the file.
    pub prefer: Option<Server>,
    /// Whether the preferred server takes the group back as soon as it is ready, without a delay.
    pub preempt: bool,
    /// Further lines of the group's table, as an operator would write them.
    pub more_toml: String,
}

impl GroupText {
    /// A group with this name and these addresses, and defaults everywhere else.
    pub fn new(name: &str, addresses: &[&str]) -> GroupText {
        GroupText {
            name: name.to_owned(),
            interface: "eth0",
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            prefer: None,
            preempt: false,
            more_toml: String::new(),
        }
    }

    /// Puts the group on this interface instead of eth0.
    pub fn on(mut self, interface: &'static str) -> GroupText {
        self.interface = interface;
        self
    }

    /// Names the preferred server.
    pub fn prefer(mut self, server: Server) -> GroupText {
        self.prefer = Some(server);
        self
    }

    /// Makes the preferred server take the group back as soon as it is ready: adds `preempt = true`
    /// and `preempt_delay_ms = 0`.
    pub fn preempt(mut self) -> GroupText {
        self.preempt = true;
        self
    }

    /// Adds further lines to the group's table; lines of an earlier call go.
    pub fn more_toml(mut self, lines: &str) -> GroupText {
        self.more_toml = lines.to_owned();
        self
    }
}

impl ConfigText {
    /// Two servers with both links and the timing profile `profile`; no group yet.
    pub fn pair(profile: &'static str) -> ConfigText {
        ConfigText {
            profile,
            timing_toml: String::new(),
            witnesses: Vec::new(),
            strict: true,
            links: [(Port::Alpha, Port::Beta), (Port::AlphaSecondLink, Port::BetaSecondLink)]
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

    /// Sets further lines of `[timing]`; lines of an earlier call go.
    pub fn timing_toml(mut self, lines: &str) -> ConfigText {
        self.timing_toml = lines.to_owned();
        self
    }

    /// Sets a witness at each of these addresses, in the place of earlier ones.
    pub fn witness(mut self, addresses: &[Ipv4Addr]) -> ConfigText {
        self.witnesses = addresses.to_vec();
        self
    }

    /// Lets the pair decide alone where no witness is heard: `strict = false`.
    pub fn without_strict(mut self) -> ConfigText {
        self.strict = false;
        self
    }

    /// The table `[witness]`, with an empty line behind it; nothing for a bare pair.
    fn witness_toml(&self) -> String {
        let quoted: Vec<String> = self.witnesses.iter().map(|address| format!("\"{address}\"")).collect();
        let line = match quoted.as_slice() {
            [] => return String::new(),
            [one] => format!("address = {one}"),
            all => format!("addresses = [{}]", all.join(", ")),
        };
        format!("[witness]\n{line}\n{}\n", if self.strict { "" } else { "strict = false" })
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
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "cluster = \"lab\"\nkey_file = \"cluster.key\"\n\n[timing]\nprofile = \"{}\"\n{}\n",
            self.profile, self.timing_toml
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
        text += &self.witness_toml();
        for group in &self.groups {
            let addresses: Vec<String> = group.addresses.iter().map(|a| format!("\"{a}\"")).collect();
            let _ = writeln!(
                text,
                "[[group]]\nname = \"{}\"\ninterface = \"{}\"\naddresses = [{}]",
                group.name,
                group.interface,
                addresses.join(", ")
            );
            if let Some(server) = group.prefer {
                let _ = writeln!(text, "prefer = \"{}\"", server.name());
            }
            if group.preempt {
                text += "preempt = true\npreempt_delay_ms = 0\n";
            }
            let _ = writeln!(text, "{}", group.more_toml);
        }
        text
    }
}
