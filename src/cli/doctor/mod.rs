//! `vipair doctor`: what would stop a takeover on this machine?
//!
//! Owns: the questions and their order. Never does: repair anything, or leave anything behind. A
//! question that cannot be answered (no privilege, no such file) is a finding of its own. Exit code
//! 1 if anything failed, 2 if the configuration is wrong.

mod boot;
mod files;
mod interface;
mod machine;
mod neighbours;
mod programs;
mod services;
mod uplinks;
mod witness;

use super::terminal::{self, Tone, paint};
use super::{DEFAULT_CONFIG, DEFAULT_SOCKET, DEFAULT_STATE_DIR, Failure, print};
use crate::config::{ClusterFile, Config, ConfigErrors};
use crate::control::protocol::StatusReport;
use crate::io::links::LinkSocket;
use crate::io::local::{self, LocalAddress};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Which node this is [default: the one that has this machine's addresses as links]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Where epochs are kept
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,
    /// The agent's control socket
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

/// Level of a finding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// A takeover works, but not as well as it could.
    Warn,
    /// A takeover fails, or two servers answer.
    Fail,
}

/// One finding: the answer to one question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Finding {
    /// How bad it is.
    pub(super) level: Level,
    /// Sentence about what was found.
    pub(super) text: String,
    /// Remedy; empty if there is nothing to do.
    pub(super) remedy: String,
}

impl Finding {
    /// A finding that all is as it should be.
    pub(super) fn ok(text: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, text: text.into(), remedy: String::new() }
    }

    /// A finding that a takeover works less well than it could.
    pub(super) fn warn(text: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { level: Level::Warn, text: text.into(), remedy: remedy.into() }
    }

    /// A finding that a takeover fails, or that two servers would answer.
    pub(super) fn fail(text: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { level: Level::Fail, text: text.into(), remedy: remedy.into() }
    }
}

/// Directories in which the kernel and systemd show their state; tests have others.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    /// The mount point of procfs.
    pub(super) proc: PathBuf,
    /// The mount point of sysfs.
    pub(super) sys: PathBuf,
    /// The directory above those of systemd.
    pub(super) root: PathBuf,
}

impl Roots {
    /// The directories of this machine.
    fn of_this_machine() -> Roots {
        Roots { proc: "/proc".into(), sys: "/sys".into(), root: "/".into() }
    }

    /// The first line of a file below /proc, without blanks around it.
    pub(super) fn proc(&self, path: &str) -> Option<String> {
        first_line(&self.proc.join(path))
    }

    /// The first line of a file below /sys.
    pub(super) fn sys(&self, path: &str) -> Option<String> {
        first_line(&self.sys.join(path))
    }
}

/// The first line of a file, without blanks around it.
fn first_line(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()?.lines().next().map(|line| line.trim().to_owned())
}

/// A title and the findings under it.
type Section = (String, Vec<Finding>);

/// Asks all questions and prints the findings.
pub(super) fn execute(args: &DoctorArgs) -> Result<(), Failure> {
    let roots = Roots::of_this_machine();
    let mut sections: Vec<Section> = vec![("machine".to_owned(), machine::examine(&roots))];
    let local = local::addresses().unwrap_or_default();
    let configuration = ClusterFile::read(&args.config).and_then(|cluster| {
        let me = cluster.identify(args.node.as_deref(), &local::bare(&local))?;
        Ok((cluster.for_node(me), cluster))
    });
    let wrong = match &configuration {
        Ok((config, cluster)) => {
            let name = &config.node(config.me).name;
            let text = format!("{} is valid; this is node {name}", args.config.display());
            let mut findings = vec![Finding::ok(text), files::key(cluster)];
            findings.extend(interface::misplaced(cluster, config.me, &local));
            sections.push(("configuration".to_owned(), findings));
            None
        }
        Err(errors) => Some(errors),
    };
    let (agent, status) = files::agent(&args.socket);
    let enabled = boot::enabled(&roots);
    let made = enabled.is_some() && args.state_dir == Path::new(DEFAULT_STATE_DIR);
    let mut files = vec![files::state_dir(&args.state_dir, made), agent];
    files.extend(enabled);
    files.extend(status.iter().flat_map(files::alike));
    files.extend(status.iter().flat_map(files::not_loaded));
    files.extend(status.iter().flat_map(files::warnings));
    sections.push(("files".to_owned(), files));
    if let Ok((config, _)) = &configuration {
        let mut links = interface::links(config, &local::bare(&local));
        links.extend(status.iter().flat_map(|status| services::exchange(config, status)));
        sections.push(("links".to_owned(), links));
        let services = services::examine(&roots, config);
        if !services.is_empty() {
            sections.push(("services".to_owned(), services));
        }
        if config.witness.is_some() {
            let begins = |remote| LinkSocket::toward(remote)?.local();
            let links = status.as_ref().map(|status| status.links.as_slice());
            sections.push(("witness".to_owned(), witness::examine(config, begins, links)));
        }
        let mut addresses = boot::configured(&roots, config);
        addresses.extend(boot::ungated(config, &local, programs::is_gated));
        if !addresses.is_empty() {
            sections.push(("addresses".to_owned(), addresses));
        }
        sections.extend(interface_sections(&roots, config, &local, status.as_ref()));
    }
    let colour = terminal::has_colour();
    print(&render(&sections, colour))?;
    conclude(&sections, wrong)
}

/// One section for each interface of this node's groups.
fn interface_sections(
    roots: &Roots,
    config: &Config,
    local: &[LocalAddress],
    status: Option<&StatusReport>,
) -> Vec<Section> {
    let section = |name: &str| {
        let mut findings = interface::examine(roots, config, name);
        findings.extend(interface::own_addresses(config, name, local));
        // The other questions need an interface that is there.
        if roots.sys.join("class/net").join(name).exists() {
            findings.extend(uplinks::examine(name, config.uplinks(name)));
            findings.extend(programs::examine(name));
            findings.extend(neighbours::examine(config, name, status));
        }
        (format!("interface {name}"), findings)
    };
    config.interfaces().into_iter().map(section).collect()
}

/// Success, or the failure that the findings amount to. `wrong`: the errors of the configuration,
/// if it has any.
fn conclude(sections: &[Section], wrong: Option<&ConfigErrors>) -> Result<(), Failure> {
    if let Some(errors) = wrong {
        return Err(Failure::Wrong(format!("{errors}\nthe rest can be examined when the configuration is right")));
    }
    let failed = sections.iter().flat_map(|(_, findings)| findings).filter(|f| f.level == Level::Fail).count();
    match failed {
        0 => Ok(()),
        1 => Err(Failure::Failed("one thing would stop a takeover".to_owned())),
        count => Err(Failure::Failed(format!("{count} things would stop a takeover"))),
    }
}

/// The findings as printed: a line for each, and what to do in the next line.
fn render(sections: &[Section], colour: bool) -> String {
    let mut text = String::new();
    for (title, findings) in sections {
        text.push_str(&paint(title, Tone::Strong, colour));
        text.push('\n');
        for finding in findings {
            let (word, tone) = match finding.level {
                Level::Ok => ("OK  ", Tone::Good),
                Level::Warn => ("WARN", Tone::Doubtful),
                Level::Fail => ("FAIL", Tone::Bad),
            };
            text.push_str(&format!("  {}  {}\n", paint(word, tone, colour), finding.text));
            if !finding.remedy.is_empty() {
                text.push_str(&format!("        → {}\n", finding.remedy));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
