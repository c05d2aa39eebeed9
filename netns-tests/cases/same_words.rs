//! Two machines that cannot be told apart: one number, one hardware address, one witness's number.

use super::{assert_nothing_moves, let_pass};
use crate::lab::agent::Agent;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::program::program;
use crate::lab::{Port, Server};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use std::time::Duration;

/// Longer than answered probes hold a node back that has never heard its peer.
const BEYOND_THE_VETO: Duration = Duration::from_secs(33);

/// The configuration of a pair with one group of both addresses.
fn config() -> ConfigText {
    ConfigText::pair("lan").group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]))
}

/// Gives beta a file of its own, which lists beta first: there beta is number 1, as alpha is in its
/// own file.
fn list_beta_first(scene: &mut Scene) {
    let text = config().to_toml();
    let blocks: Vec<&str> = text.split("[[node]]\n").collect();
    let (before, alpha, beta) = (blocks[0], blocks[1], blocks[2]);
    let (beta, rest) = beta.split_once("[[group]]").expect("a group follows the nodes");
    let swapped = format!("{before}[[node]]\n{beta}[[node]]\n{alpha}[[group]]{rest}");
    let file = scene.lab.dir().join("beta-first.toml");
    std::fs::write(&file, swapped).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
    let agent = Agent::new(&scene.lab, Server::Beta, &file);
    *scene.agent_mut(Server::Beta).0 = agent;
}

/// What `vipair doctor` says on a server.
fn doctor(scene: &Scene, server: Server) -> String {
    let at = |name: String| scene.lab.dir().join(name).to_string_lossy().into_owned();
    let (file, socket) = (at("vipair.toml".to_owned()), at(format!("{}.sock", server.name())));
    let program = program().to_string_lossy().into_owned();
    let line = ["-c", "\"$0\" doctor \"$@\" || true", &program, "--config", &file, "--node", server.name()];
    scene.lab.server(server).tool("sh", &[&line[..], &["--socket", &socket]].concat(), "")
}

/// Whether the status of a server has these words.
fn says(scene: &Scene, server: Server, words: &str) -> bool {
    scene.status_text(server).contains(words)
}

// S2 S8: longer than any unauthenticated veto holds; once beta has its own number it is a standby.
#[test]
fn a_node_that_hears_its_own_number_in_use_stays_closed_and_names_the_other() {
    let mut scene = Scene::build(Setup::with(config()));
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    list_beta_first(&mut scene);
    scene.start_agent(Server::Beta);
    assert_nothing_moves(&scene, Server::Alpha, BEYOND_THE_VETO);
    assert_eq!(scene.role(Server::Alpha, GROUP), "active");
    let status = scene.agent(Server::Beta).status().expect("a status");
    assert!(!status.is_ready(GROUP), "{status:?}");
    let why = status.text(GROUP, "reason");
    assert!(why.contains("node number 1"), "{why}");
    for (server, other) in [(Server::Beta, Port::Alpha), (Server::Alpha, Port::Beta)] {
        let (address, second) = (other.ipv4().to_string(), server.other().second_link().ipv4().to_string());
        let warnings = scene.agent(server).status().expect("a status").0["warnings"].to_string();
        let named = warnings.contains(&address) || warnings.contains(&second);
        assert!(warnings.contains("node number 1") && named, "{}: {warnings}", server.name());
        let alarms = scene.agent(server).events().matches("\"same_number\"").count();
        assert_eq!(alarms, 1, "{}: one alarm for one cause", server.name());
    }
    // With its right number it becomes what it should be. Its state belongs to the wrong one.
    scene.kill_agent(Server::Beta);
    let state = scene.agent(Server::Beta).state_dir();
    std::fs::remove_dir_all(&state).unwrap_or_else(|e| panic!("remove {}: {e}", state.display()));
    let agent = Agent::new(&scene.lab, Server::Beta, &scene.lab.dir().join("vipair.toml"));
    *scene.agent_mut(Server::Beta).0 = agent;
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    scene.wait("the alarm to end", |s| !says(s, Server::Alpha, "node number 1"));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}

// S2: both come at once with one number, so neither opens, and both say why.
#[test]
fn two_nodes_of_one_number_that_start_together_both_stay_closed() {
    let mut scene = Scene::build(Setup::with(config()));
    list_beta_first(&mut scene);
    scene.start_agents();
    for server in Server::BOTH {
        scene.wait("both to say why", |s| says(s, server, "node number 1"));
    }
    let_pass(BEYOND_THE_VETO);
    for server in Server::BOTH {
        let status = scene.agent(server).status().expect("a status");
        assert!(!status.is_ready(GROUP) && status.text(GROUP, "role") != "active", "{status:?}");
    }
    let answers = scene.answers(vipair::types::MonoTime::ZERO);
    assert!(answers.answerers().is_empty(), "{:?} answered", answers.answerers());
    // The rightful alpha serves once the other is gone.
    scene.kill_agent(Server::Beta);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_answered_by(Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S6: a switch sends our own frames back to us, before a peer is heard and afterwards: they are ours,
// and nobody else's.
#[test]
fn our_own_datagrams_that_are_reflected_are_no_rival() {
    let mut scene = Scene::build(Setup::with(config()));
    scene.lab.switch().tool("bridge", &["link", "set", "dev", Port::Alpha.name(), "hairpin", "on"], "");
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    let status = scene.agent(Server::Alpha).status().expect("a status").0;
    let reflected = status["rejected"].as_array().expect("a list").iter().find(|one| one["reason"] == "reflected");
    let reflected = reflected.unwrap_or_else(|| panic!("nothing was reflected: {status}"));
    assert!(reflected["count"].as_u64() > Some(10) && reflected["authentic"] == true, "{reflected}");
    assert!(!says(&scene, Server::Alpha, "node number"), "{status}");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    scene.finish(&Expected::owner(Server::Alpha));
}

/// Gives both servers one hardware address on the clients' segment.
fn clone_the_cards(scene: &Scene) {
    for server in Server::BOTH {
        scene.lab.server(server).ip("link set dev eth0 address 02:00:00:00:cc:cc");
    }
}

// S8: nobody can ask who answers, so the lease of the other must be over first.
#[test]
fn servers_with_one_hardware_address_say_so_and_never_both_answer() {
    let mut scene = Scene::build(Setup::with(config()));
    clone_the_cards(&scene);
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.wait("beta to say why it is not ready", |s| {
        let status = s.agent(Server::Beta).status();
        status
            .is_ok_and(|status| !status.is_ready(GROUP) && status.text(GROUP, "reason").contains("02:00:00:00:cc:cc"))
    });
    for server in Server::BOTH {
        assert!(says(&scene, server, "hardware address"), "{} does not say it", server.name());
        assert!(scene.agent(server).events().contains("same_mac"), "{} told nobody", server.name());
    }
    let doctor = doctor(&scene, Server::Beta);
    assert!(doctor.lines().any(|line| line.contains("FAIL") && line.contains("02:00:00:00:cc:cc")), "{doctor}");
    let refused = scene.agent(Server::Alpha).command(&["switch", GROUP]).expect_err("nothing is handed over");
    assert!(refused.contains("hardware address"), "{refused}");
    // The kernel of alpha answers for what is left of the lease; beta waits, and opens then.
    scene.kill_agent(Server::Alpha);
    scene.wait_role(Server::Beta, GROUP, "active");
    let_pass(Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// L1: three witnesses of which two take themselves for the first one: each side names the cause. With
// the right numbers a majority is there.
#[test]
fn witnesses_of_one_number_are_named_by_the_nodes_and_by_themselves() {
    let mut scene = Scene::build(Setup::with_witnesses(config(), 3));
    let right: Vec<(std::path::PathBuf, String)> = [2, 3]
        .map(|number| {
            let file = scene.witness(number).0.config();
            let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("read {}: {e}", file.display()));
            let wrong = text.replace(&format!("number = {number}"), "number = 1");
            std::fs::write(&file, wrong).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
            (file, text)
        })
        .to_vec();
    scene.start_witnesses();
    scene.start_agent(Server::Alpha);
    scene.start_agent(Server::Beta);
    for number in [2, 3] {
        let address = crate::lab::witness::Witness::address_of(number);
        scene.wait_both_say(&format!(
            "the witness at {address}:7811 has number 1 and is witness {number} in our file"
        ));
        let log = scene.witness(usize::from(number)).0.log_tail();
        assert!(log.contains(&format!("takes this witness for number {number}")), "{log}");
    }
    // Whoever tries to find out with `doctor` is told as well.
    let doctor = doctor(&scene, Server::Alpha);
    assert!(doctor.lines().any(|line| line.contains("FAIL") && line.contains("has number 1")), "{doctor}");
    for ((file, text), number) in right.iter().zip([2, 3]) {
        std::fs::write(file, text).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
        let (witness, lab) = scene.witness(number);
        witness.kill(lab);
        witness.start(lab);
    }
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_ready(Server::Beta, GROUP);
    scene.wait_neither_says("has number 1");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}
