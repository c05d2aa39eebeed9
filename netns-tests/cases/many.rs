//! More than one group, more than a few addresses, and IPv6 by itself.

use super::{LAN_BOUND, SLACK, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::{Port, Server};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use std::time::Duration;

// Design 5: any number of groups, each with its own active
#[test]
fn two_groups_with_opposite_preference_make_both_servers_work() {
    let mail = ("10.0.0.101", "2001:db8::101");
    let config = ConfigText::pair("lan")
        .group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]).prefer(Server::Alpha))
        .group(GroupText::new("mail", &[mail.0, mail.1]).prefer(Server::Beta).preempt());
    // Alpha starts first and has both groups; beta takes its own as soon as it is ready.
    let mut scene = Scene::build(Setup::with(config));
    scene.start_agent(Server::Alpha);
    for group in [GROUP, "mail"] {
        scene.wait_role(Server::Alpha, group, "active");
    }
    scene.start_agent(Server::Beta);
    for (group, owner) in [(GROUP, Server::Alpha), ("mail", Server::Beta)] {
        scene.wait_role(owner, group, "active");
    }
    scene.wait_ready(Server::Alpha, "mail");
    scene.wait_ready(Server::Beta, GROUP);
    // A planned move of one group leaves the other alone.
    let_pass(Duration::from_millis(1_100));
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_ready(Server::Alpha, GROUP);
    let_pass(Duration::from_millis(1_100));
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_ready(Server::Beta, GROUP);
    let_pass(Duration::from_millis(1_100));
    // The loss of a host moves its group only.
    scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.finish_groups(&[
        (GROUP, &Expected::owner(Server::Alpha).handover().handover().takeover()),
        ("mail", &Expected::owner(Server::Alpha).handover()),
    ]);
}

// Known from other programs of this kind: the work for many addresses delays the pulses.
#[test]
fn a_thousand_addresses_move_together() {
    let addresses: Vec<String> = (0..1_000).map(|n| format!("10.1.{}.{}", n / 250, n % 250 + 1)).collect();
    let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let config = ConfigText::pair("lan").group(GroupText::new(GROUP, &names));
    let mut setup = Setup::with(config);
    setup.asked = [0, 999].map(|n| addresses[n].parse().expect("an address")).to_vec();
    let mut scene = Scene::start(setup);
    scene.wait_answered_by(Server::Alpha);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_ready(Server::Alpha, GROUP);
    scene.wait_answered_by(Server::Beta);
    let lost = scene.power_off(Server::Beta);
    scene.wait_answered_by(Server::Alpha);
    for asker in &scene.askers {
        let gap = asker.since(lost).longest_gap().length();
        assert!(gap < LAN_BOUND + SLACK, "{} went unanswered for {gap:?}", asker.target());
    }
    // The oracle sees each address claimed by its new owner, each time.
    let_pass(Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).handover().takeover());
}

// HP-10, IPv6
#[test]
fn ipv6_alone_works_like_ipv4() {
    let links = (Port::Alpha.ipv6().to_string(), Port::Beta.ipv6().to_string());
    let config = ConfigText::pair("lan").links(&[(&links.0, &links.1)]).group(GroupText::new(GROUP, &[ADDRESS6]));
    let mut setup = Setup::with(config).services();
    setup.plan.ipv4 = false;
    let mut scene = Scene::start(setup);
    let web = scene.start_web(200);
    let_pass(Duration::from_millis(300));
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_answered_by(Server::Beta);
    scene.wait_ready(Server::Alpha, GROUP);
    let_pass(Duration::from_millis(1_100));
    let requests = web.finish();
    assert!(requests.lost().is_empty(), "L3: lost {:?}", requests.lost());
    let lost = scene.power_off(Server::Beta);
    scene.wait_answered_by(Server::Alpha);
    let gap = scene.answers(lost).longest_gap().length();
    assert!(gap < LAN_BOUND + SLACK, "clients were not answered for {gap:?}");
    scene.finish(&Expected::owner(Server::Alpha).handover().takeover());
}
