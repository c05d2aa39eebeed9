//! The file as all nodes see it, and the step from there to what one node needs.
//!
//! Owns: reading the file, and finding out which node this is. Never does: ask the machine for its
//! addresses (the caller passes them in) or change anything. On failure the caller gets every error
//! there is and keeps what it had.

use super::error::{ConfigError, ConfigErrors, Report};
use super::keyfile::{KeyFile, KeyFileError};
use super::value::Taken;
use super::{Config, Group, Node, Promote, ServicePlan, Witness, programs, raw, valid};
use crate::io::local::{self, LocalAddress};
use crate::io::shortage;
use crate::timing::{Profile, Timing};
use crate::types::{GroupKey, NodeId, Vip};
use std::fs::OpenOptions;
use std::io::Read;
use std::net::IpAddr;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeTable;

/// A larger file is refused unread: 50,000 IPv6 addresses, one per line, need 3 MiB.
pub const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// A valid configuration, not yet seen from one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterFile {
    /// Path of the file, as the caller named it.
    pub file: PathBuf,
    /// Name of the cluster.
    pub cluster: String,
    /// Path of the key file; relative if `file` is.
    pub key_file: PathBuf,
    /// The profile as written, or the default.
    pub profile: Profile,
    /// All derived times.
    pub timing: Timing,
    /// All nodes in the order of the file.
    pub nodes: Vec<Node>,
    /// The witnesses, if there are any.
    pub witness: Option<Witness>,
    /// All groups in the order of the file.
    pub groups: Vec<ClusterGroup>,
    /// Line of `key_file`, for errors that are found later.
    pub(crate) key_file_line: usize,
    /// Line of the first node, for errors that are found later.
    pub(crate) nodes_line: usize,
    /// Line of every address, for errors that are found later.
    pub(crate) address_lines: Taken,
    /// Programs that checks and hooks name, with their lines, for errors that are found later.
    pub(crate) programs: Vec<programs::NamedProgram>,
}

/// A group on all nodes. [`Group`] tells the defaults of the fields that both have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterGroup {
    /// Name of the group.
    pub name: String,
    /// The name's digest, by which the group is known on the wire and in the kernel.
    pub key: GroupKey,
    /// The interface on every node, in the order of the nodes.
    pub interfaces: Vec<String>,
    /// Ports of that interface that lead out of the server, for every node; none where they are told
    /// by their kind.
    pub uplinks: Vec<Vec<String>>,
    /// The service addresses.
    pub addresses: Vec<Vip>,
    /// The node that should be active when both can be.
    pub prefer: NodeId,
    /// Whether the preferred node takes the group back.
    pub preempt: bool,
    /// How long the preferred node is ready before it takes the group back.
    pub preempt_delay: Duration,
    /// How long the former active carries open connections after a handover.
    pub drain: Duration,
    /// Whose evidence promotes a standby.
    pub promote: Promote,
    /// Checks, hooks and units.
    pub service: ServicePlan,
    /// Whether clients with open connections are told of a takeover.
    pub tickle: bool,
}

/// A configuration as one node sees it, with the text of its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadFile {
    /// The configuration.
    pub config: Config,
    /// The text that the configuration was read from.
    pub text: String,
}

/// Reads the configuration at `path` as node `node`, or as the node that has one of the `local`
/// addresses as a link. Reads the key file as well, so that its errors are shown with the others.
/// `local` has all addresses of this machine: what is its own cannot be a group's.
///
/// # Errors
/// Everything that is wrong, at once; see [`ConfigError`] for the form. The caller shows it and
/// exits with 2, or at a reload keeps the configuration it has.
pub fn load(path: &Path, node: Option<&str>, local: &[LocalAddress]) -> Result<ReadFile, ConfigErrors> {
    let text = read_text(path)?;
    let cluster = ClusterFile::parse(&text, path)?;
    let loaded = KeyFile::load(&cluster.key_file);
    let unread = loaded.as_ref().is_err_and(KeyFileError::is_unread);
    let key = loaded.map_err(|error| cluster.key_error(&error));
    let me = cluster.identify(node, &local::bare(local));
    let mut here = ConfigErrors { errors: Vec::new(), omitted: 0, unread: false };
    if let Ok(me) = me {
        here.errors = programs::program_errors(&cluster.file, &cluster.programs, false);
        if let Err(placed) = cluster.check_placed(me, local) {
            here.errors.extend(placed.errors);
            here.omitted = placed.omitted;
        }
    }
    if !here.errors.is_empty() {
        here.errors.extend(key.err());
        return Err(here);
    }
    match (me, key) {
        (Ok(me), Ok(_)) => Ok(ReadFile { config: cluster.for_node(me), text }),
        (Err(error), Ok(_)) => Err(error.into()),
        (Ok(_), Err(key)) => Err(ConfigErrors { unread, ..key.into() }),
        (Err(identity), Err(key)) => Err(ConfigErrors { errors: vec![key, identity], omitted: 0, unread: false }),
    }
}

/// Reads the file at `path`: at most [`MAX_FILE_BYTES`] of UTF-8.
///
/// # Errors
/// It cannot be read, or is no regular file, no UTF-8, or too large.
pub fn read_text(path: &Path) -> Result<String, ConfigErrors> {
    let refuse = |wrong: String, right: &str| ConfigError {
        file: path.to_owned(),
        line: None,
        key: String::new(),
        wrong,
        right: right.to_owned(),
    };
    let unreadable = |error: std::io::Error| {
        let right = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "run this command as root",
            _ => "see that the path is right, and that the file is there",
        };
        let unread = shortage::is_unread(&error);
        ConfigErrors { unread, ..refuse(format!("cannot be read: {error}"), right).into() }
    };
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(refuse("is not a regular file".to_owned(), "write the text to a file, and name that").into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err(refuse("is larger than 8 MiB".to_owned(), "divide it among several clusters").into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count();
        let mut error = refuse("is not UTF-8".to_owned(), "save the file as UTF-8");
        error.line = Some(before + 1);
        error.into()
    })
}

/// Most bytes behind the first error of TOML's syntax that are searched for further ones. Each
/// error takes some hundred bytes of memory, and a text can have one for every letter.
const SEARCHED: usize = 64 << 10;
/// What the parser says of a key that its table has already; the place of that error is the key.
const DUPLICATE: &str = "duplicate key";

/// The beginning of a text, up to [`SEARCHED`] bytes behind its first error of syntax, which is at
/// `first`.
fn searched_part(text: &str, first: usize) -> &str {
    let limit = first.saturating_add(SEARCHED).min(text.len());
    let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// Parses `text` as TOML and returns what `walk` makes of the document.
///
/// A text with errors of syntax is walked as far as it can be read, for the report alone: `walk`
/// may return `None` then.
///
/// # Errors
/// All errors of syntax and everything that `walk` has reported.
pub(super) fn parse_document<T>(
    text: &str,
    file: &Path,
    walk: impl FnOnce(&DeTable<'_>, &mut Report<'_>) -> Option<T>,
) -> Result<T, ConfigErrors> {
    let mut report = Report::new(file, text);
    let first = match DeTable::parse(text) {
        Ok(document) => {
            return match walk(document.get_ref(), &mut report) {
                Some(value) => report.finish(value),
                None => Err(report.refuse()),
            };
        }
        Err(first) => first.span().map_or(0, |span| span.start),
    };
    report.set_partial();
    let searched = searched_part(text, first);
    let (document, syntax) = DeTable::parse_recoverable(searched);
    // A document that is only partly there is walked for its errors alone.
    let _partial = walk(document.get_ref(), &mut report);
    let place_of = |error: &toml::de::Error| error.span().unwrap_or_default();
    let told = |error| (report.line_of(place_of(error).start), error.message(), place_of(error));
    let mut lines: Vec<(usize, &str, Range<usize>)> = syntax.iter().map(told).collect();
    lines.sort_by_key(|(line, ..)| *line);
    lines.dedup_by_key(|(line, ..)| *line);
    if searched.len() < text.len() {
        // The text is cut where the search ends: an error in the last line may be the cut's own.
        let (known, last) = (report.line_of(first), report.line_of(searched.len()));
        lines.retain(|(line, ..)| *line <= known || *line < last);
    }
    report.forget_from(lines.first().map_or(1, |(line, ..)| *line));
    for (line, message, place) in lines {
        if message == DUPLICATE {
            let key = searched.get(place).unwrap_or_default();
            let wrong = format!("is no TOML: {message} {key}");
            report.add(line, "", wrong, "write every key of a table once");
        } else {
            report.add(line, "", format!("is no TOML: {message}"), "write key = value, and [table] headers");
        }
    }
    Err(report.refuse())
}

impl ClusterFile {
    /// The same configuration without lines of the file, so that two ways of writing it are equal.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn unplaced(&self) -> ClusterFile {
        ClusterFile {
            key_file_line: 0,
            nodes_line: 0,
            address_lines: Taken::new(),
            programs: Vec::new(),
            ..self.clone()
        }
    }

    /// Reads and validates the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, is larger than [`MAX_FILE_BYTES`], or breaks a rule: all errors at
    /// once.
    pub fn read(path: &Path) -> Result<ClusterFile, ConfigErrors> {
        ClusterFile::parse(&read_text(path)?, path)
    }

    /// Validates `text`, which was read from `file`. Touches nothing else.
    ///
    /// # Errors
    /// The text breaks a rule: all errors at once. If TOML's syntax is wrong, only the keys before
    /// the first such error are read, since nobody knows what the rest was meant to be.
    pub fn parse(text: &str, file: &Path) -> Result<ClusterFile, ConfigErrors> {
        parse_document(text, file, |document, report| {
            let raw = raw::read(document, report);
            // Values of a partial document cannot be compared with each other.
            report.is_whole().then(|| valid::validate(&raw, file, report))
        })
    }

    /// Number of the node that this machine is: the one called `node`, or else the one that has a
    /// `local` address as a link.
    ///
    /// # Errors
    /// There is no such node, none of the nodes has a local address, or several have one.
    pub fn identify(&self, node: Option<&str>, local: &[IpAddr]) -> Result<NodeId, ConfigError> {
        let names = |nodes: &mut dyn Iterator<Item = &Node>| {
            nodes.map(|node| format!("\"{}\"", node.name)).collect::<Vec<_>>().join(" or ")
        };
        let refuse = |line, key: &str, wrong, right| {
            Err(ConfigError { file: self.file.clone(), line, key: key.to_owned(), wrong, right })
        };
        let all = names(&mut self.nodes.iter());
        if let Some(name) = node {
            return match self.nodes.iter().find(|node| node.name == name) {
                Some(node) => Ok(node.id),
                None => refuse(None, "--node", format!("there is no node \"{name}\""), format!("it is {all}")),
            };
        }
        let has_local = |node: &&Node| node.links.iter().any(|link| local.contains(link));
        let mut candidates = self.nodes.iter().filter(has_local);
        match (candidates.next(), candidates.next()) {
            (Some(node), None) => Ok(node.id),
            (None, _) => {
                let wrong = "no link address of any node is an address of this machine".to_owned();
                let right = format!("configure the address, correct links, or say which one this is: --node {all}");
                refuse(Some(self.nodes_line), "node.links", wrong, right)
            }
            (Some(_), Some(_)) => {
                let several = names(&mut self.nodes.iter().filter(has_local));
                let wrong = "this machine has link addresses of several nodes".to_owned();
                let right = format!("say which one this is: --node {several}");
                refuse(Some(self.nodes_line), "node.links", wrong, right)
            }
        }
    }

    /// The configuration as node `me` sees it. `me` comes from [`ClusterFile::identify`] or from
    /// `nodes`.
    ///
    /// # Panics
    /// If `me` is no node of this file.
    #[must_use]
    pub fn for_node(&self, me: NodeId) -> Config {
        let position = self.nodes.iter().position(|node| node.id == me).expect("a node of this file");
        let group = |group: &ClusterGroup| Group {
            name: group.name.clone(),
            key: group.key,
            interface: group.interfaces[position].clone(),
            uplinks: group.uplinks[position].clone(),
            addresses: group.addresses.clone(),
            prefer: group.prefer,
            preempt: group.preempt,
            preempt_delay: group.preempt_delay,
            drain: group.drain,
            promote: group.promote,
            service: group.service.clone(),
            tickle: group.tickle,
        };
        Config {
            cluster: self.cluster.clone(),
            key_file: std::path::absolute(&self.key_file).unwrap_or_else(|_| self.key_file.clone()),
            timing: self.timing,
            nodes: self.nodes.clone(),
            me,
            witness: self.witness.clone(),
            groups: self.groups.iter().map(group).collect(),
        }
    }

    /// Errors about programs of checks and hooks on this machine, which must be one of the nodes.
    #[must_use]
    pub fn program_errors(&self) -> Vec<ConfigError> {
        programs::program_errors(&self.file, &self.programs, true)
    }

    /// An error of the key file as an error of this file, at the line that names the key file.
    #[must_use]
    pub fn key_error(&self, error: &super::keyfile::KeyFileError) -> ConfigError {
        ConfigError {
            file: self.file.clone(),
            line: Some(self.key_file_line),
            key: "key_file".to_owned(),
            wrong: error.wrong(),
            right: error.right(),
        }
    }
}
