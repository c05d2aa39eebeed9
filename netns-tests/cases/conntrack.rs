//! Connections through servers that translate addresses: with conntrackd's cache committed before
//! the gate opens they survive the loss of the server that translated them.

use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::conntrackd::{self, BEHIND, Conntrackd, PORT};
use crate::lab::{Port, Server};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, GROUP, PATIENCE, Scene, Setup};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use tempfile::TempDir;

/// The table of hooks from the guide, with a script of the lab in the place of
/// `/usr/sbin/conntrackd`.
fn hook_lines(script: &str) -> String {
    let run = |option: &str| format!("[\"/bin/sh\", \"{script}\", \"{option}\"]");
    let [commit, flush, read, send, age, ask] = ["-c", "-f", "-R", "-B", "-t", "-n"].map(run);
    format!(
        "[group.hooks]\nbefore_open = [{commit}]\nafter_open = [{flush}, {read}, {send}]\n\
         after_close = [{age}, {ask}]\ntimeout_ms = 3000\non_failure = \"proceed\"\n"
    )
}

/// Starts a service on the host behind the servers that sends back each line, and asserts that
/// clients come from the shared address.
fn start_echo(scene: &Scene) {
    let target = SocketAddr::from((Port::Gateway.ipv4(), BEHIND));
    let listener = scene.lab.host(Port::Gateway).run(|| TcpListener::bind(target).expect("nobody listens there"));
    std::thread::spawn(move || {
        while let Ok((stream, from)) = listener.accept() {
            assert_eq!(from.ip().to_string(), ADDRESS, "the client's address was not translated");
            std::thread::spawn(move || {
                let mut writer = stream.try_clone().expect("duplicate a socket");
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if writeln!(writer, "{line}").is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Sends a line and waits for it to come back.
fn say_and_hear(stream: &TcpStream, line: &str) -> std::io::Result<()> {
    let mut writer = stream;
    writeln!(writer, "{line}")?;
    let mut back = String::new();
    BufReader::new(stream).read_line(&mut back)?;
    if back.trim_end() == line { Ok(()) } else { Err(std::io::Error::other(format!("{back:?} came back"))) }
}

/// A pair that translates addresses, and a connection through it.
struct Translated {
    scene: Scene,
    /// A client's connection through alpha that both conntrackds know.
    stream: TcpStream,
    _daemons: [Conntrackd; 2],
    _script: TempDir,
}

/// Starts a pair that translates, with hooks that commit the cache if `hooked`, and a connection
/// through alpha.
fn start_translated(hooked: bool) -> Translated {
    // Root runs nothing from a place where others can write.
    let dir = tempfile::Builder::new().prefix("vipair-lab").tempdir_in("/run").expect("we are root");
    let script = dir.path().join("conntrackd");
    let hooks_toml = if hooked { hook_lines(&script.to_string_lossy()) } else { String::new() };
    let group = GroupText::new(GROUP, &[ADDRESS]).more_toml(&hooks_toml);
    let mut scene = Scene::build(Setup::with(ConfigText::pair("lan").group(group)));
    // Both nodes have one configuration but each its own conntrackd, in one file system: the script
    // takes the node's own.
    let file = |server| conntrackd::config_path(&scene.lab, server).display().to_string();
    let text = format!(
        "if [ \"$VIPAIR_PEER\" = beta ]; then f={}; else f={}; fi\nexec conntrackd -C $f \"$@\"\n",
        file(Server::Alpha),
        file(Server::Beta)
    );
    std::fs::write(&script, text).expect("a file can be written");
    Server::BOTH.into_iter().for_each(|server| conntrackd::make_translator(&scene.lab, server, ADDRESS));
    let daemons = Server::BOTH.map(|server| Conntrackd::start(&scene.lab, server));
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    start_echo(&scene);
    let target = SocketAddr::new(ADDRESS.parse().expect("an address"), PORT);
    let stream = scene.lab.host(Port::Client).run(|| TcpStream::connect(target).expect("alpha translates"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit that is not zero");
    say_and_hear(&stream, "through alpha").expect("alpha translates");
    scene.wait("beta's conntrackd to know the connection", |s| {
        conntrackd::external_cache(&s.lab, Server::Beta).contains(&format!("dport={PORT}"))
    });
    Translated { scene, stream, _daemons: daemons, _script: dir }
}

#[test]
fn a_translated_connection_survives_the_loss_of_the_server() {
    let Translated { mut scene, stream, _daemons, _script } = start_translated(true);
    scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    say_and_hear(&stream, "through beta").expect("it survives");
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

#[test]
fn a_translated_connection_survives_a_switch_there_and_back() {
    let Translated { mut scene, stream, _daemons, _script } = start_translated(true);
    for to in [Server::Beta, Server::Alpha] {
        scene.agent(to.other()).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
        scene.wait_role(to, GROUP, "active");
        scene.wait_answered_by(to);
        say_and_hear(&stream, "within the drain").expect("what the new active does not know goes to the former one");
        // Longer than the drain: now the new active knows the connection.
        std::thread::sleep(Duration::from_millis(1_200));
        say_and_hear(&stream, "after the drain").expect("it survives");
        scene.wait_ready(to.other(), GROUP);
    }
    scene.finish(&Expected::owner(Server::Alpha).handover().handover());
}

// Control: it shows that the cases above prove something.
#[test]
fn without_the_hooks_a_translated_connection_dies_with_the_server() {
    let Translated { mut scene, stream, _daemons, _script } = start_translated(false);
    scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let said = say_and_hear(&stream, "through beta");
    assert!(said.is_err(), "nobody told beta of the connection");
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}
