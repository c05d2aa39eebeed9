//! vipair and what people use today, in the same lab under the same faults.
//!
//! Owns: the list of contenders and their settings. Never does: favouring: every contender gets its
//! best configuration, and all of them are on the page.

mod course;
mod keepalived;
mod own;
mod pacemaker;
mod room;
mod scale;
mod site;
mod table;
mod ucarp;
mod vrrpd;

use super::record::Results;
use super::{Block, Topic, remark};
use crate::lab::Server;
use crate::scene::ADDRESS6;
use course::{Contender, Course, Pace};
use keepalived::Keepalived;
use own::Own;
use pacemaker::Pacemaker;
pub use scale::TOPIC as SCALE;
use site::Site;
pub use table::three_numbers;
use ucarp::Ucarp;
use vrrpd::Vrrpd;

/// All contenders under all faults.
pub const TOPIC: Topic = Topic {
    blocks: &[
        Block::new("fast", 100, || run_own("fast", "fast", false, 600)).beside(2),
        Block::new("keepalived-fast", 100, || {
            run_rival("keepalived-fast", Box::new(Keepalived::new(keepalived::FASTEST)), Pace::new(600, 300, 100));
        })
        .of_rivals(2),
        Block::new("vrrpd-fast", 100, || {
            run_rival("vrrpd-fast", Box::new(Vrrpd::new(vrrpd::FASTEST)), Pace::new(600, 300, 100));
        })
        .of_rivals(2),
        Block::new("pacemaker-fast", 100, || {
            run_rival("pacemaker-fast", Box::new(Pacemaker::new(pacemaker::FASTEST)), Pace::new(2_500, 500, 1_000));
        })
        .of_rivals(1),
        Block::new("ucarp-fast", 100, || {
            run_rival("ucarp-fast", Box::new(Ucarp::new(ucarp::FASTEST)), Pace::new(3_500, 1_500, 1_000));
        })
        .of_rivals(7),
        Block::new("witness-fast", 100, || run_own("witness-fast", "fast", true, 600)).beside(2),
        Block::new("lan", 100, || run_own("lan", "lan", false, 1_000)).beside(4),
        Block::new("witness-lan", 100, || run_own("witness-lan", "lan", true, 1_000)).beside(4),
        Block::new("keepalived-default", 100, || {
            run_rival(
                "keepalived-default",
                Box::new(Keepalived::new(keepalived::DEFAULT)),
                Pace::new(5_000, 1_500, 1_000),
            );
        })
        .of_rivals(10),
        Block::new("vrrpd-default", 100, || {
            run_rival("vrrpd-default", Box::new(Vrrpd::new(vrrpd::DEFAULT)), Pace::new(5_000, 1_500, 1_000));
        })
        .of_rivals(10),
        Block::new("ucarp-default", 100, || {
            run_rival("ucarp-default", Box::new(Ucarp::new(ucarp::DEFAULT)), Pace::new(6_000, 1_500, 1_000));
        })
        .of_rivals(10),
        Block::new("pacemaker-default", 100, || {
            run_rival(
                "pacemaker-default",
                Box::new(Pacemaker::new(pacemaker::DEFAULT)),
                Pace::new(15_000, 1_500, 10_000),
            );
        })
        .of_rivals(5),
    ],
    sections: table::sections,
    configuration,
};

/// Whether there is a tree with the contenders' packages.
pub fn are_there() -> bool {
    room::packages_tree().is_some()
}

/// Runs vipair through the course.
fn run_own(key: &'static str, profile: &'static str, is_witnessed: bool, watched: u64) {
    let pace = Pace::new(watched, 200, 200);
    Course::begin(key, Site::build(is_witnessed, &[ADDRESS6]), Box::new(Own::new(profile, is_witnessed)), pace).run();
}

/// Runs another contender through the course.
fn run_rival(key: &'static str, contender: Box<dyn Contender>, pace: Pace) {
    remark("versions", &package_versions());
    Course::begin(key, Site::build(false, &[]), contender, pace).run();
}

/// Versions of the contenders' Debian packages.
fn package_versions() -> String {
    let path = room::packages_tree().expect("only called when it is there").join("var/lib/dpkg/status");
    let status = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    let of = |package: &str| {
        let part = status.split("\n\n").find(|part| part.starts_with(&format!("Package: {package}\n")))?;
        let version = part.lines().find_map(|line| line.strip_prefix("Version: "))?;
        Some(format!("{package} {version}"))
    };
    let packages = ["keepalived", "frr", "ucarp", "pacemaker", "corosync", "resource-agents"];
    packages.into_iter().filter_map(of).collect::<Vec<_>>().join(", ")
}

/// Configurations of all contenders, for the end of the page.
fn configuration(results: &Results) -> String {
    let mut text = format!("All from Debian's packages: {}.\n", results.remark("versions").unwrap_or("not measured"));
    let mut show = |title: &str, language: &str, config: &str| {
        text += &format!("\n{title}:\n\n```{language}\n{}\n```\n", config.trim_end());
    };
    let (web, pidfile) = ("nginx", "/run/nginx.pid");
    let bare = own::config("fast", false, web, pidfile);
    show("vipair, profile `fast`; for `lan` the profile's name is the only difference", "toml", &bare);
    let all = own::config("fast", true, web, pidfile);
    let more: Vec<&str> = all.lines().filter(|line| !bare.lines().any(|other| other == *line)).collect();
    show("With a witness the file has besides", "toml", &more.join("\n"));
    let config = |advert| keepalived::config(advert, Server::Alpha, "alpha", web);
    show(
        "keepalived on alpha, fastest; with `advert_int 1` as its default, on beta with priority 253",
        "",
        &config(keepalived::FASTEST),
    );
    show(
        "FRR on alpha, fastest; with 1000 as its default, on beta with priority 253",
        "",
        &vrrpd::config(vrrpd::FASTEST, Server::Alpha),
    );
    show("The interface it needs, in lines of `ip`", "", &vrrpd::interface());
    show(
        "ucarp on alpha, fastest; with `-r 3` as its default, on beta with `-k 1`",
        "",
        &ucarp::command_line(ucarp::FASTEST, Server::Alpha).join(" "),
    );
    show(
        "corosync, fastest; its default is without `token` and `join`",
        "",
        &pacemaker::corosync(pacemaker::FASTEST.0),
    );
    show(
        "Pacemaker; monitored every 10s as its default. `lab:running` is an agent whose monitor asks whether nginx's process is there",
        "xml",
        &pacemaker::resources(pacemaker::FASTEST.1),
    );
    text
}
