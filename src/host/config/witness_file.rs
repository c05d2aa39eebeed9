//! The file of a witness: where it listens, and which clusters it votes in.
//!
//! Owns: the file's keys, and every rule about them. Never does: read key files (the caller does)
//! or touch a socket. On failure the caller gets all errors at once, in the form of those of the
//! nodes' file.

use super::cluster::{parse_document, read_text};
use super::error::{ConfigError, ConfigErrors, Report};
use super::raw::{list_of_tables, required_tables};
use super::raw_service::{MAX_CHECK_COUNT, MAX_CHECK_MS};
use super::schema::Schema;
use super::value::validate_name;
use super::walk::{At, Table};
use super::{KeyFileError, digest};
use crate::timing::DRIFT_PPM;
use crate::types::{GroupKey, NodeId};
use crate::wire::pulse::PORT;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeTable;

const ROOT: Schema = Schema { header: "", path: "", keys: &["listen", "number", "cluster"] };
const CLUSTER: Schema =
    Schema { header: "[[cluster]]", path: "cluster", keys: &["name", "key_file", "drift_ppm", "check"] };
const CHECK: Schema = Schema {
    header: "[[cluster.check]]",
    path: "cluster.check",
    keys: &["group", "kind", "address", "port", "interval_ms", "timeout_ms", "fall", "rise"],
};
/// All tables of a witness's file: a key in the wrong table can be told where it belongs.
pub(crate) const EVERYWHERE: [&Schema; 3] = [&ROOT, &CLUSTER, &CHECK];

/// Most clusters of one witness.
pub const MAX_CLUSTERS: usize = 256;
/// Most checks of one cluster.
pub const MAX_CHECKS: usize = 256;
/// Highest number of a witness. Numbers begin with 1, in the order in which the nodes list the
/// witnesses.
const MAX_NUMBER: u64 = 15;

/// The file of a witness, validated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WitnessFile {
    /// Address and port on which the witness listens.
    pub listen: SocketAddr,
    /// Number of the witness among the voters.
    pub me: NodeId,
    /// Clusters that the witness votes in, at least one.
    pub clusters: Vec<WitnessCluster>,
}

/// One cluster that the witness votes in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WitnessCluster {
    /// Name of the cluster.
    pub name: String,
    /// Path of the key file; relative if the path of the witness's file is.
    pub key_file: PathBuf,
    /// Bound on the error of clock rates, in parts per million. Default: 500.
    pub drift_ppm: u64,
    /// Service checks, in the order of the file.
    pub checks: Vec<ServiceCheck>,
    /// Line of `key_file`, for errors that are found later.
    line: usize,
}

/// One service check: a TCP connection that is tried again and again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceCheck {
    /// Name of the group whose service it is.
    pub group: String,
    /// The name's digest, by which the group is known on the wire.
    pub key: GroupKey,
    /// Address and port of the service.
    pub target: SocketAddr,
    /// Time from the start of one attempt to the next. Default: 1 s.
    pub interval: Duration,
    /// Longest time of an attempt; after it the attempt has failed. Default: 500 ms.
    pub timeout: Duration,
    /// Number of failures in a row that make a fault. Default: 3.
    pub fall: u32,
    /// Number of successes in a row that end a fault. Default: 2.
    pub rise: u32,
}

impl WitnessFile {
    /// Reads and validates the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read or breaks a rule: all errors at once.
    pub fn read(path: &Path) -> Result<WitnessFile, ConfigErrors> {
        WitnessFile::parse(&read_text(path)?, path)
    }

    /// Validates `text`, which was read from `file`. Touches nothing else.
    ///
    /// # Errors
    /// The text breaks a rule: all errors at once.
    pub fn parse(text: &str, file: &Path) -> Result<WitnessFile, ConfigErrors> {
        parse_document(text, file, |document, report| Some(validate_file(document, file, report)))
    }

    /// An error of a cluster's key file as an error of this file, at the line that names the key
    /// file.
    #[must_use]
    pub fn key_error(file: &Path, cluster: &WitnessCluster, error: &KeyFileError) -> ConfigError {
        ConfigError {
            file: file.to_owned(),
            line: Some(cluster.line),
            key: "cluster.key_file".to_owned(),
            wrong: error.wrong(),
            right: error.right(),
        }
    }
}

/// Validates the whole document. The value is meaningful only if the report stays empty.
fn validate_file(document: &DeTable<'_>, file: &Path, report: &mut Report<'_>) -> WitnessFile {
    let table = Table::open(&ROOT, &EVERYWHERE, 1, document, report);
    let where_from = "write address and port, for example listen = \"0.0.0.0:7811\"";
    let listen = table.string("listen", where_from, report).and_then(|text| {
        let listen = text.value.parse().ok().filter(|listen: &SocketAddr| listen.port() != 0);
        if listen.is_none() {
            report.add(text.line, "listen", format!("\"{}\" is no address with a port", text.value), where_from);
        }
        listen
    });
    let number = table.number("number", 1..=MAX_NUMBER, "", report).map_or(1, |at| at.value);
    let right = "write a [[cluster]] table with name and key_file for each cluster it votes in";
    let written = required_tables(&table, "cluster", right, report).unwrap_or_default();
    if written.len() > MAX_CLUSTERS {
        let wrong = format!("is there {} times", written.len());
        report.add(written[MAX_CLUSTERS].0, "cluster", wrong, format!("at most {MAX_CLUSTERS}: use another witness"));
    }
    let mut names = HashMap::new();
    let mut clusters = Vec::new();
    for (line, entries) in written {
        clusters.push(validate_cluster(line, entries, file, &mut names, report));
    }
    let last = u8::try_from(number).unwrap_or(1) - 1;
    WitnessFile {
        listen: listen.unwrap_or(SocketAddr::new(IpAddr::from([0, 0, 0, 0]), PORT)),
        me: NodeId(NodeId::FIRST_WITNESS.0 + last),
        clusters,
    }
}

/// Validates one cluster that the witness votes in. `names` has the clusters before it, by their
/// number on the wire, and gets this one. The value is meaningful only if the report stays empty.
fn validate_cluster(
    line: usize,
    entries: &DeTable<'_>,
    file: &Path,
    names: &mut HashMap<u32, String>,
    report: &mut Report<'_>,
) -> WitnessCluster {
    let table = Table::open(&CLUSTER, &EVERYWHERE, line, entries, report);
    table.require("name", "write the name that the nodes' file has as `cluster`", report);
    table.require("key_file", "write the path of a copy of the cluster's key file", report);
    let name = table.string("name", "write a name in quotes", report);
    if let Some(name) = &name {
        validate_name("cluster.name", name, report);
        if let Some(other) = names.insert(digest::cluster_number(&name.value), name.value.clone()) {
            let wrong = format!("looks like \"{other}\" on the wire");
            report.add(name.line, "cluster.name", wrong, "name every cluster once");
        }
    }
    let key_file = table.string("key_file", "write a path in quotes", report);
    let drift = table.number("drift_ppm", super::bounds::DRIFT_PPM, " ppm", report);
    let written = list_of_tables(&table, "check", report).unwrap_or_default();
    if written.len() > MAX_CHECKS {
        let wrong = format!("is there {} times", written.len());
        report.add(written[MAX_CHECKS].0, "cluster.check", wrong, format!("write at most {MAX_CHECKS}"));
    }
    let checks = written.into_iter().filter_map(|(line, entries)| validate_check(line, entries, report)).collect();
    let path = key_file.as_ref().map(|at| at.value.as_str()).unwrap_or_default();
    WitnessCluster {
        name: name.map(|at| at.value).unwrap_or_default(),
        key_file: file.parent().unwrap_or_else(|| Path::new("")).join(path),
        drift_ppm: drift.map_or(DRIFT_PPM, |at| at.value),
        checks,
        line: key_file.map_or(line, |at| at.line),
    }
}

/// Validates one of the witness's own checks of a service; `None` if a part that it needs is
/// missing or wrong, which has been reported.
fn validate_check(line: usize, entries: &DeTable<'_>, report: &mut Report<'_>) -> Option<ServiceCheck> {
    let table = Table::open(&CHECK, &EVERYWHERE, line, entries, report);
    let kinds = "write kind = \"tcp\"";
    table.require("group", "write the name of the group whose service it is", report);
    table.require("kind", kinds, report);
    table.require("address", "write the group's address, as the clients know it", report);
    table.require("port", "write the service's port", report);
    let kind = table.string("kind", kinds, report);
    if let Some(At { line, value }) = kind.filter(|kind| kind.value != "tcp") {
        report.add(line, "cluster.check.kind", format!("\"{value}\" is no kind of check here"), kinds);
    }
    let group = table.string("group", "write a name in quotes", report);
    if let Some(group) = &group {
        validate_name("cluster.check.group", group, report);
    }
    let address = table.string("address", "write an IP address in quotes", report);
    let port = table.number("port", 1..=65_535, "", report).and_then(|at| u16::try_from(at.value).ok());
    let interval = table.number("interval_ms", 1..=MAX_CHECK_MS, " ms", report).map_or(1_000, |at| at.value);
    let timeout = table.number("timeout_ms", 1..=MAX_CHECK_MS, " ms", report).map_or(500, |at| at.value);
    let mut count = |key, default| {
        let written = table.number(key, 1..=MAX_CHECK_COUNT, "", report);
        written.and_then(|at| u32::try_from(at.value).ok()).unwrap_or(default)
    };
    let (fall, rise) = (count("fall", 3), count("rise", 2));
    let address = address.and_then(|text| {
        let usable = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast();
        let parsed = text.value.parse::<IpAddr>().ok().filter(usable);
        if parsed.is_none() {
            let wrong = format!("\"{}\" is no IP address of a service", text.value);
            report.add(text.line, "cluster.check.address", wrong, "write an address; names are not looked up");
        }
        parsed
    });
    let group = group?.value;
    Some(ServiceCheck {
        key: digest::group_key(&group),
        group,
        target: SocketAddr::new(address?, port?),
        interval: Duration::from_millis(interval),
        timeout: Duration::from_millis(timeout),
        fall,
        rise,
    })
}
