//! The play: six things that happen to a pair, and whether the product kept its promise each time.
//!
//! Owns: the acts, their promises, and the verdicts. Never does: hiding a failure. A broken promise
//! is printed as such, and the play as a whole fails. After the last act the oracle checks the
//! frames of every switch port once more.

use super::screen::{Screen, Tone, gap_ms};
use crate::lab::program::program;
use crate::lab::{Server, clock};
use crate::probe::oracle::Expected;
use crate::probe::web::{Requests, Web};
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vipair::types::MonoTime;

/// Timing profile of the pair.
const PROFILE: &str = "fast";
/// Number of pages that the web client fetches in a second.
const PER_SECOND: u32 = 500;
/// Room for a busy machine on top of a bound of the design.
const SLACK: Duration = Duration::from_millis(80);

/// The promise of an act.
struct Promise {
    /// Longest time that a client may go unanswered.
    gap: Duration,
    /// Whether no request may be lost.
    lossless: bool,
    /// Text for people.
    words: &'static str,
}

/// The play, from one act to the next.
struct Play {
    scene: Scene,
    screen: Screen,
    web: Web,
    /// The server that answered at the end of the last act.
    active: Server,
    /// The owners of the addresses so far, which the oracle must see.
    expected: Expected,
    /// Number of promises that were kept.
    kept: usize,
    /// Number of promises that were broken.
    broken: usize,
    /// Number of the present act, from 1.
    act: u32,
}

/// Performs all acts. True if every promise was kept.
pub fn play(keep_as: Option<(String, PathBuf)>) -> bool {
    let mut screen = Screen::new();
    screen.print_line(&screen.paint(Tone::Bold, "vipair: two servers, one address"));
    screen.print_line(&format!(
        "  a switch, two servers, a client and a neighbour, each in a network namespace; nginx on both servers, bound to\n  \
         {ADDRESS} and {ADDRESS6}; profile {PROFILE}; a client asks who has each address every millisecond and\n  \
         fetches a page {PER_SECOND} times a second.\n"
    ));
    let keep = keep_as.is_some();
    let mut setup = Setup::of(PROFILE).services().alone();
    setup.plan.keep_as = keep_as;
    let scene = Scene::start(setup);
    let web = scene.start_web(PER_SECOND);
    let expected = Expected::owner(Server::Alpha);
    let mut play = Play { scene, screen, web, active: Server::Alpha, expected, kept: 0, broken: 0, act: 0 };
    play.screen.print_legend();
    play.switch_planned();
    play.cut_off_active();
    play.kill_agent();
    play.freeze_agent();
    play.drop_carrier();
    play.reboot_both();
    play.conclude(keep)
}

impl Play {
    /// Prints an act's title, begins its strip, and shows it for a moment; returns when the act
    /// began.
    fn begin_act(&mut self, title: &str) -> MonoTime {
        self.act += 1;
        let title = format!("\n{}. {title}", self.act);
        self.screen.print_line(&self.screen.paint(Tone::Bold, &title));
        self.screen.begin_strip();
        let from = clock::now();
        self.screen.show_for(&self.scene, Duration::from_millis(600));
        from
    }

    /// Shows the strip until `condition` holds, and for `time` at least.
    fn watch_until(&mut self, what: &str, time: Duration, mut condition: impl FnMut(&mut Scene) -> bool) {
        self.screen.show_for(&self.scene, time);
        let limit = clock::now() + crate::scene::PATIENCE;
        while !condition(&mut self.scene) {
            assert!(clock::now() < limit, "waited in vain for: {what}");
            self.screen.show_for(&self.scene, Duration::from_millis(80));
        }
    }

    /// Shows the strip until a server is a ready standby.
    fn watch_until_ready(&mut self, server: Server) {
        self.watch_until("a ready standby", Duration::from_millis(300), |s| {
            let status = s.agent(server).status();
            status.is_ok_and(|status| status.text(GROUP, "role") == "standby" && status.is_ready(GROUP))
        });
    }

    /// Prints the table of an act that began at `from`, and counts its promise as kept or broken.
    /// `after`: the server that is to answer now.
    fn finish_act(&mut self, from: MonoTime, did: &str, after: Option<Server>, promise: &Promise) {
        self.screen.show_for(&self.scene, Duration::from_millis(200));
        let to = clock::now();
        let (mut gap, mut both, mut gaps) = (Duration::ZERO, 0, Vec::new());
        let first = self.scene.answers(from);
        let (before, now) = (first.first_server(), first.last_server());
        for asker in &self.scene.askers {
            let answers = asker.since(from);
            gap = gap.max(answers.longest_gap().length());
            both += answers.answered_twice().len();
            gaps.push(format!("{} {}", asker.target(), gap_ms(&answers)));
        }
        // Requests that were begun in this act; those that hang end within their limit, or count as
        // lost.
        let requests = self.ended_requests(from, to);
        let lost = requests.lost().len();
        let as_promised = gap <= promise.gap && both == 0 && (!promise.lossless || lost == 0) && now == after;
        let tone = |good: bool| if good { Tone::Green } else { Tone::Red };
        let row = |name: &str, text: String| format!("  {name:<9} {text}");
        let screen = &self.screen;
        let lines = [
            row("did", did.to_owned()),
            row("answered", format!("before: {}   after: {}", screen.server_name(before), screen.server_name(now))),
            row(
                "gap",
                format!(
                    "{} the longest a client saw ({})",
                    screen.paint(tone(gap <= promise.gap), &format!("{:.0} ms", gap.as_secs_f64() * 1e3)),
                    gaps.join(", ")
                ),
            ),
            row(
                "requests",
                format!(
                    "{} sent, {} lost; longest time without a page {:.0} ms",
                    requests.0.len(),
                    screen.paint(tone(!promise.lossless || lost == 0), &lost.to_string()),
                    requests.longest_gap().as_secs_f64() * 1e3
                ),
            ),
            row("both", format!("answered for {}", screen.paint(tone(both == 0), &format!("{both} ms")))),
            row("promised", format!("{}: {}", promise.words, self.verdict_word(as_promised))),
        ];
        lines.iter().for_each(|line| self.screen.print_line(line));
        if as_promised {
            self.kept += 1;
        } else {
            self.broken += 1;
        }
        self.active = after.unwrap_or(self.active);
    }

    /// Word for a promise that was kept or broken, in its colour.
    fn verdict_word(&self, kept: bool) -> String {
        if kept { self.screen.paint(Tone::Green, "kept") } else { self.screen.paint(Tone::Alarm, "BROKEN") }
    }

    /// The requests begun between two instants, once each has ended.
    fn ended_requests(&mut self, from: MonoTime, to: MonoTime) -> Requests {
        loop {
            let mut requests = self.web.since(from);
            requests.0.retain(|r| r.at < to);
            if requests.0.iter().all(|r| r.end.is_some()) {
                return requests;
            }
            self.screen.show_for(&self.scene, Duration::from_millis(80));
        }
    }

    /// Act: a planned switch.
    fn switch_planned(&mut self) {
        let (old, new) = (self.active, self.active.other());
        let from = self.begin_act("Planned switch");
        self.screen.print_remark(&self.scene, &format!("vipair switch {GROUP}, typed on {}", old.name()));
        self.scene.lab.note("planned switch");
        self.scene.agent(old).command(&["switch", GROUP]).unwrap_or_else(|cause| panic!("{cause}"));
        self.screen.show_for(&self.scene, Duration::from_millis(1_600));
        self.watch_until_ready(old);
        self.expected = self.expected.clone().handover();
        let promise =
            Promise { gap: SLACK, lossless: true, words: "no request lost, no gap to speak of, never both" };
        self.finish_act(from, "planned switch", Some(new), &promise);
    }

    /// Act: the active server vanishes from the network and comes back.
    fn cut_off_active(&mut self) {
        let (old, new) = (self.active, self.active.other());
        let from = self.begin_act("The active server vanishes from the network");
        self.screen.print_remark(&self.scene, &format!("all cables of {} are pulled; its agent goes on", old.name()));
        let cut = self.scene.cut_off(old);
        self.screen.show_for(&self.scene, Duration::from_millis(1_400));
        self.expected = self.expected.clone().takeover();
        self.screen
            .print_remark(&self.scene, &format!("the cables of {} are back, the heartbeat's first", old.name()));
        self.scene.lab.join(&[old.second_link()]);
        self.watch_until_not_active(old);
        let joined = self.scene.lab.join(&[old.port()]);
        self.scene.excuse_claims(old, cut, joined);
        self.watch_until_ready(old);
        let promise = Promise {
            gap: Duration::from_millis(19) + SLACK,
            lossless: false,
            words: "takeover after 8 to 19 ms, a late wake-up on top; never both",
        };
        self.finish_act(from, &format!("{} cut off, then plugged in again", old.name()), Some(new), &promise);
    }

    /// Shows the strip until the server that was cut off is not active any more. It need not be
    /// ready, because its cable to the segment is still out.
    fn watch_until_not_active(&mut self, server: Server) {
        self.watch_until("the former active to let go", Duration::from_millis(200), |s| {
            s.agent(server).status().is_ok_and(|status| status.text(GROUP, "role") != "active")
        });
    }

    /// Act: the agent of the active server is killed and started again.
    fn kill_agent(&mut self) {
        let (old, new) = (self.active, self.active.other());
        let from = self.begin_act("The agent of the active server is killed (SIGKILL)");
        self.screen.print_remark(
            &self.scene,
            &format!("kill -9 of the agent on {}; its kernel serves on, for a lease", old.name()),
        );
        self.scene.kill_agent(old);
        self.screen.show_for(&self.scene, Duration::from_millis(1_400));
        self.expected = self.expected.clone().takeover();
        self.screen.print_remark(&self.scene, &format!("the agent of {} is started again", old.name()));
        self.scene.start_agent(old);
        self.watch_until_ready(old);
        self.finish_act(from, &format!("SIGKILL to the agent of {}", old.name()), Some(new), &crash_promise());
    }

    /// Act: the agent of the active server stands still for 1.4 s (SIGSTOP, SIGCONT).
    fn freeze_agent(&mut self) {
        let (old, new) = (self.active, self.active.other());
        let from = self.begin_act("The agent of the active server is stopped and continued (SIGSTOP, SIGCONT)");
        self.screen.print_remark(&self.scene, &format!("kill -STOP of the agent on {}", old.name()));
        let (agent, lab) = self.scene.agent_mut(old);
        agent.signal(lab, Signal::SIGSTOP);
        self.screen.show_for(&self.scene, Duration::from_millis(1_400));
        self.expected = self.expected.clone().takeover();
        self.screen.print_remark(
            &self.scene,
            &format!("kill -CONT: {} wakes up and believes that nothing happened", old.name()),
        );
        let (agent, lab) = self.scene.agent_mut(old);
        agent.signal(lab, Signal::SIGCONT);
        self.watch_until_ready(old);
        self.finish_act(from, &format!("the agent of {} stopped for 1.4 s", old.name()), Some(new), &crash_promise());
    }

    /// Act: the interface of the active server loses carrier and gets it back.
    fn drop_carrier(&mut self) {
        let (old, new) = (self.active, self.active.other());
        let from = self.begin_act("The active server's interface loses carrier");
        self.screen.print_remark(
            &self.scene,
            &format!("the switch port of {} goes dark; the heartbeat link is left", old.name()),
        );
        self.scene.lab.carrier_down(&[old.port()]);
        self.screen.show_for(&self.scene, Duration::from_millis(1_400));
        self.expected = self.expected.clone().takeover();
        self.screen.print_remark(&self.scene, "carrier is back");
        self.scene.lab.carrier_up(&[old.port()]);
        self.watch_until_ready(old);
        let promise = Promise {
            gap: Duration::from_millis(15) + SLACK,
            lossless: false,
            words: "given away at once, without waiting for silence; never both",
        };
        self.finish_act(from, &format!("carrier of {} down for 1.4 s", old.name()), Some(new), &promise);
    }

    /// Act: both servers lose power and boot.
    fn reboot_both(&mut self) {
        let from = self.begin_act("Both servers reboot");
        self.screen.print_remark(&self.scene, "power is lost: processes, interfaces and gates are gone, disks stay");
        let old = self.active;
        for server in Server::BOTH {
            self.scene.power_off(server);
        }
        self.screen.show_for(&self.scene, Duration::from_millis(800));
        self.screen.print_remark(&self.scene, "power is back");
        let back = clock::now();
        for server in Server::BOTH {
            self.scene.power_on(server);
        }
        for server in Server::BOTH {
            self.scene.start_service(server);
        }
        self.watch_until("one active and one ready standby", Duration::from_millis(600), |s| {
            let mut roles = s.roles(GROUP);
            roles.sort();
            roles == ["active", "standby"]
        });
        let now = self.scene.wait_one_active(GROUP);
        self.watch_until_ready(now.other());
        if now != old {
            self.expected = self.expected.clone().takeover();
        }
        let gap = back.since(from) + Duration::from_secs(10);
        let promise = Promise { gap, lossless: false, words: "one active within 10 s of power; never both" };
        self.finish_act(from, "power loss of both servers", Some(now), &promise);
    }

    /// Ends the play: the verdict over all frames, and how many promises were kept. True if all
    /// were.
    fn conclude(mut self, keep: bool) -> bool {
        let requests = self.web.finish();
        self.screen.print_line(&format!("\n{} requests in all, {} lost", requests.0.len(), requests.lost().len()));
        // Panics if an address was owned otherwise, and so fails the play, with the address's
        // timeline.
        let tenures = self.scene.verdict(&[(GROUP, &self.expected)]);
        self.screen.print_line(&format!(
            "every frame that left the servers was judged: {} owners, one after the other, never two at once",
            tenures.len()
        ));
        let tone = if self.broken == 0 { Tone::Green } else { Tone::Alarm };
        let text = format!("{} of {} promises kept", self.kept, self.kept + self.broken);
        self.screen.print_line(&self.screen.paint(tone, &text));
        if keep && self.broken == 0 {
            print_how_to_play(&self.scene.leave_running());
        }
        self.broken == 0
    }
}

/// Promise of the acts in which the agent alone fails.
fn crash_promise() -> Promise {
    Promise {
        gap: Duration::from_millis(10) + SLACK,
        lossless: false,
        words: "served until the lease ends, then taken over within 10 ms; never both",
    }
}

/// Prints commands for a lab that is left standing.
fn print_how_to_play(dir: &Path) {
    let (vipair, dir) = (program().display().to_string(), dir.display());
    println!(
        "\nThe lab is left standing; its files, logs included, are in {dir}. As root:\n\
         \n  see how it is       {vipair} status --socket {dir}/alpha.sock      (or beta.sock; --watch)\
         \n  move the address    {vipair} switch {GROUP} --socket {dir}/alpha.sock\
         \n  what happened       {vipair} events --follow --socket {dir}/beta.sock\
         \n  be the client       ip netns exec vpdemo-client curl http://{ADDRESS}/\
         \n  ask all the time    ip netns exec vpdemo-client sh -c 'while sleep .2; do curl -sm1 http://{ADDRESS}/; echo; done'\
         \n  cut a server off    for p in alpha alpha-hb; do ip -n vpdemo-switch link set $p nomaster; done\
         \n  plug it in again    ip -n vpdemo-switch link set alpha-hb master heartbeat; ip -n vpdemo-switch link set alpha master segment\
         \n  carrier off, on     ip -n vpdemo-switch link set alpha down             (up)\
         \n  be on a server      ip netns exec vpdemo-alpha bash\
         \n  kill its agent      kill -9 $(pgrep -f 'vipair run.*--node alpha')\
         \n  remove all of it    sudo ./scripts/demo --remove\n"
    );
}
