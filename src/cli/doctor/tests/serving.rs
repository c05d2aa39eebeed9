//! Tests of the doctor's findings about programs of hooks and checks, about the unit around the
//! agent, and about what reaches the other node.

use super::*;
use crate::control::protocol::{LinkState, LinkStatus, MirrorStatus, StatusReport};

/// A program that root may run on every machine.
const SHELL: &str = "/bin/sh";
/// A program that is on no machine.
const MISSING: &str = "/usr/lib/vipair-test/missing";

/// The configuration of a node with one group that ends in these lines: checks, hooks or both.
fn with_service(lines: &str) -> Config {
    let text = format!(
        "cluster = \"c\"\nkey_file = \"k\"\n[[node]]\nname = \"a\"\nlinks = [\"10.0.0.1\"]\n[[node]]\nname = \"b\"\n\
        links = [\"10.0.0.2\"]\n[[group]]\nname = \"g\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.9\"]\n{lines}"
    );
    ClusterFile::parse(&text, Path::new("v.toml")).expect("it is right").for_node(crate::types::NodeId(1))
}

/// Level and text of each finding.
fn seen(findings: &[Finding]) -> Vec<(Level, &str)> {
    findings.iter().map(|finding| (finding.level, finding.text.as_str())).collect()
}

#[test]
fn programs_of_hooks_and_checks_must_be_there() {
    let machine = Machine::new();
    assert_eq!(services::examine(&machine.roots, &config()), [], "nothing is run");
    let hooks = |list: &str, more: &str| format!("[group.hooks]\n{list} = [[\"{SHELL}\"], [\"{MISSING}\"]]\n{more}");
    for (list, more, level) in [
        ("before_open", "", Level::Fail),
        ("before_close", "", Level::Fail),
        ("before_open", "on_failure = \"proceed\"\n", Level::Warn),
        ("after_open", "", Level::Warn),
    ] {
        let found = services::examine(&machine.roots, &with_service(&hooks(list, more)));
        assert_eq!(found[0], Finding::ok(format!("{SHELL} ({list} of g) can be run")));
        assert!(found.len() == 2 && found[1].level == level && found[1].text.starts_with(MISSING), "{found:?}");
        assert!(
            found[1].text.contains("cannot be looked at") && found[1].remedy.starts_with("install it"),
            "{found:?}"
        );
    }
    let check = format!("[[group.check]]\nkind = \"exec\"\ncommand = [\"{MISSING}\"]\n");
    let found = services::examine(&machine.roots, &with_service(&check));
    assert!(found.len() == 1 && found[0].level == Level::Warn && found[0].text.contains("(check of g)"), "{found:?}");
}

#[test]
fn programs_that_others_can_change_are_named_with_what_to_do() {
    let machine = Machine::new();
    let path = machine.directory.path().join("hook");
    machine.write(&path, "#!/bin/sh\n");
    let hooks = format!("[group.hooks]\nbefore_open = [[\"{}\"]]\n", path.display());
    let found = services::examine(&machine.roots, &with_service(&hooks));
    assert!(found[0].level == Level::Fail && found[0].text.contains("is no file that can be run"), "{found:?}");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    let found = services::examine(&machine.roots, &with_service(&hooks));
    let why = found[0].text.contains("can be written by others") || found[0].text.contains("belongs to user");
    assert!(found[0].level == Level::Fail && why && found[0].remedy.contains("must belong to root"), "{found:?}");
}

/// The text of a file in `systemd/`.
fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name);
    std::fs::read_to_string(path).expect("it is shipped")
}

#[test]
fn the_shipped_unit_lets_processes_be_seen_with_its_drop_in_only() {
    let machine = Machine::new();
    let unit = machine.roots.root.join("usr/lib/systemd/system/vipair.service");
    machine.write(&unit, &shipped("vipair.service"));
    let found = |what: &str| {
        services::examine(&machine.roots, &with_service(&format!("[[group.check]]\nkind = \"process\"\n{what}\n")))
    };
    assert_eq!(found("pidfile = \"/run/nginx.pid\""), [], "its number is enough, nothing is to be seen");
    for name in ["nginx", "/usr/sbin/nginx"] {
        let found = found(&format!("process = \"{name}\""));
        let text = format!("the agent's unit lets checks see no process of this: {name}");
        assert_eq!(seen(&found), [(Level::Warn, text.as_str())]);
        assert!(
            found[0].remedy.contains("vipair-hooks.conf") && found[0].remedy.contains("`pidfile` alone"),
            "{found:?}"
        );
    }
    let drop_in = machine.roots.root.join("etc/systemd/system/vipair.service.d/vipair-hooks.conf");
    machine.write(&drop_in, &shipped("vipair-hooks.conf"));
    for name in ["nginx", "/usr/sbin/nginx"] {
        let found = found(&format!("process = \"{name}\""));
        assert_eq!(found, [Finding::ok("the agent's unit lets the processes of checks be seen")]);
    }
    // The name is shown to all, the program to those alone who may trace.
    machine.write(&drop_in, "[Service]\nProtectProc=default\n");
    assert_eq!(found("process = \"nginx\"")[0].level, Level::Ok);
    assert_eq!(found("process = \"/usr/sbin/nginx\"")[0].level, Level::Warn);
    let traces = "[Service]\nProtectProc=default\nCapabilityBoundingSet=CAP_SYS_PTRACE\n";
    machine.write(&drop_in, traces);
    assert_eq!(found("process = \"/usr/sbin/nginx\"")[0].level, Level::Ok);
    machine.write(&drop_in, &format!("{traces}CapabilityBoundingSet=\n"));
    assert_eq!(found("process = \"/usr/sbin/nginx\"")[0].level, Level::Warn, "an empty line takes all of them back");
}

#[test]
fn the_shipped_unit_lets_hooks_run_with_its_drop_in_only() {
    let machine = Machine::new();
    let config = with_service(&format!("[group.hooks]\nbefore_open = [[\"{SHELL}\"]]\n"));
    let runs = format!("{SHELL} (before_open of g) can be run");
    let found = services::examine(&machine.roots, &config);
    assert_eq!(seen(&found), [(Level::Ok, runs.as_str())], "no unit, nothing to say of it");
    let unit = machine.roots.root.join("usr/lib/systemd/system/vipair.service");
    machine.write(&unit, &shipped("vipair.service"));
    let found = services::examine(&machine.roots, &config);
    let stopped = format!("the agent's unit lets nothing of this be run: {SHELL}");
    assert_eq!(seen(&found), [(Level::Ok, runs.as_str()), (Level::Fail, stopped.as_str())]);
    assert!(found[1].remedy.contains("vipair-hooks.conf") && found[1].remedy.contains("daemon-reload"), "{found:?}");
    let drop_in = machine.roots.root.join("etc/systemd/system/vipair.service.d/vipair-hooks.conf");
    machine.write(&drop_in, &shipped("vipair-hooks.conf"));
    let found = services::examine(&machine.roots, &config);
    assert_eq!(found[1], Finding::ok("the agent's unit lets these programs be run"));
    // A drop-in of the operator's that comes later closes it again, but for what it names.
    let own = machine.roots.root.join("etc/systemd/system/vipair.service.d/z.conf");
    let closed = |exec: &str| machine.write(&own, &format!("[Service]\nNoExecPaths=/\nExecPaths={exec}\n"));
    closed("/opt");
    assert_eq!(services::examine(&machine.roots, &config)[1].level, Level::Fail);
    closed("-/usr/bin /bin");
    assert_eq!(services::examine(&machine.roots, &config)[1].level, Level::Ok);
}

#[test]
fn what_does_not_reach_the_other_node_is_told_with_its_port() {
    let link = |path: &str, state| LinkStatus {
        peer: "b".to_owned(),
        path: path.to_owned(),
        remote: "10.0.0.2".to_owned(),
        state,
        ..LinkStatus::default()
    };
    let status = |state, mirror: Option<(bool, bool)>| StatusReport {
        links: vec![link("0", state), link("segment", LinkState::Silent)],
        mirror: mirror.map(|(told, heard)| MirrorStatus { told, heard, ..MirrorStatus::default() }),
        ..StatusReport::default()
    };
    let found = |state, mirror| services::exchange(&config(), &status(state, mirror));
    let heard = Finding::ok("b at 10.0.0.2 is heard");
    assert_eq!(found(LinkState::Up, None), std::slice::from_ref(&heard), "no group wants its connections known");
    let both = found(LinkState::Up, Some((true, true)));
    assert_eq!(both, [heard, Finding::ok("lists of connections are exchanged with the other node")]);
    for (told, heard, word) in [(false, true, "does not take our"), (true, false, "tells us nothing of its")] {
        let found = found(LinkState::Up, Some((told, heard)));
        assert!(found[1].level == Level::Warn && found[1].text.contains(word), "{found:?}");
        assert!(found[1].remedy.contains("TCP port 7812"), "{found:?}");
    }
    let silent = found(LinkState::Silent, Some((false, false)));
    assert!(silent.len() == 1 && silent[0].level == Level::Warn, "one cause, one complaint: {silent:?}");
    assert!(
        silent[0].text == "b at 10.0.0.2 is not heard" && silent[0].remedy.contains("UDP port 7811"),
        "{silent:?}"
    );
}
