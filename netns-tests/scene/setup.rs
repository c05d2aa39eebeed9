//! The setup of a scene: everything that stands at its beginning.

use super::{ADDRESS, ADDRESS6, GROUP};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::witness::Witness;
use crate::lab::{Plan, Port};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// The setup of a scene.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How the lab is built.
    pub plan: Plan,
    /// The pair's configuration.
    pub config: ConfigText,
    /// Addresses that a client asks for every millisecond, one client for each.
    pub asked: Vec<IpAddr>,
    /// Whether nginx runs on both servers.
    pub services: bool,
    /// Addresses where witnesses listen, number 1 first; empty for a bare pair.
    pub witnesses: Vec<Ipv4Addr>,
    /// Further lines below `[[cluster]]` in the witnesses' files: the checks of a witness.
    pub witness_checks_toml: String,
    /// Whether both servers are asked for every address at their own ports, every millisecond.
    pub knock: bool,
    /// Directory of docs/examples whose files both servers get, besides homes of their own.
    pub example: Option<&'static str>,
}

impl Setup {
    /// The setup of a bare pair with one group of an IPv4 and an IPv6 address; a client asks for
    /// each every millisecond.
    pub fn of(profile: &'static str) -> Setup {
        Setup::with(ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6])))
    }

    /// The setup of any configuration; clients ask for the first address of each family in each
    /// group every millisecond.
    pub fn with(config: ConfigText) -> Setup {
        let mut asked = Vec::new();
        for group in config.groups() {
            let all = addresses_of(group);
            asked.extend(all.iter().find(|a| a.is_ipv4()));
            asked.extend(all.iter().find(|a| a.is_ipv6()));
        }
        Setup {
            plan: Plan::default(),
            config,
            asked,
            services: false,
            witnesses: Vec::new(),
            witness_checks_toml: String::new(),
            knock: false,
            example: None,
        }
    }

    /// The setup of the worked example `docs/examples/NAME`. The groups and addresses that are
    /// asked for are those of the example's own configuration.
    pub fn example(name: &'static str) -> Setup {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs/examples")
            .join(name)
            .join("both/etc/vipair/vipair.toml");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("read {}: {e}", file.display()));
        let table: toml::Table = text.parse().unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let words = |value: &toml::Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let mut config = ConfigText::pair("lan");
        for group in table["group"].as_array().into_iter().flatten() {
            let addresses = words(&group["addresses"]);
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            config = config.group(GroupText::new(group["name"].as_str().expect("a name"), &addresses));
        }
        let mut setup = Setup::with(config);
        setup.example = Some(name);
        setup
    }

    /// Like [`Setup::of`], with a witness on a network of its own. Both servers are asked at their
    /// own ports, too.
    pub fn witnessed(profile: &'static str) -> Setup {
        Setup::with_witnesses(ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6])), 1)
    }

    /// The setup of any configuration with `count` witnesses, on a host and a network of their own.
    /// Both servers are asked at their own ports, too.
    pub fn with_witnesses(config: ConfigText, count: u8) -> Setup {
        let witnesses: Vec<Ipv4Addr> = (1..=count).map(Witness::address_of).collect();
        let mut setup = Setup::with(config.witness(&witnesses));
        setup.plan.witness = true;
        setup.witnesses = witnesses;
        // The questions at the servers' ports cover IPv6, at both servers in the same moment.
        setup.asked.retain(IpAddr::is_ipv4);
        setup.knock = true;
        setup
    }

    /// Moves the witness to the clients' segment: the servers reach it there alone.
    pub fn witness_on_the_segment(mut self) -> Setup {
        let address = Port::WitnessSegment.ipv4();
        self.witnesses = vec![address];
        self.config = self.config.witness(&self.witnesses);
        self.plan.witness_on_segment = true;
        self
    }

    /// Lets the pair decide alone where no witness is heard: `strict = false`.
    pub fn without_strict(mut self) -> Setup {
        self.config = self.config.without_strict();
        self
    }

    /// Gives the witness a port on the clients' segment as well, where it checks the group's
    /// service.
    pub fn checked(mut self) -> Setup {
        let check = crate::lab::witness::CHECK;
        self.witness_checks_toml =
            format!("\n[[cluster.check]]\ngroup = \"{GROUP}\"\naddress = \"{ADDRESS}\"\nport = 80\n{check}");
        self.plan.witness_on_segment = true;
        self
    }

    /// Lets no other lab of this process stand beside this one.
    pub fn alone(mut self) -> Setup {
        self.plan.alone = true;
        self
    }

    /// Runs nginx on both servers.
    pub fn services(mut self) -> Setup {
        self.services = true;
        self
    }
}

/// Addresses of a group.
pub(super) fn addresses_of(group: &GroupText) -> Vec<IpAddr> {
    group.addresses.iter().map(|a| a.parse().unwrap_or_else(|e| panic!("{a}: {e}"))).collect()
}
