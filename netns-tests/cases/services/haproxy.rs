//! HAProxy on both servers, bound to the shared address, before web servers at the servers' own
//! addresses.

use super::{assert_switch_loses_nothing, kill_all, start_pair};
use crate::lab::Server;
use crate::lab::clock;
use crate::lab::home::services::{HAPROXY, NGINX};
use crate::probe::oracle::Expected;
use crate::scene::{Scene, Setup};

const GROUP: &str = "balance";

/// Starts a pair with HAProxy before nginx.
fn pair() -> Scene {
    let backends = |scene: &Scene| Server::BOTH.into_iter().for_each(|s| scene.home(s).systemctl("start", NGINX));
    start_pair(Setup::example("haproxy"), GROUP, backends, |home| home.systemctl("start", HAPROXY))
}

// L3 HP-8
#[test]
fn haproxy_is_switched_without_a_lost_request_and_replaced_when_it_dies() {
    let mut scene = pair();
    assert_switch_loses_nothing(&mut scene, GROUP);

    let died = clock::now();
    kill_all(&scene, Server::Beta, "haproxy");
    scene.wait_answered_by(Server::Alpha);
    eprintln!("haproxy died: nobody answered for {:?}", scene.answers(died).longest_gap().length());
    let web = scene.start_web(100);
    // Both backends live: only the balancer was lost.
    for backend in Server::BOTH {
        scene.wait("both backends to answer", |_| web.since(died).answered_by(backend) > 10);
    }
    let requests = web.finish();
    assert!(requests.lost().is_empty(), "alpha served all the time, and lost {:?}", requests.lost());
    scene.finish(&Expected::owner(Server::Alpha).handover().handover());
}
