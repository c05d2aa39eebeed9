//! One address under two names: exclusivity belongs to the address, whatever a file calls it.

use super::assert_nothing_moves;
use crate::lab::Server;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::time::Duration;

/// The other name.
const OTHER: &str = "www";
/// Longer than any lease and silence of profile `lan`, however they add up.
const LONG: Duration = Duration::from_secs(5);

/// Two groups, in a file that each server has for itself. Nothing happens to the first one.
fn config() -> ConfigText {
    let mail = GroupText::new("mail", &["10.0.0.101", "2001:db8::101"]).prefer(Server::Alpha);
    let mail = GroupText { more_toml: "# for @SERVER@\n".to_owned(), ..mail };
    ConfigText::pair("lan").group(mail).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]).prefer(Server::Alpha))
}

/// A pair with as many witnesses, at rest.
fn start(witnesses: u8) -> Scene {
    let setup = match witnesses {
        0 => Setup::with(config()),
        count => Setup::with_witnesses(config(), count),
    };
    let mut scene = Scene::start(setup);
    scene.wait_ready(Server::Beta, GROUP);
    scene
}

/// Changes what beta's file calls the addresses, and leaves the rest of it as it is.
fn write_for_beta(scene: &Scene, before: &str, change: impl FnOnce(&str) -> String) {
    let file = scene.lab.dir().join("vipair-beta.toml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("read {}: {e}", file.display()));
    assert!(text.contains(&format!("name = \"{before}\"")), "{text}");
    std::fs::write(&file, change(&text)).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
}

/// Renames the group in beta's file.
fn rename(scene: &Scene, from: &str, to: &str) {
    let line = |name: &str| format!("name = \"{name}\"");
    write_for_beta(scene, from, |text| text.replace(&line(from), &line(to)));
}

/// Sends SIGHUP to beta's agent, and waits until it has read the file.
fn reload_beta(scene: &mut Scene) {
    let count = |s: &Scene| s.agent(Server::Beta).events().replace(": ", ":").matches("\"kind\":\"reload\"").count();
    let before = count(scene);
    scene.agent(Server::Beta).signal(&scene.lab, Signal::SIGHUP);
    scene.wait("beta to have read its file", |s| count(s) > before);
}

/// Asserts that alpha alone answers, and that beta says why it is not ready.
fn assert_told_apart(scene: &mut Scene) {
    scene.wait("beta to say what it waits for", |s| s.status_text(Server::Beta).contains("under another name"));
    assert_nothing_moves(scene, Server::Alpha, LONG);
    let status = scene.agent(Server::Beta).status().expect("a status");
    assert!(!status.is_ready(OTHER), "{status:?}");
}

/// Ends a scene in which alpha alone ever had either group.
fn finish(scene: Scene) {
    let alpha = Expected::owner(Server::Alpha);
    scene.finish_groups(&[(GROUP, &alpha), ("mail", &alpha)]);
}

// S8 S1: beta's file alone is touched, and its agent restarted
#[test]
fn standby_whose_file_calls_the_addresses_otherwise_answers_for_nothing() {
    for witnesses in [0, 1] {
        let mut scene = start(witnesses);
        scene.kill_agent(Server::Beta);
        rename(&scene, GROUP, OTHER);
        scene.start_agent(Server::Beta);
        assert_told_apart(&mut scene);
        // With one name in both files it stands by again.
        scene.kill_agent(Server::Beta);
        rename(&scene, OTHER, GROUP);
        scene.start_agent(Server::Beta);
        scene.wait_ready(Server::Beta, GROUP);
        finish(scene);
    }
}

// S8 S1: removed by one reload, added under another name by the next
#[test]
fn standby_that_is_given_another_name_by_two_reloads_answers_for_nothing() {
    for witnesses in [0, 1] {
        let mut scene = start(witnesses);
        let file = scene.lab.dir().join("vipair-beta.toml");
        let whole = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("read {}: {e}", file.display()));
        let (mail, _) = whole.split_once("[[group]]\nname = \"web\"").expect("the group is the last one");
        write_for_beta(&scene, GROUP, |_| mail.to_owned());
        reload_beta(&mut scene);
        let renamed = whole.replace("name = \"web\"", "name = \"www\"");
        write_for_beta(&scene, "mail", |_| renamed);
        reload_beta(&mut scene);
        assert_told_apart(&mut scene);
        finish(scene);
    }
}
