//! nginx on both servers.

use super::{assert_switch_loses_nothing, kill_all, start_pair};
use crate::lab::Server;
use crate::lab::clock;
use crate::lab::home::services::NGINX;
use crate::probe::oracle::Expected;
use crate::scene::{Scene, Setup};

const GROUP: &str = "web";

/// Starts a pair with nginx.
fn pair() -> Scene {
    start_pair(Setup::example("nginx"), GROUP, |_| {}, |home| home.systemctl("start", NGINX))
}

// L3 HP-8
#[test]
fn nginx_is_switched_without_a_lost_request_and_replaced_when_it_dies() {
    let mut scene = pair();
    assert_switch_loses_nothing(&mut scene, GROUP);

    let died = clock::now();
    kill_all(&scene, Server::Beta, "nginx");
    scene.wait_answered_by(Server::Alpha);
    let web = scene.start_web(100);
    scene.wait("alpha's nginx to answer", |_| web.since(died).answered_by(Server::Alpha) > 10);
    for asker in &scene.askers {
        eprintln!("nginx died: {} had nobody for {:?}", asker.target(), asker.since(died).longest_gap().length());
    }
    // Beta, whose nginx is dead, says so, and is ready again when its nginx runs.
    scene.wait("beta to say why it is not ready", |s| {
        let status = s.agent(Server::Beta).status();
        status.is_ok_and(|status| !status.is_ready(GROUP) && !status.text(GROUP, "reason").is_empty())
    });
    scene.home(Server::Beta).systemctl("start", NGINX);
    scene.wait_ready(Server::Beta, GROUP);
    let requests = web.finish();
    assert!(requests.lost().is_empty(), "alpha served all the time, and lost {:?}", requests.lost());
    scene.finish(&Expected::owner(Server::Alpha).handover().handover());
}
