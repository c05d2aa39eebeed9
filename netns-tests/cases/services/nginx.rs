//! nginx on both servers.

use super::{kill_all, start, switch};
use crate::cases::planned::assert_nothing_lost;
use crate::lab::Server;
use crate::lab::clock;
use crate::lab::home::services::NGINX;
use crate::probe::oracle::Expected;
use crate::scene::{Scene, Setup};
use std::time::Duration;

const GROUP: &str = "web";

fn pair() -> Scene {
    start(Setup::example("nginx"), GROUP, |_| {}, |home| home.systemctl("start", NGINX))
}

// L3 HP-8
#[test]
fn nginx_is_switched_without_a_lost_request_and_replaced_when_it_dies() {
    let mut scene = pair();
    let web = scene.web(300);
    std::thread::sleep(Duration::from_millis(300));
    switch(&mut scene, GROUP, Server::Beta);
    scene.wait_ready(Server::Alpha, GROUP);
    // Longer than the drain time.
    std::thread::sleep(Duration::from_millis(1_200));
    assert_nothing_lost(web, 300);

    let died = clock::now();
    kill_all(&scene, Server::Beta, "nginx");
    scene.wait_answered_by(Server::Alpha);
    let web = scene.web(100);
    scene.wait("alpha's nginx to answer", |_| web.since(died).answered_by(Server::Alpha) > 10);
    for asker in &scene.askers {
        eprintln!("nginx died: {} had nobody for {:?}", asker.target(), asker.since(died).longest_gap().length());
    }
    // The one whose nginx is dead says so, and is ready again when it is not.
    scene.wait("beta to say why it is not ready", |s| {
        let status = s.agent(Server::Beta).status();
        status.is_ok_and(|status| !status.ready(GROUP) && !status.text(GROUP, "reason").is_empty())
    });
    scene.home(Server::Beta).systemctl("start", NGINX);
    scene.wait_ready(Server::Beta, GROUP);
    let requests = web.finish();
    assert!(requests.lost().is_empty(), "alpha served all the time, and lost {:?}", requests.lost());
    scene.finish(&Expected::owner(Server::Alpha).handover().handover());
}
