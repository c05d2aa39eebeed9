//! The witness as it ships, in a namespace of its own, as a user without any privilege. Its nodes
//! are talkers, so the case decides what they say and when.

use crate::lab::netns::{self, Netns};
use crate::lab::process::catches_hangup;
use crate::lab::process::{Process, tail};
use crate::lab::program::program;
use crate::lab::talker::Talker;
use crate::lab::turn::Turn;
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use vipair::wire::pulse::Reason;

/// Number of the user and group without any privilege.
const NOBODY: u32 = 65_534;
/// Lease that talkers tell.
const LEASE: Duration = Duration::from_millis(170);
/// Longest wait: more than anything here takes on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(20);

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A witness, its namespace and its files.
struct WitnessLab {
    witness: Option<Process>,
    netns: Netns,
    dir: PathBuf,
    _turn: Turn,
}

/// Address of the witness, on the loopback of its namespace.
fn address() -> SocketAddr {
    "127.0.0.1:7811".parse().expect("an address")
}

/// Writes a file that only the witness's user can read.
fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).expect("write");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("mode");
    chown(path, Some(NOBODY), Some(NOBODY)).expect("owner");
}

impl WitnessLab {
    /// Builds the namespace and starts a witness for `clusters` clusters, called c0, c1 and so on,
    /// each with its key.
    fn build(clusters: u8) -> WitnessLab {
        let turn = Turn::shared();
        netns::sweep();
        let name = format!("vp{}-w{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let netns = Netns::create(&name);
        let dir = std::env::temp_dir().join(&name);
        std::fs::DirBuilder::new().mode(0o755).create(&dir).expect("a directory");
        let state = dir.join("state");
        std::fs::DirBuilder::new().mode(0o700).create(&state).expect("a directory");
        chown(&state, Some(NOBODY), Some(NOBODY)).expect("owner");
        let mut text = format!("listen = \"{}\"\n", address());
        for number in 0..clusters {
            write_private(
                &dir.join(format!("c{number}.key")),
                &format!("1 {}\n", format!("{:02x}", number + 1).repeat(32)),
            );
            text.push_str(&format!("[[cluster]]\nname = \"c{number}\"\nkey_file = \"c{number}.key\"\n"));
        }
        write_private(&dir.join("witness.toml"), &text);
        let mut lab = WitnessLab { witness: None, netns, dir, _turn: turn };
        lab.start();
        lab
    }

    /// Starts the witness as a user without any privilege.
    fn start(&mut self) {
        let user = format!("--reuid={NOBODY}");
        let mut command = Command::new("setpriv");
        command.args([&user, "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
        command.arg(program()).arg("witness").arg("--config").arg(self.dir.join("witness.toml"));
        command.arg("--state-dir").arg(self.dir.join("state")).env("RUST_BACKTRACE", "1");
        self.witness = Some(Process::start(&self.netns, command, &self.dir.join("log"), false));
    }

    /// The witness's process; panics while none runs.
    fn process(&self) -> &Process {
        self.witness.as_ref().expect("it was started")
    }

    /// Kills the witness with SIGKILL; returns when the process is gone.
    fn kill(&mut self) {
        self.witness.take().expect("it was started").kill();
    }

    /// A talker for node `id` of a cluster, with the key of that cluster and the lease [`LEASE`].
    fn talker(&self, cluster: u8, id: u8) -> Talker {
        self.talker_with_lease(cluster, id, LEASE)
    }

    /// A talker like that of [`WitnessLab::talker`] that tells another lease.
    fn talker_with_lease(&self, cluster: u8, id: u8, lease: Duration) -> Talker {
        Talker::new(&self.netns, address(), (&format!("c{cluster}"), cluster + 1), id, lease)
    }

    /// Repeats `what` until it is true; panics with the witness's log after [`PATIENCE`].
    fn wait(&self, name: &str, mut what: impl FnMut() -> bool) {
        let limit = Instant::now() + PATIENCE;
        while !what() {
            assert!(Instant::now() < limit, "waited for {name}; it said:\n{}", tail(&self.process().output(), 30));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Exchanges pulses with both talkers until the witness votes.
    fn wait_until_voting(&self, one: &mut Talker, other: &mut Talker) {
        self.wait("the witness to vote", || {
            one.exchange();
            other.exchange();
            one.witness_row().is_some_and(|row| row.reason == Reason::None)
        });
    }

    /// Claims until the witness grants to this talker; claims higher whenever the witness tells of
    /// a higher epoch.
    fn wait_granted(&self, talker: &mut Talker) {
        self.wait("a grant", || {
            talker.claim_higher();
            talker.exchange();
            talker.is_granted()
        });
    }

    /// Paths of the state files of all clusters.
    fn state_files(&self) -> Vec<PathBuf> {
        let dirs = std::fs::read_dir(self.dir.join("state")).expect("readable").flatten();
        let files = dirs.flat_map(|dir| std::fs::read_dir(dir.path()).expect("readable").flatten());
        files.map(|file| file.path()).collect()
    }
}

impl Drop for WitnessLab {
    fn drop(&mut self) {
        self.witness = None;
        // The next lab sweeps what is left.
        let _left = std::fs::remove_dir_all(&self.dir);
    }
}

// FJ-1 FJ-3
#[test]
fn witness_answers_and_has_no_privilege() {
    let lab = WitnessLab::build(1);
    let mut alpha = lab.talker(0, 1);
    lab.wait("an answer", || alpha.exchange());
    let status = std::fs::read_to_string(format!("/proc/{}/status", lab.process().pid())).expect("it runs");
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(value("Uid:"), ["65534"; 4]);
    for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapInh:", "CapAmb:"] {
        assert_eq!(value(set), ["0000000000000000"], "{set}");
    }
}

// S5
#[test]
fn witness_grants_to_one_of_two_that_claim() {
    let lab = WitnessLab::build(1);
    let (mut alpha, mut beta) = (lab.talker(0, 1), lab.talker(0, 2));
    lab.wait_until_voting(&mut alpha, &mut beta);
    lab.wait_granted(&mut alpha);
    for _ in 0..20 {
        alpha.exchange();
        beta.claim_higher();
        beta.exchange();
        assert!(!(alpha.is_granted() && beta.is_granted()), "both");
        assert!(alpha.is_granted() || alpha.sent.elapsed() > LEASE, "who holds it is granted on");
    }
    // Alpha falls silent: its lease ends before beta is granted.
    let last = alpha.sent;
    lab.wait_granted(&mut beta);
    assert!(last.elapsed() >= LEASE, "after {:?}", last.elapsed());
    assert!(beta.witness_row().is_some());
}

// S5: restarts included
#[test]
fn witness_that_is_killed_within_a_promise_abstains() {
    let mut lab = WitnessLab::build(1);
    let lease = Duration::from_millis(1_500);
    let (mut alpha, mut beta) = (lab.talker_with_lease(0, 1, lease), lab.talker_with_lease(0, 2, lease));
    lab.wait_until_voting(&mut alpha, &mut beta);
    lab.wait_granted(&mut alpha);
    alpha.exchange();
    let last = alpha.sent;
    lab.kill();
    lab.start();
    lab.wait_granted(&mut beta);
    assert!(last.elapsed() >= lease, "after {:?}", last.elapsed());
}

// S5
#[test]
fn witness_with_an_old_state_put_back_overlaps_no_promise() {
    let mut lab = WitnessLab::build(1);
    let lease = Duration::from_millis(1_000);
    let (mut alpha, mut beta) = (lab.talker_with_lease(0, 1, lease), lab.talker_with_lease(0, 2, lease));
    lab.wait_until_voting(&mut alpha, &mut beta);
    lab.wait_granted(&mut alpha);
    let old: Vec<(PathBuf, Vec<u8>)> =
        lab.state_files().into_iter().map(|path| (path.clone(), std::fs::read(&path).expect("readable"))).collect();
    assert!(!old.is_empty(), "what is granted is on the disk");
    // Epochs rise far enough for the disk to be written again.
    for _ in 0..3 {
        alpha.change_row(|row| {
            row.reserve = vipair::types::Epoch::new(row.reserve.counter() + 60, vipair::types::NodeId(1))
        });
        alpha.claim();
        lab.wait_granted(&mut alpha);
    }
    let last = alpha.sent;
    lab.kill();
    let changed = old.iter().any(|(path, bytes)| std::fs::read(path).expect("readable") != *bytes);
    assert!(changed, "the disk was written again");
    old.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).expect("writable"));
    lab.start();
    lab.wait_granted(&mut beta);
    assert!(last.elapsed() >= lease, "after {:?}", last.elapsed());
}

// S7: a witness that is unsure votes for no node
#[test]
fn witness_with_damaged_state_votes_once_both_nodes_have_told() {
    let mut lab = WitnessLab::build(1);
    let (mut alpha, mut beta) = (lab.talker(0, 1), lab.talker(0, 2));
    lab.wait_until_voting(&mut alpha, &mut beta);
    lab.wait_granted(&mut alpha);
    lab.kill();
    let files = lab.state_files();
    assert_eq!(files.len(), 2, "both slots: {files:?}");
    files.iter().for_each(|path| std::fs::write(path, "garbage").expect("writable"));
    lab.start();
    lab.wait("it to say why", || {
        beta.exchange();
        beta.witness_row().is_some_and(|row| row.reason == Reason::StateDamaged)
    });
    let until = Instant::now() + LEASE * 4;
    while Instant::now() < until {
        beta.claim_higher();
        beta.exchange();
        assert!(!beta.is_granted(), "one node alone cannot know");
    }
    alpha.change_row(|row| row.claim = vipair::types::Epoch::NONE);
    lab.wait_until_voting(&mut alpha, &mut beta);
    lab.wait_granted(&mut beta);
}

#[test]
fn witness_votes_in_a_hundred_clusters_each_by_itself() {
    let lab = WitnessLab::build(100);
    let mut pairs: Vec<(Talker, Talker)> = (0..100).map(|c| (lab.talker(c, 1), lab.talker(c, 2))).collect();
    for (alpha, beta) in &mut pairs {
        lab.wait_until_voting(alpha, beta);
    }
    for (number, (alpha, beta)) in pairs.iter_mut().enumerate() {
        lab.wait_granted(if number % 2 == 0 { alpha } else { beta });
    }
    let dirs = std::fs::read_dir(lab.dir.join("state")).expect("readable").count();
    assert_eq!(dirs, 100, "each has its own state");
}

/// Text of the witness's configuration with these clusters.
fn config_text(clusters: &[u8]) -> String {
    let cluster = |number| format!("[[cluster]]\nname = \"c{number}\"\nkey_file = \"c{number}.key\"\n");
    format!("listen = \"{}\"\n{}", address(), clusters.iter().map(cluster).collect::<String>())
}

// S5: a promise outlives a change of the configuration
#[test]
fn witness_takes_another_file_at_once_or_not_at_all_and_keeps_its_promises() {
    let lab = WitnessLab::build(2);
    let reload = |text: &str, says: &str| {
        let before = lab.process().output().len();
        write_private(&lab.dir.join("witness.toml"), text);
        lab.process().signal(Signal::SIGHUP);
        lab.wait(says, || lab.process().output()[before..].contains(says));
    };
    // A promise that outlasts each step.
    let long = Duration::from_secs(5);
    let (mut alpha, mut beta) = (lab.talker_with_lease(0, 1, long), lab.talker_with_lease(0, 2, long));
    lab.wait_until_voting(&mut alpha, &mut beta);
    lab.wait_granted(&mut alpha);
    write_private(&lab.dir.join("c2.key"), &format!("1 {}\n", "03".repeat(32)));
    reload(&config_text(&[0, 2]), "reload: clusters added: c2; removed: c1");
    let (mut came, mut went) = (lab.talker(2, 1), lab.talker(1, 1));
    lab.wait("an answer in the new cluster", || came.exchange());
    assert!(!went.exchange(), "a cluster that is gone is answered");
    // The voter of the cluster that stays keeps its promise.
    for _ in 0..5 {
        beta.claim_higher();
        beta.exchange();
        assert!(!beta.is_granted() || alpha.sent.elapsed() > long, "promised to both");
    }
    lab.wait("the grant to stand", || alpha.exchange() && alpha.is_granted());
    // Wrong files change nothing.
    reload(&config_text(&[0, 1, 7]), "reload refused, nothing has changed: ");
    let elsewhere = config_text(&[0, 2]).replace(":7811", ":7812");
    reload(&elsewhere, "restart the witness for that");
    assert!(alpha.exchange() && came.exchange() && !went.exchange());
    // With a new key the old one is worth nothing.
    write_private(&lab.dir.join("c2.key"), &format!("1 {}\n", "4d".repeat(32)));
    reload(&config_text(&[0, 1, 2]), "reload: clusters added: c1; the keys of all 3 clusters");
    let mut renewed = Talker::new(&lab.netns, address(), ("c2", 0x4d), 1, LEASE);
    lab.wait("an answer to the new key", || renewed.exchange());
    assert!(!came.exchange(), "the old key is answered");
    lab.wait("an answer in the cluster that is back", || went.exchange());
    assert!(alpha.exchange() && alpha.is_granted());
}

// Guide 3: a reload that is asked for while the witness starts is done when it answers.
#[test]
fn witness_that_is_told_to_reload_while_it_starts_lives_and_reloads() {
    let mut lab = WitnessLab::build(1);
    let mut alpha = lab.talker(0, 1);
    lab.wait("an answer", || alpha.exchange());
    lab.kill();
    lab.start();
    lab.wait("the witness to catch SIGHUP", || catches_hangup(lab.process().pid().as_raw()));
    lab.process().signal(Signal::SIGHUP);
    lab.wait("the reload", || lab.process().output().contains("reload: no cluster has changed"));
    lab.wait("an answer", || alpha.exchange());
}

// S6
#[test]
fn witness_answers_nobody_without_the_key() {
    let lab = WitnessLab::build(2);
    let mut alpha = lab.talker(0, 1);
    lab.wait("an answer", || alpha.exchange());
    let whole = alpha.next_pulse();
    let mut hostile: Vec<Vec<u8>> = (0..whole.len()).step_by(3).map(|length| whole[..length].to_vec()).collect();
    hostile.extend((0..whole.len()).map(|place| {
        let mut turned = whole.clone();
        turned[place] ^= 1 << (place % 8);
        turned
    }));
    // Datagrams sealed with another cluster's key, and by a node of a cluster that the witness does
    // not know.
    hostile.push(Talker::new(&lab.netns, address(), ("c0", 77), 1, LEASE).next_pulse());
    hostile.push(Talker::new(&lab.netns, address(), ("c9", 1), 1, LEASE).next_pulse());
    let stranger = lab.netns.run(|| std::net::UdpSocket::bind("127.0.0.1:0").expect("bind"));
    stranger.set_read_timeout(Some(Duration::from_millis(500))).expect("timeout");
    for bytes in &hostile {
        stranger.send_to(bytes, address()).expect("send");
    }
    let mut buffer = [0; 1_300];
    assert!(stranger.recv(&mut buffer).is_err(), "somebody without the key was answered");
    // The hostile datagrams were taken from the socket: the next one is answered.
    stranger.send_to(&whole, address()).expect("send");
    assert!(stranger.recv(&mut buffer).is_ok(), "what has the key is answered where it came from");
    stranger.send_to(&whole, address()).expect("send");
    assert!(stranger.recv(&mut buffer).is_err(), "a copy is not");
}
