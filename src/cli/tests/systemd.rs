//! Tests of the units that are shipped, of agent and witness: systemd finds no fault, they give no
//! power that is not used, and they fit the program.

use crate::cli::{DEFAULT_CONFIG, DEFAULT_SOCKET, DEFAULT_STATE_DIR};
use std::path::Path;
use std::process::Command;

/// What `systemd-analyze security` may say at most: 0 is safest, 10 is a service without any
/// protection.
const MOST_EXPOSED: f64 = 2.5;
/// The same with the drop-in for hooks and checks that are programs.
const MOST_EXPOSED_WITH_PROGRAMS: f64 = 4.0;

/// The text of the agent's unit.
fn unit() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/vipair.service");
    std::fs::read_to_string(path).expect("systemd/vipair.service is there")
}

/// All values of a setting, in the order of the file.
fn values(unit: &str, name: &str) -> Vec<String> {
    let assignments = unit.lines().filter_map(|line| line.split_once('='));
    assignments.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).collect()
}

/// Runs systemd-analyze on the agent's unit. Returns what it printed; fails if it fails.
fn analyze(arguments: &[&str]) -> String {
    analyze_unit("vipair.service", &unit(), arguments)
}

/// Runs systemd-analyze on a unit whose program is replaced by one that exists here. Returns what
/// it printed on both streams; fails if it fails.
fn analyze_unit(name: &str, unit: &str, arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join(name);
    let here = std::env::current_exe().expect("this program has a path");
    let here = here.to_str().expect("its path is text");
    std::fs::write(&path, unit.replace("/usr/local/bin/vipair", here)).expect("it can be written");
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(&path)
        .output()
        .expect("systemd-analyze runs: apt-get install systemd");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "systemd-analyze {arguments:?}: {text}");
    text
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    assert_eq!(analyze(&["verify", "--man=no"]), "");
}

/// The exposure level of a unit, from 0 to 10, as `systemd-analyze security` computes it.
fn exposure(name: &str, unit: &str) -> f64 {
    let text = analyze_unit(name, unit, &["security", "--offline=true", "--no-pager"]);
    text.lines()
        .find_map(|line| line.split_once(&format!("exposure level for {name}: ")))
        .and_then(|(_, level)| level.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("no exposure level in {text}"))
}

#[test]
fn the_unit_is_hardly_exposed() {
    let exposure = exposure("vipair.service", &unit());
    assert!(exposure > 0.0 && exposure <= MOST_EXPOSED, "exposure is {exposure}");
}

#[test]
fn the_unit_has_no_power_but_what_the_agent_uses() {
    let allowed =
        ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON", "CAP_SYS_NICE", "CAP_IPC_LOCK"].map(str::to_owned);
    let given: Vec<String> = values(&unit(), "CapabilityBoundingSet")
        .iter()
        .flat_map(|value| value.split_whitespace())
        .map(str::to_owned)
        .collect();
    assert!(!given.is_empty() && given.iter().all(|capability| allowed.contains(capability)), "{given:?}");
    let commands: Vec<String> = ["ExecStart", "ExecReload", "ExecStartPre", "ExecStop"]
        .iter()
        .flat_map(|name| values(&unit(), name))
        .collect();
    assert_eq!(commands, ["/usr/local/bin/vipair run", "/usr/local/bin/vipair reload"]);
}

#[test]
fn the_unit_lets_the_agent_do_its_work() {
    let unit = unit();
    assert_eq!(values(&unit, "Type"), ["notify"]);
    assert_eq!(values(&unit, "RestrictRealtime"), [""; 0], "SCHED_FIFO");
    assert_eq!(values(&unit, "LimitMEMLOCK"), ["infinity"], "mlockall without CAP_IPC_LOCK");
    assert_eq!(values(&unit, "ReadWritePaths"), ["/proc/sys/net"], "keep_addr_on_down");
    let families = values(&unit, "RestrictAddressFamilies").join(" ");
    for family in ["AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_INET", "AF_INET6"] {
        assert!(families.split_whitespace().any(|given| given == family), "{family}");
    }
    let last_filter = values(&unit, "SystemCallFilter").pop().expect("there are filters");
    for call in ["bpf", "@memlock", "sched_setscheduler"] {
        assert!(last_filter.split_whitespace().any(|given| given == call), "{call} is taken away and not given back");
    }
}

#[test]
fn directories_of_the_unit_are_the_programs_defaults() {
    let unit = unit();
    for (name, root, file) in [
        ("ConfigurationDirectory", "/etc", DEFAULT_CONFIG),
        ("StateDirectory", "/var/lib", DEFAULT_STATE_DIR),
        ("RuntimeDirectory", "/run", DEFAULT_SOCKET),
    ] {
        let [directory] = values(&unit, name).try_into().expect("it is given once");
        assert!(Path::new(file).starts_with(Path::new(root).join(directory)), "{name}");
    }
}

#[test]
fn a_crash_loop_ends() {
    let unit = unit();
    let number = |name: &str| -> f64 { values(&unit, name)[0].parse().expect("a number of seconds or times") };
    assert_eq!(values(&unit, "Restart"), ["always"]);
    // A start takes about 0.1 s.
    let shortest_life = 0.1 + number("RestartSec");
    assert!(number("StartLimitBurst") * shortest_life < number("StartLimitIntervalSec"), "the limit is reached");
}

#[test]
fn a_killed_agent_is_back_before_its_lease_ends() {
    let unit = unit();
    // A pause other than 0 is a timer of systemd's. Those are up to 250 ms late: a whole lease.
    assert_eq!(values(&unit, "RestartSec"), ["0"]);
    assert!(!values(&unit, "FileDescriptorStoreMax").is_empty(), "the gate's maps wait for the next life");
}

/// The same of the witness's unit, and of the example of its file.
mod witness {
    use super::{Path, values};
    use crate::cli::witness::DEFAULT_WITNESS_STATE_DIR;
    use crate::config::WitnessFile;

    /// What `systemd-analyze security` may say at most of a service without any privilege.
    const MOST_EXPOSED: f64 = 1.5;

    /// The text of a file in `systemd/`.
    fn shipped(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[test]
    fn systemd_finds_nothing_wrong_with_the_unit() {
        let name = "vipair-witness.service";
        assert_eq!(super::analyze_unit(name, &shipped(name), &["verify", "--man=no"]), "");
    }

    #[test]
    fn the_unit_is_hardly_exposed_and_has_no_power_at_all() {
        let name = "vipair-witness.service";
        let unit = shipped(name);
        let exposure = super::exposure(name, &unit);
        assert!(exposure > 0.0 && exposure <= MOST_EXPOSED, "exposure is {exposure}");
        for setting in ["CapabilityBoundingSet", "AmbientCapabilities"] {
            assert_eq!(values(&unit, setting), [""], "{setting}");
        }
        assert_eq!(values(&unit, "DynamicUser"), ["yes"]);
    }

    #[test]
    fn the_unit_fits_the_program_and_the_example() {
        let unit = shipped("vipair-witness.service");
        let from = "--reload-from %t/vipair-witness/witness.toml";
        let start = format!("/usr/local/bin/vipair witness --config %d/witness.toml {from}");
        assert_eq!(values(&unit, "ExecStart"), [start]);
        let lend = "+/usr/local/bin/vipair witness --lend %t/vipair-witness --tell $MAINPID";
        assert_eq!(values(&unit, "ExecReload"), [lend]);
        let [directory] = values(&unit, "StateDirectory").try_into().expect("it is given once");
        assert_eq!(Path::new("/var/lib").join(directory), Path::new(DEFAULT_WITNESS_STATE_DIR));
        let file =
            WitnessFile::parse(&shipped("witness.toml"), Path::new("/lent/witness.toml")).expect("it is right");
        let lent = values(&unit, "LoadCredential");
        for path in file.clusters.iter().map(|cluster| &cluster.key_file).chain([&"/lent/witness.toml".into()]) {
            let name = path.strip_prefix("/lent").expect("relative to the file").display().to_string();
            assert!(lent.contains(&format!("{name}:/etc/vipair/{name}")), "{name} is not lent: {lent:?}");
        }
    }
}

#[test]
fn the_drop_in_for_programs_opens_what_they_need_and_systemd_finds_nothing_wrong_with_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/vipair-hooks.conf");
    let drop_in = std::fs::read_to_string(path).expect("systemd/vipair-hooks.conf is there");
    let settings = drop_in.split_once("[Service]\n").expect("it is about the service").1;
    // A drop-in's settings follow those of the unit.
    let both = unit().replace("\n[Install]", &format!("\n{settings}\n[Install]"));
    assert_eq!(analyze_unit("vipair.service", &both, &["verify", "--man=no"]), "");
    for name in ["NoExecPaths", "ExecPaths"] {
        assert_eq!(values(&both, name).last().map(String::as_str), Some(""), "{name} is taken back");
    }
    let given = values(&both, "CapabilityBoundingSet").join(" ");
    assert!(given.contains("CAP_NET_ADMIN") && given.contains("CAP_SETUID") && given.contains("CAP_KILL"), "{given}");
    let exposure = exposure("vipair.service", &both);
    assert!(exposure <= MOST_EXPOSED_WITH_PROGRAMS, "exposure is {exposure}");
}
