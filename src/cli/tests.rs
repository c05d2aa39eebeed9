//! Tests of the command line.

use super::*;
use crate::agent::RunOptions;
use clap::CommandFactory;
use clap::error::ErrorKind;

mod rendering;
mod systemd;

/// The command that these arguments of `vipair` ask for, or why they are wrong.
fn parsed(arguments: &[&str]) -> Result<Command, clap::Error> {
    Cli::try_parse_from(std::iter::once("vipair").chain(arguments.iter().copied())).map(|cli| cli.command)
}

#[test]
fn the_tree_of_commands_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_contract_is_there_and_no_other() {
    let commands: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let contract = ["run", "witness", "status", "switch", "pause", "resume", "events", "check", "doctor", "keygen"];
    // The recorder's commands, and those that systemd gives.
    let more = ["reload", "leave", "record", "replay"];
    let (beside, known): (Vec<String>, Vec<String>) =
        commands.into_iter().partition(|name| more.contains(&name.as_str()));
    // The agent starts programs by `vipair launch`, which people do not see.
    let hidden = Cli::command().get_subcommands().find(|c| c.is_hide_set()).map(|c| c.get_name().to_owned());
    assert_eq!(hidden.as_deref(), Some("launch"));
    let known: Vec<String> = known.into_iter().filter(|name| name != "launch").collect();
    let simulator = cfg!(feature = "sim").then_some("sim");
    assert_eq!(known, contract.into_iter().chain(simulator).collect::<Vec<_>>());
    assert_eq!(beside, more);
}

#[test]
fn run_has_the_defaults_of_the_contract() {
    let Ok(Command::Run(args)) = parsed(&["run"]) else { panic!("run needs no argument") };
    let expected = RunOptions {
        config: "/etc/vipair/vipair.toml".into(),
        node: None,
        state_dir: "/var/lib/vipair".into(),
        socket: "/run/vipair/vipair.sock".into(),
    };
    assert_eq!(RunOptions::from(args), expected);
}

#[test]
fn run_takes_every_option_of_the_contract() {
    let arguments = ["run", "--config", "c", "--node", "n", "--state-dir", "d", "--socket", "s"];
    let Ok(Command::Run(args)) = parsed(&arguments) else { panic!("these are its options") };
    let expected =
        RunOptions { config: "c".into(), node: Some("n".into()), state_dir: "d".into(), socket: "s".into() };
    assert_eq!(RunOptions::from(args), expected);
}

#[test]
fn commands_take_what_the_contract_says() {
    for right in [
        &["status"][..],
        &["status", "--json"],
        &["status", "--watch", "--socket", "s"],
        &["switch", "web"],
        &["pause", "web"],
        &["resume", "web", "--socket", "s"],
        &["events"],
        &["events", "--follow", "--json"],
        &["check"],
        &["check", "f"],
        &["doctor"],
        &["keygen", "f"],
        &["witness"],
        &["witness", "--config", "c", "--state-dir", "d"],
        &["witness", "--check", "f"],
        &["keygen", "--id", "2", "f"],
    ] {
        assert!(parsed(right).is_ok(), "{right:?} is right");
    }
    for wrong in
        [&["switch"][..], &["keygen"], &["keygen", "--id", "256", "f"], &["run", "x"], &["witness", "x"], &[]]
    {
        let error = parsed(wrong).expect_err("is wrong");
        assert_eq!(error.exit_code(), 2, "{wrong:?}");
    }
}

#[test]
fn version_is_the_packages() {
    let error = parsed(&["--version"]).expect_err("it prints and ends");
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::DisplayVersion, 0));
    assert_eq!(error.to_string(), format!("vipair {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_missing_agent_is_an_error_that_names_the_socket_and_what_to_do() {
    let socket = SocketArg { socket: "/nonexistent/vipair.sock".into() };
    let request = crate::control::protocol::Request::Switch { group: "web".to_owned() };
    let Err(Failure::Failed(message)) = send_order(&socket, &request) else { panic!("nobody is there") };
    assert!(message.contains("/nonexistent/vipair.sock"), "{message}");
    assert!(message.contains("systemctl start vipair"), "{message}");
}

#[test]
fn a_wrong_configuration_is_told_apart_from_a_failure() {
    let Ok(Command::Check(args)) = parsed(&["check", "/nonexistent/v.toml"]) else { panic!("right arguments") };
    let Err(Failure::Wrong(message)) = check::execute(&args) else { panic!("there is no such file") };
    assert!(message.starts_with("/nonexistent/v.toml: cannot be read"), "{message}");
}

#[test]
fn a_right_file_without_its_key_is_told_and_is_a_failure() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("v.toml");
    std::fs::write(&path, example()).expect("written");
    let Ok(Command::Check(args)) = parsed(&["check", &path.to_string_lossy()]) else { panic!("right arguments") };
    let Err(Failure::Failed(message)) = check::execute(&args) else { panic!("there is no key") };
    assert!(message.contains("v.toml is valid, and its key is missing: ") && message.contains("`vipair keygen "));
    crate::config::keyfile::generate(&directory.path().join("cluster.key"), 1).expect("made");
    assert!(check::execute(&args).is_ok());
}

#[test]
fn a_witnesss_file_is_validated_with_its_keys() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("witness.toml");
    std::fs::write(&path, "listen = \"0.0.0.0:7811\"\n[[cluster]]\nname = \"web\"\nkey_file = \"k\"\n")
        .expect("written");
    let checked = || crate::witness::check_file(&path).map_err(|error| error.to_string());
    let error = checked().expect_err("there is no key");
    assert!(error.contains("witness.toml:4: cluster.key_file: ") && error.contains("vipair keygen"), "{error}");
    crate::config::keyfile::generate(&directory.path().join("k"), 1).expect("made");
    let said = checked().expect("it is right");
    assert!(said.ends_with("is right: witness 1 on 0.0.0.0:7811 for web, with 0 service checks"), "{said}");
}

#[test]
fn check_shows_every_time_with_its_formula() {
    let example = example();
    assert_check_shows(
        &example,
        &[
            "2 beta         links 10.0.0.2, 192.168.50.2  (this machine)",
            "web: 10.0.0.100, 2001:db8::100",
            "times (profile lan)",
            "suspicion     62.5 ms  = 1.25 × pulse",
            "listen      251.25 ms  = lease × (1+ρ)/(1−ρ) + 1 ms",
            "veto           2.5 s  = 10 × lease, at least 2 s",
            "silence ≥ suspicion + 3 × probe",
            "drift from 1 to 50000 ppm",
            "replaced 180 ms after its last pulse",
        ],
    );
    let text = checked(&example);
    assert!(!text.contains("promise") && !text.contains("vote"), "a bare pair promises nothing:\n{text}");
}

#[test]
fn check_shows_promises_and_the_inequalities_that_bind_them() {
    let witness = "[timing]\ndrift_ppm = 10000\n[witness]\naddress = \"10.0.9.9\"";
    let text = example().replacen("[timing]", witness, 1).replace("profile = \"lan\"\n", "");
    assert_check_shows(
        &text.replace("\"peer\"  ", "\"both\"  "),
        &[
            "witness 241 at 10.0.9.9:7811",
            "3 voters: a gate is open while 2 of them vote for its node, itself included",
            "strict: without a majority no gate is open",
            "promotes (\"both\") the standby when it has not heard the active itself and the witness says so, too",
            "times (profile lan, overridden)",
            "promise 174.434 ms = lease × (1+ρ)/(1−ρ) + 1 ms; ρ = 10000 ppm",
            "abstain 178.958 ms = promise × (1+ρ)/(1−ρ) + 1 ms",
            "lease from 19 to 60000 ms",
            "lease ≥ 3 × pulse + 4 ms",
            "(170 ms ≥ 154 ms)",
            "promise ≥ lease × (1+ρ)/(1−ρ) + 1 ms",
            "(174.434 ms ≥ 174.434 ms)",
            "replaced 180 ms after its last pulse",
            "no majority of voters stops answering within 170 ms",
            "the way to a voter and back may take 20 ms, jitter included",
        ],
    );
    assert_check_shows(&text.replacen("[witness]\n", "[witness]\nstrict = false\n", 1), &["NOT strict"]);
}

/// The text of the configuration that is shipped as an example.
fn example() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/vipair.toml");
    std::fs::read_to_string(path).expect("the example is there")
}

/// What `vipair check` prints of a right configuration on its second node, with one key.
fn checked(text: &str) -> String {
    let file = std::path::Path::new("v.toml");
    let cluster = crate::config::ClusterFile::parse(text, file).unwrap_or_else(|errors| panic!("{errors}"));
    check::summary(&cluster, Some(crate::types::NodeId(2)), "1 of 2 keys")
}

/// Asserts that `vipair check` prints `all` of these pieces for the configuration `text`, however
/// many blanks stand between words.
#[track_caller]
fn assert_check_shows(text: &str, all: &[&str]) {
    let spaces = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = checked(text);
    for expected in all {
        assert!(spaces(&shown).contains(&spaces(expected)), "{expected:?} is not in\n{shown}");
    }
}
