//! The disk under the state directory fails.

use super::{assert_nothing_moves, assert_served_throughout, let_pass};
use crate::lab::Server;
use crate::lab::agent::StateDir;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::injector::{Fault, When};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use std::time::Duration;

/// Switches the group to `to`, and lets the drain pass.
fn switch_to(scene: &mut Scene, to: Server) {
    scene.lab.note(format!("vipair switch {GROUP}, to {}", to.name()));
    scene.agent(to.other()).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(to, GROUP, "active");
    scene.wait_answered_by(to);
    let_pass(Duration::from_millis(1_100));
}

/// Starts a pair whose state directories are file systems of 64 KiB.
fn start_with_small_state_dirs() -> Scene {
    let mut scene = Scene::build(Setup::of("lan"));
    for server in Server::BOTH {
        scene.agent_mut(server).0.set_state_dir(StateDir::Small(64));
    }
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    scene
}

// L6, guide 10: both slots of the state are rewritten in place
#[test]
fn full_disk_changes_nothing() {
    let mut scene = start_with_small_state_dirs();
    for server in Server::BOTH {
        scene.lab.note(format!("disk of {} is filled", server.name()));
        scene
            .agent(server)
            .in_state_dir("cat /dev/zero > filler 2>/dev/null; test \"$(df --output=avail . | tail -1)\" -eq 0");
    }
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    for to in [Server::Beta, Server::Alpha, Server::Beta] {
        switch_to(&mut scene, to);
        scene.wait_ready(to.other(), GROUP);
    }
    scene.finish(&Expected::owner(Server::Alpha).handover().handover().handover());
}

// S2 L6, guide 10: the reservation on the disk suffices for one promotion; then the status names
// the missing one
#[test]
fn unwritable_disk_is_good_for_one_promotion_and_then_named_as_the_reason() {
    let mut scene = start_with_small_state_dirs();
    scene.lab.note("disk of beta is read-only");
    scene.agent(Server::Beta).in_state_dir("mount -o remount,ro .");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    switch_to(&mut scene, Server::Beta);
    scene.wait_ready(Server::Alpha, GROUP);
    switch_to(&mut scene, Server::Alpha);
    scene.wait("beta to name the missing reservation", |s| {
        let status = s.agent(Server::Beta).status();
        status.is_ok_and(|status| {
            !status.is_ready(GROUP) && status.text(GROUP, "reason").contains("no epoch is reserved")
        })
    });
    // Beta is not ready, so alpha gives it nothing.
    assert!(
        scene.agent(Server::Alpha).command(&["switch", GROUP]).is_err(),
        "a switch to a peer that cannot was begun"
    );
    scene.lab.note("disk of beta is writable again");
    scene.agent(Server::Beta).in_state_dir("mount -o remount,rw .");
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(300));
    scene.finish(&Expected::owner(Server::Alpha).handover().handover());
}

// S2 S7: an agent that is unsure which epochs it used asks its peer
#[test]
fn corrupted_state_is_healed_by_the_peer() {
    let mut scene = Scene::start(Setup::of("lan"));
    switch_to(&mut scene, Server::Beta);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.kill_agent(Server::Alpha);
    let dir = scene.agent(Server::Alpha).state_dir();
    let mut spoiled = 0;
    for file in std::fs::read_dir(&dir).expect("the agent made it").flatten().filter(|f| f.path().is_file()) {
        let mut bytes = std::fs::read(file.path()).expect("readable");
        bytes.iter_mut().for_each(|byte| *byte ^= 0x5a);
        std::fs::write(file.path(), bytes).expect("writable");
        spoiled += 1;
    }
    assert!(spoiled > 0, "no state was written to {}", dir.display());
    scene.lab.note(format!("{spoiled} state files of alpha spoiled"));
    scene.start_agent(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    // Alpha's next epoch is above all that were used: the scene checks every epoch it sees.
    switch_to(&mut scene, Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha).handover().handover());
}

// S7: an agent that is alone with damaged state owns no address
#[test]
fn server_alone_with_corrupted_state_stays_closed_and_says_why() {
    let mut scene = Scene::start(Setup::of("lan"));
    for server in Server::BOTH {
        scene.kill_agent(server);
    }
    let dir = scene.agent(Server::Alpha).state_dir();
    for file in std::fs::read_dir(&dir).expect("the agent made it").flatten().filter(|f| f.path().is_file()) {
        std::fs::write(file.path(), "garbage").expect("writable");
    }
    scene.lab.note("state files of alpha spoiled");
    scene.start_agent(Server::Alpha);
    scene.wait("alpha to name the damaged state", |s| {
        let status = s.agent(Server::Alpha).status();
        status.is_ok_and(|status| status.text(GROUP, "reason").contains("damaged"))
    });
    let_pass(Duration::from_secs(1));
    assert_ne!(scene.role(Server::Alpha, GROUP), "active");
    // Beta knows the epochs; now either server may serve.
    scene.start_agent(Server::Beta);
    let owner = scene.wait_one_active(GROUP);
    scene.wait_answered_by(owner);
    scene.wait_ready(owner.other(), GROUP);
    let expected = Expected::owner(Server::Alpha);
    scene.finish(&if owner == Server::Alpha { expected } else { expected.takeover() });
}

// S7 L5: a disk that does not answer for a while ends no start
#[test]
fn agent_whose_state_directory_cannot_be_had_waits_for_it_and_adopts_its_gate() {
    let config =
        ConfigText::pair("lan").timing_toml("lease_ms = 10000").group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]));
    let mut scene = Scene::build(Setup::with(config));
    scene.agent_mut(Server::Alpha).0.set_injected();
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    let injector = scene.agent(Server::Alpha).injector();
    let lock = injector.seen().into_keys().find(|call| call.name() == "flock").expect("it locks the directory");
    injector.set(Some(Fault { call: lock, errno: libc::EIO, when: When::Always }));
    let from = scene.kill_agent(Server::Alpha);
    let said_before = scene.agent(Server::Alpha).log_text().len();
    scene.lab.note("the state directory of alpha cannot be had");
    scene.start_agent(Server::Alpha);
    scene.wait("alpha to say that its start begins anew", |s| {
        s.agent(Server::Alpha).log_text()[said_before..].contains("the start begins anew")
    });
    let_pass(Duration::from_millis(600));
    assert!(!scene.agent_mut(Server::Alpha).0.ended_by_itself(), "it waits for its state");
    let said = scene.agent(Server::Alpha).log_text()[said_before..].to_owned();
    assert_eq!(said.matches("the start begins anew").count(), 1, "it says so once: {said}");
    scene.agent(Server::Alpha).injector().set(None);
    scene.lab.note("the disk of alpha is back");
    scene.wait_role(Server::Alpha, GROUP, "active");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    for asker in &scene.askers {
        assert_served_throughout(&asker.since(from), Server::Alpha);
    }
    scene.finish(&Expected::owner(Server::Alpha));
}
