//! An operator's day on booted systems: reboot under load, and a reload that is refused.

use super::room::{AGENT, Room};
use crate::lab::{Server, clock};
use crate::probe::oracle::Expected;
use crate::probe::web::{Requests, Web};
use crate::scene::GROUP;
use std::time::Duration;
use vipair::types::MonoTime;

/// A web server that stops as slowly as an application can: it listens no more at once, and ends
/// seconds later.
const SERVER: &str = r#"
use IO::Socket::INET;
my $name = shift;
my $listener = IO::Socket::INET->new(LocalAddr => "10.0.0.100", LocalPort => 80, Listen => 512, ReuseAddr => 1) or die "listen: $!";
$SIG{TERM} = sub { close $listener; sleep 6; exit 0 };
while (1) {
    my $client = $listener->accept() or next;
    sysread $client, my $request, 4096;
    print $client "HTTP/1.1 200 OK\r\n\r\n$name";
    close $client;
}
"#;
/// Its unit, ordered as the guide says.
const UNIT: &str = "[Unit]\nAfter=vipair.service\nWants=vipair.service\n[Service]\nExecStart=/usr/bin/perl /files/web.pl NAME\n\
                    [Install]\nWantedBy=multi-user.target\n";

/// Installs the slow web server on both machines and starts it.
fn install_slow_service(room: &Room) {
    std::fs::write(room.files().join("web.pl"), SERVER).expect("write a program");
    for server in Server::BOTH {
        let machine = room.machine(server);
        let unit = UNIT.replace("NAME", server.name());
        machine.run(&["sh", "-c", "printf %s \"$0\" >/etc/systemd/system/web.service", &unit]);
        machine.run(&["systemctl", "enable", "--quiet", "--now", "web.service"]);
    }
}

/// Begins to ask the service 100 times a second, and waits for the first answers.
fn ask(room: &Room) -> Web {
    let web = Web::start(&room.lab, &[room.asker.target()], 100);
    room.wait("answers of the service", |room| {
        let machine = room.machine(Server::Alpha);
        let said = || machine.run(&["journalctl", "--no-pager", "--unit=web.service"]);
        assert_eq!(machine.property("web.service", "ActiveState"), "active", "{}", said());
        web.since(MonoTime::ZERO).answered_by(Server::Alpha) > 20
    });
    web
}

/// Ends the asking a second later, and returns all requests.
fn answers(room: &Room, web: Web) -> Requests {
    let later = clock::now() + Duration::from_secs(1);
    room.wait("a second to pass", |_| clock::now() > later);
    web.finish()
}

// L3: whatever is ordered after the agent, and however long it takes to stop
#[test]
fn reboot_and_power_off_of_the_active_under_load_lose_nothing() {
    let mut room = Room::pair();
    install_slow_service(&room);
    let web = ask(&room);
    room.shut_down(Server::Alpha, "reboot");
    room.power_on(Server::Alpha);
    room.wait_complete(Server::Beta);
    room.shut_down(Server::Beta, "poweroff");
    let requests = answers(&room, web);
    assert!(
        requests.answered_by(Server::Alpha) > 100 && requests.answered_by(Server::Beta) > 100,
        "both have served"
    );
    assert_eq!(requests.lost(), [], "of {} requests", requests.0.len());
    println!("{} requests, slowest {:?}", requests.0.len(), requests.slowest());
    room.finish(&Expected::owner(Server::Alpha).handover().handover());
}

// The control: the service is gone for as long as it takes to stop when nothing hands over before
#[test]
fn without_the_unit_for_it_a_reboot_loses_what_comes_while_the_service_stops() {
    let mut room = Room::pair();
    let nothing = "mkdir $0.d && printf '[Service]\\nExecStop=\\n' >$0.d/none.conf && systemctl daemon-reload";
    let unit = "/etc/systemd/system/vipair-handover.service";
    room.machine(Server::Alpha).run(&["sh", "-c", nothing, unit]);
    install_slow_service(&room);
    let web = ask(&room);
    room.shut_down(Server::Alpha, "reboot");
    let lost = answers(&room, web).lost().len();
    assert!(lost > 100, "{lost} lost while the service took six seconds");
    room.finish(&Expected::owner(Server::Alpha).handover());
}

// A refused reload: systemctl fails, and everybody who looks is told until file and agent agree
#[test]
fn refused_reload_is_seen_by_systemctl_and_status_and_doctor_until_it_is_mended() {
    let room = Room::pair();
    let (alpha, epoch) = (room.machine(Server::Alpha), room.epoch(Server::Alpha));
    let warned = |word: &str| alpha.run(&["vipair", "status"]).contains(word);
    let doctor = || alpha.run(&["sh", "-c", "vipair doctor || true"]);
    assert!(!warned("vipair.toml"), "nothing is wrong yet");

    alpha.run(&["sh", "-c", "echo 'no such key' >> /etc/vipair/vipair.toml"]);
    assert!(warned("was changed after it was read"), "{}", alpha.run(&["vipair", "status"]));
    let refused = alpha.try_run(&["systemctl", "reload", AGENT]).expect_err("the file is broken");
    assert!(refused.contains("failed"), "{refused}");
    assert!(warned("reload refused"), "{}", alpha.run(&["vipair", "status"]));
    assert!(doctor().contains("reload refused"), "{}", doctor());
    let told = alpha.try_run(&["vipair", "reload"]).expect_err("it still is");
    assert!(told.contains("vipair.toml:") && told.contains("is no TOML"), "where and what: {told}");
    assert_eq!(
        (room.epoch(Server::Alpha), alpha.property(AGENT, "ActiveState")),
        (epoch.clone(), "active".to_owned())
    );

    alpha.run(&["cp", "/files/vipair.toml", "/etc/vipair/"]);
    alpha.run(&["systemctl", "reload", AGENT]);
    assert!(!warned("vipair.toml") && !doctor().contains("reload refused"), "{}", doctor());
    assert!(alpha.run(&["vipair", "reload"]).contains("nothing changes"));
    assert_eq!(room.epoch(Server::Alpha), epoch);
    room.finish(&Expected::owner(Server::Alpha));
}

// A node that has left says so, takes no part, and comes back by a restart
#[test]
fn node_that_leaves_hands_over_and_comes_back_by_a_restart() {
    let room = Room::pair();
    let alpha = room.machine(Server::Alpha);
    assert!(alpha.run(&["vipair", "leave"]).contains("left"));
    room.wait_answered_by(Server::Beta);
    assert_eq!(alpha.property(AGENT, "ActiveState"), "active", "its process stays, for whatever needs the unit");
    let refused = alpha.try_run(&["vipair", "switch", GROUP]).expect_err("it takes no part");
    assert!(refused.contains("has left") && refused.contains("systemctl restart vipair"), "{refused}");
    alpha.run(&["systemctl", "restart", AGENT]);
    room.wait_complete(Server::Beta);
    room.finish(&Expected::owner(Server::Alpha).handover());
}
