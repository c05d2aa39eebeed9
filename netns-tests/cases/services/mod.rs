//! Real services, as docs/examples has them: the files there are installed on both servers and run
//! unchanged. Each example's promises are those of its page.

mod haproxy;
mod nginx;
mod postgresql;
mod redis;

use crate::cases::planned::assert_nothing_lost;
use crate::lab::Server;
use crate::lab::home::Home;
use crate::probe::writer::{Receipt, Writer, Written};
use crate::scene::{Scene, Setup};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Starts agents and services in the order of a boot, alpha first, and waits until the pair is
/// complete. `before` runs once before that, `services` starts what belongs on a server once its
/// agent runs.
fn start_pair(setup: Setup, group: &str, before: impl Fn(&Scene), services: impl Fn(&Home)) -> Scene {
    let mut scene = Scene::build(setup);
    before(&scene);
    for server in Server::BOTH {
        scene.start_agent(server);
        scene.wait_addresses(server);
        services(scene.home(server));
        if server == Server::Alpha {
            scene.wait_role(Server::Alpha, group, "active");
        }
    }
    scene.wait_ready(Server::Beta, group);
    scene.lab.note("the pair is complete");
    scene
}

/// Homes of both servers, alpha's first.
fn homes(scene: &Scene) -> [Rc<Home>; 2] {
    Server::BOTH.map(|server| scene.home(server).clone())
}

/// Runs `vipair switch` and waits until clients get their answers from `to`.
fn switch_to(scene: &mut Scene, group: &str, to: Server) {
    scene.lab.note(format!("vipair switch {group}"));
    scene.agent(to.other()).command(&["switch", group]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(to, group, "active");
    scene.wait_answered_by(to);
}

/// Asserts that a planned switch to beta, its drain included, loses no request of clients that ask
/// meanwhile.
fn assert_switch_loses_nothing(scene: &mut Scene, group: &str) {
    let web = scene.start_web(300);
    std::thread::sleep(Duration::from_millis(300));
    switch_to(scene, group, Server::Beta);
    scene.wait_ready(Server::Alpha, group);
    // Longer than the drain time.
    std::thread::sleep(Duration::from_millis(1_200));
    assert_nothing_lost(web, 300);
}

/// Kills every process of this name on a server with SIGKILL.
fn kill_all(scene: &Scene, server: Server, name: &str) {
    let victims = scene.lab.server(server).processes_named(name);
    assert!(!victims.is_empty(), "no {name} runs on {}", server.name());
    scene.lab.note(format!("SIGKILL to every {name} of {}", server.name()));
    crate::lab::netns::kill_and_wait(&victims);
}

/// Waits until `count` writes were acknowledged from now on.
fn wait_written(scene: &mut Scene, writer: &Writer, count: usize) {
    let so_far = writer.acknowledged().len();
    scene.wait("writes to be acknowledged", |_| writer.acknowledged().len() >= so_far + count);
}

/// Asserts that `found`, numbers between spaces, has every number that was acknowledged as being on
/// both servers.
fn assert_nothing_missing(written: &[Written], found: &str) {
    let found: BTreeSet<u64> = found.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let promised: Vec<u64> =
        written.iter().filter(|written| written.receipt == Receipt::Copied).map(|written| written.number).collect();
    assert!(promised.len() > 50, "only {} numbers were promised", promised.len());
    let missing: Vec<&u64> = promised.iter().filter(|number| !found.contains(number)).collect();
    assert!(missing.is_empty(), "{} of {} promised numbers are missing: {missing:?}", missing.len(), promised.len());
}

const EXAMPLES: [&str; 4] = ["nginx", "haproxy", "redis", "postgresql"];

/// The text of a file on a page is the file that is tested.
#[test]
fn pages_show_the_files_that_are_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    let mut shown = 0;
    for example in EXAMPLES {
        let page = read(&root.join(example).with_extension("md"));
        let mut parts = page.split("\n```");
        let mut before = parts.next().unwrap_or_default();
        while let (Some(block), Some(after)) = (parts.next(), parts.next()) {
            let file = before.trim_end().rsplit('\n').next().and_then(|line| line.split('`').nth(1));
            let file = file.filter(|file| ["both/", "alpha/", "beta/"].iter().any(|part| file.starts_with(part)));
            if let Some(file) = file {
                let text = block.split_once('\n').map(|(_, text)| text);
                assert_eq!(text, Some(read(&root.join(example).join(file)).trim_end()), "{example}: {file}");
                shown += 1;
            }
            before = after;
        }
    }
    assert!(shown >= 12, "only {shown} files are shown");
}

/// `vipair check` accepts every example's configuration on the server where it is to be used.
#[test]
fn examples_are_accepted_by_vipair_check() {
    for example in EXAMPLES {
        let scene = Scene::build(Setup::example(example));
        let said = scene.home(Server::Alpha).run("vipair", &["check"]);
        assert!(said.contains("check"), "{example}: {said}");
    }
}
