//! Tests of checks, hooks and units in the nodes' file: what is right arrives, what is wrong is
//! said. And of the programs that they name: those that others can change are refused.

use super::super::programs::{self, ProgramError};
use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

/// The service of the good configuration's group with `lines` at the end of the file, which must be
/// right.
fn service(lines: &str) -> ServicePlan {
    let cluster = parse(&format!("{GOOD}{lines}")).unwrap_or_else(|errors| panic!("{errors}\n{lines}"));
    cluster.groups[0].service.clone()
}

#[test]
fn a_check_has_what_is_written_and_documented_defaults_for_the_rest() {
    let ms = Duration::from_millis;
    let found = service("[[group.check]]\nkind = \"tcp\"\nport = 80\n");
    let kind = CheckKind::Tcp { target: "10.0.0.100:80".parse().expect("an address") };
    let check = Check { kind, interval: ms(1000), timeout: ms(500), fall: 3, rise: 2, weight: None };
    assert_eq!(found.checks, [check]);
    assert!(found.can_veto() && found.before_open().is_none() && found.before_close().is_none());
    let found = service(
        "[[group.check]]\nkind = \"tcp\"\nport = 80\naddress = \"127.0.0.1\"\ninterval_ms = 100\ntimeout_ms = 50\n\
         fall = 1\nrise = 4\nweight = 254\n",
    );
    let kind = CheckKind::Tcp { target: "127.0.0.1:80".parse().expect("an address") };
    let weight = std::num::NonZeroU8::new(254);
    assert_eq!(found.checks, [Check { kind, interval: ms(100), timeout: ms(50), fall: 1, rise: 4, weight }]);
    assert!(!found.can_veto());
}

#[test]
fn every_kind_of_check_has_its_own_keys() {
    let http = |lines: &str| {
        let found = service(&format!("[[group.check]]\nkind = \"http\"\nport = 80\n{lines}"));
        let CheckKind::Http(http) = found.checks[0].kind.clone() else { panic!("{found:?}") };
        http
    };
    let HttpCheck { path, host, status, body, .. } = http("");
    assert_eq!((path.as_str(), host.as_str(), status, body), ("/", "10.0.0.100", 200..=399, None));
    let HttpCheck { path, host, status, body, .. } =
        http("path = \"/health?deep\"\nhost = \"www.example\"\nstatus = \"200-204\"\nbody = \"all well\"\n");
    let expected = ("/health?deep", "www.example", 200..=204, Some("all well".to_owned()));
    assert_eq!((path.as_str(), host.as_str(), status, body), expected);
    assert_eq!(http("status = 503\n").status, 503..=503);

    let found = service(
        "[[group.check]]\nkind = \"process\"\nprocess = \"nginx\"\n\
         [[group.check]]\nkind = \"process\"\npidfile = \"/run/x.pid\"\nprocess = \"/usr/sbin/x\"\n\
         [[group.check]]\nkind = \"unit\"\nunit = \"postgresql@15-main.service\"\n\
         [[group.check]]\nkind = \"exec\"\ncommand = [\"/bin/test\", \"-e\", \"/tmp/a b\"]\n",
    );
    let shown: Vec<String> =
        found.checks.iter().map(|check| format!("{} {}", check.kind.name(), check.kind.target())).collect();
    assert_eq!(
        shown,
        [
            "process nginx",
            "process /usr/sbin/x of /run/x.pid",
            "unit postgresql@15-main.service",
            "exec /bin/test -e /tmp/a b"
        ]
    );
    let CheckKind::Exec { command, user } = &found.checks[3].kind else { panic!("{found:?}") };
    assert_eq!(
        (command.arguments.as_slice(), user.as_str()),
        (["-e", "/tmp/a b"].map(String::from).as_slice(), "nobody")
    );
    assert_eq!(found.checks[3].timeout, Duration::from_secs(5), "programs take their time");
}

#[test]
fn what_is_wrong_with_a_check_is_said_where_it_stands() {
    let errors = errors_of(&format!(
        "{GOOD}[[group.check]]\nkind = \"tcp\"\nprot = 80\nrise = 0\n[[group.check]]\nkind = \"x\"\n\
         [[group.check]]\nkind = \"tcp\"\nport = 80\npath = \"/\"\naddress = \"10.0.0.1\"\nweight = 255\n\
         [[group.check]]\nkind = \"http\"\nport = 80\npath = \"health\"\nstatus = \"2xx\"\n\
         [[group.check]]\nkind = \"process\"\n[[group.check]]\nkind = \"process\"\nprocess = \"sbin/x\"\n\
         [[group.check]]\nkind = \"unit\"\nunit = \"nginx\"\n\
         [[group.check]]\nkind = \"exec\"\ncommand = [\"test\", \"-e\"]\n\
         [[group.check]]\nkind = \"exec\"\ncommand = \"/bin/true\"\n[[group.check]]\nport = 1\n"
    ));
    for expected in [
        "16 group.check.port: missing in this [[group.check]]; a check of kind \"tcp\" needs it",
        "18 group.check.prot: unknown key; did you mean \"port\"?",
        "19 group.check.rise: 0 is out of range; write a whole number from 1 to 1000, without quotes",
        "21 group.check.kind: \"x\" is no kind of check; write one of tcp, http, process, unit, exec",
        "25 group.check.path: is no key of a check of kind \"tcp\"; it has port, address",
        "26 group.check.address: 10.0.0.1 is no address of this group; write one of the group's addresses or a loopback \
         address; without the key it is the group's first",
        "27 group.check.weight: 255 is out of range; write a whole number from 1 to 254 (without the key it vetoes), \
         without quotes",
        "31 group.check.path: \"health\" does not begin with /; write an absolute path, for example \"/health\"",
        "32 group.check.status: \"2xx\" is no range of statuses; write a number from 100 to 599, or a range in quotes: \
         status = \"200-299\"",
        "33 group.check.process: missing in this [[group.check]]; write process = \"nginx\", process = \
         \"/usr/sbin/nginx\" or pidfile = \"/run/nginx.pid\"",
        "37 group.check.process: \"sbin/x\" is neither a name nor an absolute path; write a name as `ps -o comm` shows \
         it, or the absolute path of the program",
        "40 group.check.unit: \"nginx\" is no name of a unit; write its whole name, for example \
         \"postgresql@15-main.service\"",
        "43 group.check.command: \"test\" is no absolute path; write the program's absolute path, then its arguments; \
         no shell reads them",
        "46 group.check.command: is the string \"/bin/true\"; write program and arguments, for example command = \
         [\"/usr/local/bin/is-well\", \"--quick\"]",
        "47 group.check.kind: missing in this [[group.check]]; write \"tcp\", \"http\", \"process\", \"unit\" or \"exec\"",
    ] {
        assert!(errors.iter().any(|error| error == expected), "{expected:?} is not in {errors:#?}");
    }
    assert_eq!(errors.len(), 15, "{errors:#?}");
}

#[test]
fn hooks_and_units_arrive_in_their_order() {
    let found = service(
        "units = [\"a.service\", \"b@1.service\"]\n[group.hooks]\nbefore_open = [[\"/sbin/one\", \"x y\"], [\"/sbin/two\"]]\n\
         on_fault = [[\"/sbin/tell\"]]\ntimeout_ms = 1500\non_failure = \"proceed\"\n",
    );
    assert_eq!(found.units, ["a.service", "b@1.service"]);
    assert_eq!(found.hooks.before_open[0].arguments, ["x y"]);
    assert_eq!(found.hooks.before_open[1].program, Path::new("/sbin/two"));
    assert_eq!((found.hooks.on_fault.len(), found.hooks.after_open.len()), (1, 0));
    assert_eq!(found.hooks.on_failure, OnFailure::Proceed);
    assert_eq!(found.before_open(), Some(Duration::from_millis(6000)), "two commands and two units");
    assert_eq!(found.before_close(), Some(Duration::from_millis(3000)), "two units");
    let plain = service("[group.hooks]\nafter_open = [[\"/sbin/one\"]]\n");
    assert_eq!((plain.hooks.timeout, plain.hooks.on_failure), (Duration::from_secs(10), OnFailure::Refuse));
    assert_eq!((plain.before_open(), plain.before_close()), (None, None), "what comes after delays nothing");
}

#[test]
fn what_is_wrong_with_a_hook_is_said_where_it_stands() {
    let errors = errors_of(&format!(
        "{GOOD}units = [\"a\", \"b.service\", \"b.service\"]\n[group.hooks]\nbefore_open = [\"/sbin/one\"]\n\
         after_open = [[]]\nbefore_close = [[\"one\"], [\"/sbin/two\", 5]]\non_failure = \"procede\"\nbefore_opne = 1\n\
         timeout_ms = 0\n"
    ));
    for expected in [
        "16 group.units: \"a\" is no name of a unit; write its whole name, for example \"postgresql@15-main.service\"",
        "16 group.units: \"b.service\" is there twice; write every unit once",
        "18 group.hooks.before_open: is the string \"/sbin/one\"; write a list of commands, each a list: \
         [[\"/usr/local/sbin/promote\", \"--now\"]]",
        "19 group.hooks.after_open: is empty; write the program's absolute path, then its arguments; no shell reads them",
        "20 group.hooks.before_close: \"one\" is no absolute path; write the program's absolute path, then its \
         arguments; no shell reads them",
        "20 group.hooks.before_close: is the number 5; write a list of commands, each a list: \
         [[\"/usr/local/sbin/promote\", \"--now\"]]",
        "21 group.hooks.on_failure: \"procede\" is nothing that can be done; did you mean \"proceed\"?",
        "22 group.hooks.before_opne: unknown key; did you mean \"before_open\"?",
        "23 group.hooks.timeout_ms: 0 is out of range; write a whole number from 10 to 3600000 ms, without quotes",
    ] {
        assert!(errors.iter().any(|error| error == expected), "{expected:?} is not in {errors:#?}");
    }
    assert_eq!(errors.len(), 9, "{errors:#?}");
}

/// A script in a directory that only root can write to, and its path. The directory is gone when
/// the first value is dropped.
fn program(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory =
        tempfile::Builder::new().prefix("vipair-test").tempdir_in("/run").expect("root can write to /run");
    let path = directory.path().join(name);
    std::fs::write(&path, "#!/bin/sh\n").expect("it can be written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("it is ours");
    (directory, path)
}

#[test]
fn a_program_that_others_can_change_is_refused_with_its_line() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("left out: only root can make files of root");
    }
    let (directory, path) = program("hook");
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
    programs::validate(&path).expect("root's own, and nobody else's");
    mode(&path, 0o775);
    assert!(matches!(programs::validate(&path), Err(ProgramError::Changeable(_))), "the group can write to it");
    mode(&path, 0o644);
    assert!(matches!(programs::validate(&path), Err(ProgramError::NoProgram)));
    mode(&path, 0o755);
    nix::unistd::chown(&path, Some(65_534.into()), None).expect("we are root");
    assert!(matches!(programs::validate(&path), Err(ProgramError::Changeable(_))), "its owner can write to it");
    nix::unistd::chown(&path, Some(0.into()), None).expect("we are root");
    mode(directory.path(), 0o777);
    assert!(
        matches!(programs::validate(&path), Err(ProgramError::Changeable(_))),
        "others can put another in its place"
    );

    let text = format!("{GOOD}[group.hooks]\non_fault = [[\"/bin/true\"],\n  [\"{}\"]]\n", path.display());
    let cluster = parse(&text).expect("the text is right");
    let errors = cluster.program_errors();
    assert_eq!((errors.len(), errors[0].line, errors[0].key.as_str()), (1, Some(18), "group.hooks.on_fault"));
    assert!(errors[0].wrong.contains("can be written by others"), "{}", errors[0]);

    // A link counts as well, however safe the program is that it leads to.
    let link = directory.path().join("link");
    symlink("/bin/true", &link).expect("it can be made");
    assert!(matches!(programs::validate(&link), Err(ProgramError::Changeable(_))), "others can turn the link");
    mode(directory.path(), 0o755);
    programs::validate(&link).expect("nobody can now");
    assert!(matches!(programs::validate(&directory.path().join("none")), Err(ProgramError::Missing(_))));
}

// What is there is not yet what can run
#[test]
fn a_program_that_nothing_can_run_is_refused_before_it_is_needed() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("left out: only root can make files of root");
    }
    let (directory, path) = program("hook");
    let said = |text: &[u8]| {
        std::fs::write(&path, text).expect("it can be written");
        programs::validate(&path).map_err(|error| error.to_string())
    };
    assert_eq!(said(b"#!/bin/sh\nexit 0\n"), Ok(()));
    assert_eq!(said(b"#! /usr/bin/env sh\nexit 0\n"), Ok(()));
    for (text, expected) in [
        (&b"#!/bin/sh\r\nexit 0\r\n"[..], "carriage return"),
        (b"#!/usr/bin/no-such-python\n", "needs /usr/bin/no-such-python"),
        (b"#!/usr/bin/env no-such-python\n", "needs no-such-python"),
        (b"#!\n", "names no interpreter"),
        (b"\xef\xbb\xbf#!/bin/sh\n", "byte order mark"),
        (b"exit 0\n", "neither a program nor a script"),
        (b"", "neither a program nor a script"),
    ] {
        let wrong = said(text).expect_err("nothing runs this");
        assert!(wrong.contains(expected), "{:?}: {wrong}", String::from_utf8_lossy(text));
    }
    // A script that names itself.
    let own = format!("#!{}\n", path.display());
    assert!(said(own.as_bytes()).expect_err("without end").contains("without end"));

    // An agent starts all the same, since the file may be put right; `check` tells.
    let text = format!("{GOOD}[group.hooks]\nbefore_open = [[\"{}\"]]\n", path.display());
    let cluster = parse(&text).expect("the text is right");
    let errors = cluster.program_errors();
    assert!(errors.len() == 1 && errors[0].wrong.contains("without end"), "{errors:?}");
    drop(directory);
}

// Root runs what an interpreter is given, too
#[test]
fn the_script_that_an_interpreter_is_given_is_judged_as_a_program_is() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("left out: only root can make files of root");
    }
    let (directory, script) = program("script");
    let text = script.to_str().expect("it is text").to_owned();
    let said = |program: &str, arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        programs::validate_command(Path::new(program), &arguments).map_err(|error| error.to_string())
    };
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o644)).expect("it is ours");
    assert_eq!(said("/bin/sh", &[&text]), Ok(()), "a script that is read needs no permission to be run");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o666)).expect("it is ours");
    for arguments in [&[text.as_str()][..], &["-x", &text], &["--", &text, "more"]] {
        let wrong = said("/bin/sh", arguments).expect_err("others can write to it");
        assert!(wrong.contains(&text) && wrong.contains("can be written by others"), "{wrong}");
    }
    assert_eq!(said("/bin/sh", &["-c", &text]), Ok(()), "that is text, and a word of it");
    assert_eq!(said("/bin/true", &[&text]), Ok(()), "no interpreter: a file like any other");
    drop(directory);
    let wrong = said("/bin/sh", &[&text]).expect_err("it is gone");
    assert!(wrong.contains(&text) && wrong.contains("cannot be looked at"), "{wrong}");
}
