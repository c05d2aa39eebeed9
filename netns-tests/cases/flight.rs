//! Recordings of what happened last night, and what a person learns from them.

use super::let_pass;
use crate::lab::Server;
use crate::lab::netns::try_tool;
use crate::lab::program::program;
use crate::probe::oracle::Expected;
use crate::scene::{GROUP, Scene, Setup};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Paths of a server's recordings that were made for `reason`, oldest first. A busy machine may
/// give reasons of its own for others.
fn recordings(scene: &Scene, server: Server, reason: &str) -> Vec<PathBuf> {
    let dir = scene.agent(server).state_dir().join("flight");
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.map(|entry| entry.expect("an entry").path()).collect())
        .unwrap_or_default();
    let ending = format!("-{}-{reason}.vfr", server.name());
    found.retain(|path| path.to_str().is_some_and(|path| path.ends_with(&ending)));
    found.sort();
    found
}

/// Output of `vipair replay`; panics if the command fails, as it does unless the replay agrees with
/// the flight.
fn replay(file: &Path, options: &[&str]) -> String {
    let mut args = vec!["replay", file.to_str().expect("paths of the lab are text")];
    args.extend(options);
    let text = try_tool(program().to_str().expect("paths of the lab are text"), &args, "");
    text.unwrap_or_else(|cause| panic!("{cause}"))
}

/// Asserts that each of `parts` is in a text.
fn assert_told(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is not told:\n{text}");
    }
}

#[test]
fn takeover_leaves_a_recording_that_says_why_and_replays_alike() {
    let mut scene = Scene::start(Setup::of("lan"));
    let_pass(Duration::from_millis(500));
    scene.power_off(Server::Alpha);
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait("the recording of the takeover", |s| !recordings(s, Server::Beta, "takeover").is_empty());
    let [file] = &recordings(&scene, Server::Beta, "takeover")[..] else { panic!("one takeover, one recording") };
    let mode = std::fs::metadata(file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "a recording is nobody else's business");
    let text = replay(file, &[]);
    assert_told(
        &text,
        &[
            "flight recording of beta in cluster",
            "reason: takeover",
            "nothing is missing",
            "web: standby → active",
            "the peer is silent on every link",
            "link 0 to alpha: last heard",
            "probes for the address",
            "gate: web opens with epoch",
            "replay agrees with the flight",
        ],
    );
    assert!(!text.contains("agrees with the flight: 0 events"), "{text}");
    let all = replay(file, &["--all"]);
    assert_told(&all, &["← pulse", "→ pulse", "→ probe on", "tick", "renewed until"]);
    let json = replay(file, &["--json"]);
    let takeover = json.lines().find(|line| line.contains("standby → active")).expect("a line about the takeover");
    let line: serde_json::Value = serde_json::from_str(takeover).expect("each line is an object");
    assert!(line["because"].as_array().is_some_and(|because| because.len() >= 4), "{line}");
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

#[test]
fn planned_move_leaves_no_recording_and_one_can_be_asked_for() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(Server::Beta, GROUP, "active");
    let record = |scene: &Scene, options: &[&str]| {
        let args = [&["record"], options].concat();
        let said = scene.agent(Server::Beta).command(&args).unwrap_or_else(|e| panic!("{e}"));
        PathBuf::from(said.trim())
    };
    let file = record(&scene, &[]);
    assert_eq!(recordings(&scene, Server::Beta, "asked"), std::slice::from_ref(&file));
    for unplanned in ["takeover", "closed", "conflict"] {
        assert!(recordings(&scene, Server::Beta, unplanned).is_empty(), "a switch is no {unplanned}");
    }
    assert_told(&replay(&file, &[]), &["handed over in order", "replay agrees with the flight"]);
    let copy = scene.lab.dir().join("copy.vfr");
    assert_eq!(record(&scene, &["--output", copy.to_str().expect("text")]), copy);
    assert_told(&replay(&copy, &[]), &["replay agrees with the flight"]);
    // The latest ones stay, however many there are.
    for _ in 0..8 {
        record(&scene, &[]);
    }
    let kept = recordings(&scene, Server::Beta, "asked");
    assert_eq!(kept.len(), 5, "{kept:?}");
    assert!(!kept.contains(&file), "the oldest is gone");
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

#[test]
fn damaged_recording_is_refused_in_clear_words() {
    let scene = Scene::start(Setup::of("lan"));
    let file = scene.agent(Server::Alpha).command(&["record"]).unwrap_or_else(|e| panic!("{e}"));
    let bytes = std::fs::read(file.trim()).expect("a recording");
    let copy = scene.lab.dir().join("damaged.vfr");
    let tried = |bytes: &[u8]| {
        std::fs::write(&copy, bytes).expect("a copy");
        let program = program();
        let args = ["replay", copy.to_str().expect("text")];
        try_tool(program.to_str().expect("text"), &args, "").expect_err("it is no whole recording")
    };
    assert_told(&tried(&bytes[..bytes.len() - 1]), &["cut short", &format!("byte {}", bytes.len() - 1)]);
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    assert_told(&tried(&changed), &["damaged at byte"]);
    assert_told(&tried(b"nothing of the kind"), &["no flight recording"]);
    scene.finish(&Expected::owner(Server::Alpha));
}
