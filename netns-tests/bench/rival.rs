//! keepalived in the same lab, for scale: at its fastest setting and at its default.
//!
//! Owns: its configuration and processes. Never does: installing it; without the program these figures are left out,
//! and the report says so. Its processes end with their namespaces.

use super::figures::Unit::Milliseconds;
use super::figures::{Section, figure};
use super::pair::{around, both_ms, ms, vanish};
use super::record::Results;
use super::{Block, Topic, sample};
use crate::lab::process::Process;
use crate::lab::{Lab, Plan, Server, clock};
use crate::probe::asker::Asker;
use crate::scene::ADDRESS;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// keepalived.
pub const TOPIC: Topic = Topic {
    blocks: &[
        Block::new("keepalived-fast", 50, || run(Setting::Fastest)),
        Block::new("keepalived-default", 20, || run(Setting::Default)),
    ],
    sections,
    configuration,
};

/// Which setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// VRRPv3, unicast, an advert every 10 ms.
    Fastest,
    /// VRRPv2, multicast, an advert every second.
    Default,
}

/// The program, if it is installed.
pub fn program() -> Option<PathBuf> {
    ["/usr/sbin/keepalived", "/usr/local/sbin/keepalived"].map(PathBuf::from).into_iter().find(|p| p.is_file())
}

/// Its configuration on `server`.
pub fn config(setting: Setting, server: Server) -> String {
    let (state, priority) = if server == Server::Alpha { ("MASTER", 100) } else { ("BACKUP", 90) };
    let (global, timing) = match setting {
        Setting::Default => ("", String::new()),
        Setting::Fastest => (
            "  vrrp_version 3\n",
            format!(
                "  advert_int 0.01\n  unicast_src_ip {}\n  unicast_peer {{\n    {}\n  }}\n",
                server.port().ipv4(),
                server.other().port().ipv4()
            ),
        ),
    };
    format!(
        "global_defs {{\n  router_id {}\n{global}}}\nvrrp_instance web {{\n  state {state}\n  interface eth0\n  \
         virtual_router_id 51\n  priority {priority}\n{timing}  virtual_ipaddress {{\n    {ADDRESS}/32\n  }}\n}}\n",
        server.name()
    )
}

fn start(lab: &Lab, setting: Setting, server: Server) -> Process {
    let file = |name: &str| lab.dir().join(format!("{}-keepalived{name}", server.name()));
    let path = file(".conf");
    std::fs::write(&path, config(setting, server)).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    let mut command = Command::new(program().expect("only called when it is there"));
    command.args(["--dont-fork", "--vrrp", "--log-console", "--use-file"]).arg(&path);
    // Left over from a start that was killed, these would keep it from starting.
    for pid in [file(".pid"), file("-vrrp.pid")] {
        // Not there is what is wanted.
        let _ = std::fs::remove_file(pid);
    }
    command.arg("--pid").arg(file(".pid")).arg("--vrrp_pid").arg(file("-vrrp.pid"));
    Process::start(lab.server(server), command, &file(".log"), false)
}

/// Waits until `server` has given every answer for `time`.
fn wait_steady(asker: &Asker, server: Server, time: Duration, log: &Path) {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let now = clock::now();
        let from = vipair::types::MonoTime(now.0.saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)));
        let answers = asker.since(from);
        let is_steady = answers.questions.len() > 100
            && answers.servers() == [server]
            && answers.longest_gap().length() < Duration::from_millis(20);
        if is_steady {
            return;
        }
        let said = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(Instant::now() < limit, "keepalived on {} does not answer alone:\n{}", server.name(), said());
    }
}

/// Host loss; at the fastest setting SIGKILL of all its processes, too.
pub fn run(setting: Setting) {
    let lab = Lab::build(&Plan { alone: true, ..Plan::default() });
    let asker = Asker::start(&lab, ADDRESS.parse().expect("an address"), Duration::from_millis(1));
    let (owner, other) = (Server::Alpha, Server::Beta);
    let log = lab.dir().join("alpha-keepalived.log");
    let steady = Duration::from_millis(800);
    let first = start(&lab, setting, owner);
    let _standby = start(&lab, setting, other);
    wait_steady(&asker, owner, steady, &log);

    let (at, fault) = vanish(&lab, owner);
    wait_steady(&asker, other, Duration::from_millis(200), &log);
    let answers = asker.since(around(at));
    lab.power_off(owner);
    drop(first);
    assert!(lab.lift(fault) > 0, "the fault did not strike");
    match setting {
        Setting::Default => return sample("k-default-host", ms(answers.longest_gap().length())),
        Setting::Fastest => sample("k-fast-host", ms(answers.longest_gap().length())),
    }

    lab.power_on(owner);
    let _second = start(&lab, setting, owner);
    wait_steady(&asker, owner, steady, &log);
    let at = lab.note("SIGKILL to keepalived");
    for pid in lab.server(owner).processes() {
        // Ended together with its parent is as good.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
    std::thread::sleep(Duration::from_secs(2));
    let answers = asker.since(at);
    sample("k-fast-kill", ms(answers.longest_gap().length()));
    sample("k-fast-kill-both", both_ms(&answers));
}

fn sections() -> Vec<Section> {
    vec![Section::new(
        "For scale: keepalived in the same lab",
        vec![
            figure("k-fast-host", "10 ms adverts, host loss: gap", Milliseconds),
            figure("k-fast-kill", "10 ms adverts, SIGKILL: gap", Milliseconds),
            figure("k-fast-kill-both", "10 ms adverts, SIGKILL: both answered, of 2 s observed", Milliseconds),
            figure("k-default-host", "default, host loss: gap", Milliseconds),
        ],
    )]
}

fn configuration(_: &Results) -> String {
    let mut text = String::new();
    for (name, setting) in [("its fastest", Setting::Fastest), ("its default", Setting::Default)] {
        let config = config(setting, Server::Alpha);
        text += &format!("\nkeepalived at {name} setting, on alpha:\n\n```\n{}\n```\n", config.trim_end());
    }
    text
}
