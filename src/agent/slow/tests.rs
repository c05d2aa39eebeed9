//! Tests of what the parts of the slow side want done, and in which order.

use super::calls::{Calls, Wish};
use super::connections::thread_setup;
use super::current::{Current, Numbering};
use super::effects::{Effect, Effects};
use super::hooks;
use super::lacks::LackTable;
use super::paths::Paths;
use crate::config::{ClusterFile, KeyFile};
use crate::control::protocol::Response;
use crate::control::server::Answer;
use crate::engine::{Command, Hook, Lacks, Outcome};
use crate::hooks::{Ended, Occasion};
use crate::orders::{self, Order, Tale};
use crate::testing::netns::in_netns;
use crate::types::{Epoch, GroupId, LinkId, LinkPath, MonoTime, NodeId};
use std::path::Path;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Node 1 of a pair with these groups.
fn current(groups: &[&str]) -> Current {
    let nodes = "cluster = \"c\"\nkey_file = \"k\"\n[[node]]\nname = \"a\"\nlinks = [\"10.0.0.1\"]\n\
        [[node]]\nname = \"b\"\nlinks = [\"10.0.0.2\"]\n";
    let group = |(at, name): (usize, &&str)| {
        format!("[[group]]\nname = \"{name}\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.{}\"]\n", 100 + at)
    };
    let text: String = std::iter::once(nodes.to_owned()).chain(groups.iter().enumerate().map(group)).collect();
    let config = ClusterFile::parse(&text, Path::new("v.toml")).expect("it is right").for_node(NodeId(1));
    Current::new(config, text, KeyFile { keys: vec![(1, [7; 32])] })
}

/// Each effect in a few words.
fn words(effects: Effects) -> Vec<String> {
    let word = |effect| match effect {
        Effect::Order(order) => format!("order {order:?}"),
        Effect::Event(saying) => format!("event {}: {}", saying.kind, saying.text),
        Effect::Systemd(_) => "systemd".to_owned(),
        Effect::StartChecks(_) => "start checks".to_owned(),
        Effect::Lack { lack, holds, .. } => format!("lack {lack:?}: {holds}"),
        Effect::CheckAgain(_) => "check again".to_owned(),
    };
    effects.into_iter().map(word).collect()
}

/// The end of a hook of the first group, at epoch 7. `ok`: whether it counts as a success.
fn ended(current: &Current, occasion: Occasion, ok: bool, failures: &[&str]) -> Ended {
    let failures = failures.iter().map(|&failure| failure.to_owned()).collect();
    Ended { key: current.config.groups[0].key, occasion, epoch: Epoch(7), ok, failures }
}

#[test]
fn the_end_of_a_hook_is_told_to_people_then_to_the_checks_then_to_the_engine() {
    let current = current(&["web"]);
    let numbering = Numbering(&current.config);
    let failed = ended(&current, Occasion::BeforeOpen, false, &["no such file"]);
    let order = Order::Hook { group: GroupId(0), hook: Hook::BeforeOpen, epoch: Epoch(7), ok: false };
    assert_eq!(
        words(hooks::handle_ended(failed, &current, numbering)),
        ["event hook_failed: web: before_open: no such file", "check again", &format!("order {order:?}")]
    );
    let unawaited = ended(&current, Occasion::AfterOpen, true, &[]);
    assert_eq!(words(hooks::handle_ended(unawaited, &current, numbering)), ["check again"]);
}

#[test]
fn orders_number_groups_as_the_configuration_that_was_ordered_last() {
    let present = current(&["web", "mail"]);
    let ordered = current(&["mail", "news"]);
    let numbering = Numbering(&ordered.config);
    let key = |at: usize| present.config.groups[at].key;
    assert_eq!((numbering.of(key(0)), numbering.of(key(1))), (None, Some(GroupId(0))));
    assert_eq!(numbering.named("news"), Ok(GroupId(1)));
    assert_eq!(numbering.named("web"), Err("no group \"web\"; there is mail, news".to_owned()));
    // A hook of a group that is about to be removed: the engine does not wait for it any more.
    let removed = ended(&present, Occasion::BeforeOpen, true, &[]);
    assert_eq!(words(hooks::handle_ended(removed, &present, numbering)), ["check again"]);
}

/// The response that has arrived, if any: whether the command succeeded, and the sentence.
fn sentence(answered: &mut oneshot::Receiver<Answer>) -> Option<(bool, String)> {
    match answered.try_recv().ok()? {
        Answer::One(response) => match *response {
            Response::Outcome(outcome) => Some((outcome.ok, outcome.message)),
            other => panic!("{other:?}"),
        },
        Answer::Events(..) => panic!("no events were asked for"),
    }
}

#[test]
fn a_command_is_answered_when_the_engine_has_replied_and_a_wrong_name_at_once() {
    let current = current(&["web"]);
    let numbering = Numbering(&current.config);
    let mut calls = Calls::new(mpsc::channel(1).1);
    let now = MonoTime(1_000_000_000);
    let wish = |group: &str| Wish {
        group: group.to_owned(),
        command: Command::Pause,
        done: "paused on a".to_owned(),
        durable: false,
        until: None,
    };

    let (answer, mut answered) = oneshot::channel();
    assert_eq!(words(calls.handle_wish(wish("wep"), answer, numbering)), [""; 0]);
    assert_eq!(sentence(&mut answered), Some((false, "no group \"wep\"; there is web".to_owned())));

    let mut replied = |outcome| {
        let (answer, mut answered) = oneshot::channel();
        let effects = calls.handle_wish(wish("web"), answer, numbering);
        let Some(Effect::Order(Order::Command { id, command })) = effects.into_iter().next() else {
            panic!("a command is an order")
        };
        assert_eq!(command, Command::Pause(GroupId(0)));
        assert_eq!(sentence(&mut answered), None);
        calls.handle_reply(id, outcome, now);
        sentence(&mut answered)
    };
    assert_eq!(replied(Outcome::Done), Some((true, "web: paused on a".to_owned())));
    assert_eq!(replied(Outcome::AlreadySo), Some((true, "web: it already is so".to_owned())));
}

/// A call of an order to pause "web" that began; the number of the order, and the way of the answer.
fn begin_pause(calls: &mut Calls, current: &Current, until: Option<MonoTime>) -> (u64, oneshot::Receiver<Answer>) {
    let (answer, answered) = oneshot::channel();
    let (group, done) = ("web".to_owned(), "paused on a".to_owned());
    let wish = Wish { group, command: Command::Pause, done, durable: true, until };
    let effects = calls.handle_wish(wish, answer, Numbering(&current.config));
    match effects.into_iter().next() {
        Some(Effect::Order(Order::Command { id, .. })) => (id, answered),
        _ => panic!("a command is an order"),
    }
}

#[test]
fn a_pause_is_done_when_it_is_on_the_disk_and_a_failure_of_the_disk_is_told() {
    let (current, now) = (current(&["web"]), MonoTime(1_000_000_000));
    let mut calls = Calls::new(mpsc::channel(1).1);
    let (id, mut answered) = begin_pause(&mut calls, &current, None);
    calls.handle_persist(6);
    calls.handle_reply(id, Outcome::Done, now);
    calls.handle_stored(6, &Ok(()));
    assert_eq!(sentence(&mut answered), None, "that state is from before");
    calls.handle_persist(7);
    calls.handle_persist(8);
    calls.handle_stored(7, &Ok(()));
    assert_eq!(sentence(&mut answered), Some((true, "web: paused on a".to_owned())));

    let (id, mut answered) = begin_pause(&mut calls, &current, None);
    calls.handle_reply(id, Outcome::Done, now);
    calls.handle_persist(9);
    assert_eq!(words(calls.handle_tick(now + Duration::from_secs(4))), [""; 0]);
    assert_eq!(sentence(&mut answered), None);
    assert_eq!(words(calls.handle_tick(now + Duration::from_secs(5))), [""; 0]);
    let (ok, told) = sentence(&mut answered).expect("the disk does not answer");
    assert!(!ok && told.contains("web: paused on a, but that is not on the disk"), "{told}");
}

#[test]
fn an_order_whose_client_waits_no_longer_is_given_up() {
    let (current, until) = (current(&["web"]), MonoTime(1_000_000_000));
    let mut calls = Calls::new(mpsc::channel(1).1);
    let abandoned = |effects: Effects| -> Vec<u64> {
        let of = |effect| match effect {
            Effect::Order(Order::Command { id, command: Command::Abandon }) => id,
            _ => panic!("nothing but orders to give up"),
        };
        effects.into_iter().map(of).collect()
    };
    let (id, mut answered) = begin_pause(&mut calls, &current, Some(until));
    assert_eq!(abandoned(calls.handle_tick(MonoTime(until.0 - 1))), [0; 0]);
    assert_eq!(abandoned(calls.handle_tick(until)), [id]);
    assert_eq!(sentence(&mut answered), Some((false, "web: it was not done in time, and is given up".to_owned())));

    let (id, answered) = begin_pause(&mut calls, &current, None);
    drop(answered);
    assert_eq!(abandoned(calls.handle_tick(until)), [id], "its client went away");
    assert_eq!(abandoned(calls.handle_tick(until)), [0; 0], "once");
}

#[test]
fn a_node_without_a_peer_mirrors_to_nobody() {
    let mut current = current(&["web"]);
    let setup = thread_setup(&current.config, &current.keys).expect("a pair has a peer");
    assert_eq!((setup.me, setup.peer), (NodeId(1), NodeId(2)));
    current.config.nodes.truncate(1);
    assert!(thread_setup(&current.config, &current.keys).is_none());
}

#[test]
fn people_are_told_of_a_failed_socket_at_once_and_not_again_soon() {
    in_netns(|| {
        let current = current(&["web"]);
        let link = LinkId { peer: NodeId(2), path: LinkPath::Udp(0) };
        let mut paths = Paths::new(&[link]);
        let error = std::io::Error::from_raw_os_error(libc::ECONNABORTED);
        // There is no address 10.0.0.1: no socket can be opened.
        let mut told = |now| words(paths.handle_failed(link, &error, &current, MonoTime(now)));
        let first = told(0);
        assert_eq!(first.len(), 1);
        assert!(first[0].starts_with("event link_socket_failed: the socket of link 0 to b failed ("), "{first:?}");
        assert!(told(1).is_empty());
    });
}

#[test]
fn a_failed_link_is_told_even_if_the_ring_was_full() {
    let (mut slow, mut hot, _) = orders::queues(&[]).expect("descriptors");
    let link = |index| LinkId { peer: NodeId(2), path: LinkPath::Udp(index) };
    let error = || std::io::Error::from_raw_os_error(libc::ECONNABORTED);
    while slow.tales.slots() < slow.tales.buffer().capacity() {
        hot.publish(Tale::Stopped);
    }
    for index in [0, 1, 0] {
        hot.publish_failed_link(link(index), error());
    }
    let mut take = || -> Vec<LinkId> {
        let tales = std::iter::from_fn(|| slow.tales.pop().ok());
        tales.filter_map(|tale| if let Tale::LinkFailed { link, .. } = tale { Some(link) } else { None }).collect()
    };
    assert!(take().is_empty(), "there was no room");
    hot.catch_up();
    let mut told = take();
    told.sort();
    assert_eq!(told, [link(0), link(1)], "each once");
}

#[test]
fn what_a_group_lacks_is_joined_told_when_it_changes_and_told_again_after_a_reload() {
    let before = current(&["web", "mail"]);
    let (web, mail) = (before.config.groups[0].key, before.config.groups[1].key);
    let numbering = Numbering(&before.config);
    let mut table = LackTable::default();
    let both = Lacks::ADDRESS.and(Lacks::REACH);
    let told = |order: Option<Order>| order.map(|order| format!("{order:?}"));
    let order = |group: u16, lacks: Lacks| Some(format!("{:?}", Order::Lacks { group: GroupId(group), lacks }));
    assert_eq!(told(table.note(web, Lacks::ADDRESS, true, numbering)), order(0, Lacks::ADDRESS));
    assert_eq!(told(table.note(web, Lacks::ADDRESS, true, numbering)), None);
    assert_eq!(told(table.note(web, Lacks::REACH, true, numbering)), order(0, both));
    assert_eq!(told(table.note(mail, Lacks::REACH, true, numbering)), order(1, Lacks::REACH));
    assert_eq!(told(table.note(web, Lacks::REACH, false, numbering)), order(0, Lacks::ADDRESS));
    assert_eq!((table.of(web), table.of(mail)), (Lacks::ADDRESS, Lacks::REACH));

    let after = current(&["news", "web"]);
    let orders = table.reconfigure(&after, Numbering(&after.config));
    assert_eq!(orders.into_iter().map(|order| told(Some(order))).collect::<Vec<_>>(), [order(1, Lacks::ADDRESS)]);
    assert_eq!(table.of(mail), Lacks::NONE);
}
