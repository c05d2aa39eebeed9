//! The interface gets another hardware address.

use super::super::{LAN_BOUND, SLACK, assert_nothing_moves, let_pass};
use super::ip;
use crate::lab::clock;
use crate::lab::{Port, Server};
use crate::probe::frames::{self, How};
use crate::probe::oracle::Expected;
use crate::probe::socket::{PacketSocket, deny_all};
use crate::probe::web::Web;
use crate::scene::{ADDRESS, ADDRESS6, Scene, Setup};
use std::time::Duration;
use vipair::types::{MacAddr, MonoTime};

/// A hardware address that no port of the lab has.
const OTHER: MacAddr = MacAddr([0x02, 0, 0, 0, 0xaa, 0x01]);

/// The setup of a pair whose client only learns from announcements and its own questions: the
/// answers to a sampler's questions would correct its kernel, too.
pub fn unasked() -> Setup {
    let mut setup = Setup::of("lan");
    setup.asked.clear();
    setup
}

/// Waits until the client's kernel has this hardware address for both group addresses, for a second
/// after `from` at most (L4).
pub fn wait_corrected(scene: &mut Scene, mac: MacAddr, from: MonoTime) {
    for address in [ADDRESS, ADDRESS6] {
        let at = scene.wait(&format!("the client to find {address} at {mac}"), |s| {
            s.lab.believed_by_client(address) == Some(mac.to_string())
        });
        let took = at.since(from);
        assert!(took < Duration::from_secs(1) + SLACK, "L4: the client was corrected only after {took:?}");
    }
}

/// Starts a client that connects all the time, and waits until its kernel knows where both group
/// addresses are. Nobody has to listen there.
pub fn learn(scene: &mut Scene) -> Web {
    let web = scene.start_web(50);
    for address in [ADDRESS, ADDRESS6] {
        scene.wait(&format!("the client to find {address}"), |s| s.lab.believed_by_client(address).is_some());
    }
    web
}

/// Hardware addresses that announcements have named since `from`, without repetition.
fn announced(scene: &Scene, from: MonoTime) -> Vec<MacAddr> {
    let is_announcement = |how| matches!(how, How::AnnounceRequest | How::AnnounceReply | How::AnnounceAdvertisement);
    let mut macs: Vec<MacAddr> = Vec::new();
    for heard in scene.heard().iter().filter(|h| h.at >= from && is_announcement(h.said.how)) {
        if !macs.contains(&heard.said.mac) {
            macs.push(heard.said.mac);
        }
    }
    macs
}

// L4
#[test]
fn active_whose_hardware_address_changes_corrects_its_clients_within_a_second() {
    let mut scene = Scene::start(unasked());
    let web = learn(&mut scene);
    // The round of announcements after the opening is over.
    let_pass(Duration::from_secs(6));
    let from = ip(&scene, Server::Alpha, &format!("link set dev eth0 address {OTHER}"));
    wait_corrected(&mut scene, OTHER, from);
    // Every repetition names the new address.
    let later = clock::now();
    let_pass(Duration::from_secs(3));
    assert_eq!(announced(&scene, later), vec![OTHER]);
    drop(web);
    scene.finish(&Expected::owner(Server::Alpha));
}

// L4: an address that a stranger claims is defended with what the interface has now
#[test]
fn active_whose_hardware_address_changed_defends_with_the_new_one() {
    let mut scene = Scene::start(Setup::of("lan"));
    let_pass(Duration::from_secs(6));
    ip(&scene, Server::Alpha, &format!("link set dev eth0 address {OTHER}"));
    let_pass(Duration::from_secs(6));
    scene.lab.plug(Port::Stranger);
    let nothing = deny_all();
    let socket = scene.lab.host(Port::Stranger).run(|| PacketSocket::open(Some("eth0"), &nothing));
    let from = scene.lab.note("a stranger claims the address");
    let address = ADDRESS.parse().expect("an address");
    socket.send(&frames::arp(1, Port::Stranger.mac(), address, address)).expect("send");
    scene.wait("the defence", |s| !announced(s, from).is_empty());
    assert_eq!(announced(&scene, from), vec![OTHER]);
    scene.finish(&Expected::owner(Server::Alpha));
}

// L1 L4: the standby's hardware address changes before it is needed
#[test]
fn standby_whose_hardware_address_changed_takes_over_with_the_new_one() {
    let mut scene = Scene::start(Setup::of("lan"));
    let web = learn(&mut scene);
    ip(&scene, Server::Beta, &format!("link set dev eth0 address {OTHER}"));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    let lost = scene.power_off(Server::Alpha);
    let opened = scene.wait("somebody to answer", |s| {
        s.askers.iter().all(|a| a.since(lost).answerers().iter().any(|(_, mac)| *mac == OTHER))
    });
    for asker in &scene.askers {
        let gap = asker.since(lost).longest_gap().length();
        assert!(gap < LAN_BOUND + SLACK, "L1: {} went unanswered for {gap:?}", asker.target());
    }
    wait_corrected(&mut scene, OTHER, opened);
    assert_eq!(announced(&scene, lost + Duration::from_millis(1)), vec![OTHER]);
    drop(web);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}
