//! Output that cannot be written: nobody reads it any more, or the disk is full.

use super::assert_nothing_moves;
use crate::lab::Server;
use crate::lab::program::program;
use crate::probe::oracle::Expected;
use crate::scene::{GROUP, Scene, Setup};
use nix::sys::stat::Mode;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A file that takes nothing, like one on a full disk (full(4)).
const FULL: &str = "/dev/full";

/// Opens a named pipe for reading, without waiting for a writer.
fn open_reader(pipe: &Path) -> File {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(pipe);
    opened.unwrap_or_else(|e| panic!("open {}: {e}", pipe.display()))
}

/// Adds what a pipe holds now to `text`; returns whether `text` has `words`.
fn has_said(mut reader: &File, text: &mut Vec<u8>, words: &str) -> bool {
    match reader.read_to_end(text) {
        Err(e) if e.kind() != ErrorKind::WouldBlock => panic!("read a pipe: {e}"),
        Ok(_) | Err(_) => String::from_utf8_lossy(text).contains(words),
    }
}

// L1 L3
#[test]
fn agents_whose_logs_cannot_be_written_go_on_through_a_switch_and_a_takeover() {
    let mut scene = Scene::build(Setup::of("lan"));
    let pipe = scene.lab.dir().join("alpha-log");
    nix::unistd::mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).expect("make a pipe");
    scene.agent_mut(Server::Alpha).0.set_output(&pipe);
    let (reader, mut text) = (open_reader(&pipe), Vec::new());
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait("alpha to log to the pipe", |_| has_said(&reader, &mut text, "active"));
    scene.lab.note("the reader of alpha's log goes");
    drop(reader);
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_answered_by(Server::Beta);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.kill_agent(Server::Beta);
    scene.wait_answered_by(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    // The control: lines were lost indeed, and whoever reads again is told.
    let (reader, mut text) = (open_reader(&pipe), Vec::new());
    scene.lab.note("beta's disk is full");
    scene.agent_mut(Server::Beta).0.set_output(Path::new(FULL));
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    scene.wait("alpha to tell what was lost", |_| has_said(&reader, &mut text, "could not be written: "));
    scene.agent(Server::Beta).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_answered_by(Server::Beta);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).handover().takeover().handover());
}

/// Runs the program with these arguments, with standard output or standard error on a full disk;
/// returns its exit code, or `None` if a signal ended it.
fn exit_code(arguments: &[&str], output_full: bool, error_full: bool) -> Option<i32> {
    let place = |is_full: bool| {
        let full = || OpenOptions::new().write(true).open(FULL).unwrap_or_else(|e| panic!("open {FULL}: {e}"));
        if is_full { Stdio::from(full()) } else { Stdio::null() }
    };
    let mut command = Command::new(program());
    // A filter that is wrong is one more thing to complain of.
    command.args(arguments).env("VIPAIR_LOG", "vipair=loud").stdin(Stdio::null());
    let status = command.stdout(place(output_full)).stderr(place(error_full)).status();
    status.unwrap_or_else(|e| panic!("run {arguments:?}: {e}")).code()
}

// Guide 6: exit codes
#[test]
fn commands_that_cannot_write_end_with_an_exit_code() {
    let mut scene = Scene::build(Setup::of("lan"));
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    let text = |path: &Path| path.to_str().expect("paths of the lab are text").to_owned();
    let (right, wrong) = (text(&scene.lab.dir().join("vipair.toml")), text(&scene.lab.dir().join("wrong.toml")));
    std::fs::write(&wrong, "wrong\n").expect("write a file");
    let (socket, nobody) = (text(&scene.agent(Server::Alpha).socket_path()), format!("{wrong}.sock"));
    for (arguments, ordinary) in [
        (&["status", "--socket", &socket][..], 0),
        (&["status", "--json", "--socket", &socket], 0),
        (&["events", "--socket", &socket], 0),
        (&["check", &right, "--node", "alpha"], 0),
        (&["check", &right, "--node", "alpha", "--against-running", "--socket", &socket], 0),
        (&["--version"], 0),
        (&["status", "--help"], 0),
        (&["status", "--socket", &nobody], 1),
        (&["switch", "nothing", "--socket", &socket], 1),
        (&["replay", &nobody], 1),
        (&["check", &wrong], 2),
        (&["witness", "--check", &wrong], 2),
        (&["run", "--config", &wrong], 2),
        (&["nonsense"], 2),
    ] {
        // The control: without an obstacle the command ends as it should.
        assert_eq!(exit_code(arguments, false, false), Some(ordinary), "{arguments:?}");
        assert_eq!(exit_code(arguments, false, true), Some(ordinary), "{arguments:?} 2>{FULL}");
        // What says nothing on standard output misses nothing.
        let unwritten = ordinary.max(1);
        assert_eq!(exit_code(arguments, true, false), Some(unwritten), "{arguments:?} >{FULL}");
        assert_eq!(exit_code(arguments, true, true), Some(unwritten), "{arguments:?} >{FULL} 2>{FULL}");
    }
    scene.finish(&Expected::owner(Server::Alpha));
}
