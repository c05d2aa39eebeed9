//! The comparison on the page: one table of all contenders and faults, then each fault by itself.
//!
//! Owns: the list of figures, their goals, and their tables and pictures. Never does: measuring.
//! The table says which faults a contender offers no means against, and what was not measured.

use super::super::figures::Goal::{Every, Median};
use super::super::figures::Unit::{Count, Milliseconds};
use super::super::figures::{Figure, Plot, Section, Shape, Unit, figure};
use super::super::record::Results;
use std::fmt::Write;

/// Key, name, and name at the head of a column.
type Name = (&'static str, &'static str, &'static str);

const FASTEST: [Name; 6] = [
    ("fast", "vipair `fast`", "vipair"),
    ("witness-fast", "vipair `fast`, witness", "vipair with a witness"),
    ("keepalived-fast", "keepalived, 10 ms", "keepalived"),
    ("vrrpd-fast", "FRR vrrpd, 10 ms", "FRR vrrpd"),
    ("pacemaker-fast", "Pacemaker, token 100 ms", "Pacemaker"),
    ("ucarp-fast", "ucarp, 1 s, ratio 1", "ucarp"),
];

const DEFAULT: [Name; 6] = [
    ("lan", "vipair `lan`", "vipair"),
    ("witness-lan", "vipair `lan`, witness", "vipair with a witness"),
    ("keepalived-default", "keepalived, default", "keepalived"),
    ("vrrpd-default", "FRR vrrpd, default", "FRR vrrpd"),
    ("pacemaker-default", "Pacemaker, default", "Pacemaker"),
    ("ucarp-default", "ucarp, default", "ucarp"),
];

/// A fault: key, title, and how it was done.
struct Fault {
    key: &'static str,
    title: &'static str,
    what: &'static str,
    /// Figures besides the gap.
    more: &'static [More],
}

/// A further figure: its title, its unit, and its key's ending.
type More = (&'static str, Unit, &'static str);

const BOTH: More = ("both answered", Milliseconds, "-both");
const SLOWEST: More = ("slowest request", Milliseconds, "-slowest");
const LOST: More = ("requests lost", Count, "-lost");

const FAULTS: [Fault; 9] = [
    Fault {
        key: "host",
        title: "Host loss",
        what: "The switch drops every frame from and to the active server on all networks.",
        more: &[BOTH, SLOWEST, LOST],
    },
    Fault {
        key: "back",
        title: "The lost server is back",
        what: "It had stood apart from everybody, running, and now the switch forwards its frames again.",
        more: &[BOTH, SLOWEST, LOST],
    },
    Fault {
        key: "kill",
        title: "SIGKILL to the agent",
        what: "All processes of the contender on the active server are killed at once; the server lives. Nobody restarts them.",
        more: &[BOTH, SLOWEST, LOST],
    },
    Fault {
        key: "stop",
        title: "SIGSTOP of the agent",
        what: "They stand still, then SIGCONT; watched until one server answers alone again.",
        more: &[BOTH, SLOWEST, LOST],
    },
    Fault {
        key: "cut",
        title: "Partition and heal",
        what: "The servers do not hear each other on any network, clients (and the witness) hear both; then they do again. The \
               gap is the longest in all that time.",
        more: &[
            ("both answered while apart", Milliseconds, "-both"),
            ("both answered after that", Milliseconds, "heal-both"),
            SLOWEST,
            LOST,
        ],
    },
    Fault {
        key: "switch",
        title: "Planned switch",
        what: "Each contender's own way: `vipair switch`; keepalived is told by its track_file; vrrpd and ucarp are stopped; \
               `crm_resource --move`. The gap is the longest time between two answered requests at 1,000 requests/s.",
        more: &[SLOWEST, LOST, BOTH, ("the gap before the switch, for comparison", Milliseconds, "-quiet")],
    },
    Fault {
        key: "carrier",
        title: "Carrier loss",
        what: "The active server's cable to the clients has no carrier. vipair and corosync have a second link.",
        more: &[BOTH, SLOWEST, LOST],
    },
    Fault {
        key: "service",
        title: "The service dies",
        what: "SIGKILL to nginx on the active server, at 1,000 requests/s. vipair: a check of kind `process`; keepalived: \
               `track_process`; Pacemaker: the monitor of an OCF agent.",
        more: &[SLOWEST, LOST, BOTH],
    },
    Fault {
        key: "witness",
        title: "Witness loss",
        what: "The witness is killed. Nothing is to happen.",
        more: &[BOTH, SLOWEST, LOST],
    },
];

/// Whether a contender offers any means against a fault; keys of both.
fn is_offered(contender: &str, fault: &str) -> bool {
    match fault {
        "service" => !contender.starts_with("vrrpd") && !contender.starts_with("ucarp"),
        "witness" => contender.starts_with("witness"),
        _ => true,
    }
}

/// Key of a figure; an ending without a dash names another fault's figure of the contender.
fn key(contender: &str, fault: &Fault, ending: &str) -> String {
    if ending.starts_with('-') || ending.is_empty() {
        format!("{contender}-{}{ending}", fault.key)
    } else {
        format!("{contender}-{ending}")
    }
}

/// Sections of the page: the comparison, then each fault.
pub fn sections() -> Vec<Section> {
    let mut all = vec![
        Section {
            title: "Compared with what people use today, at the fastest settings".to_owned(),
            text: ABOUT.to_owned(),
            table: Some(|results| format!("{}\n{}", comparison_table(&FASTEST, results), watched_text(results))),
            plots: vec![gap_plot("fastest-host", "Host loss: gap, fastest settings, every run", "host", &FASTEST)],
            ..Section::default()
        },
        Section {
            title: "The same at the default settings".to_owned(),
            text: "Defaults of the timing only; everything else is as above.".to_owned(),
            table: Some(|results| comparison_table(&DEFAULT, results)),
            plots: vec![gap_plot("default-host", "Host loss: gap, default settings, every run", "host", &DEFAULT)],
            ..Section::default()
        },
    ];
    all.extend(FAULTS.iter().map(fault_section));
    all
}

const ABOUT: &str = "\
Each cell: median / largest gap that clients saw, then for how long both servers answered and how many requests were lost,
median / most of all runs; *never* and *none* mean in no run. Every contender has the best configuration we know
([below](#configuration)); who knows a better one, tell us. vipair's gap is the worse of IPv4 and IPv6, the others' is IPv4's
alone. *Not offered*: it has nothing against this fault. A contender that leaves both servers answering shows a small gap:
clients get answers, from two servers at once.";

/// Table of all faults by these contenders.
fn comparison_table(contenders: &[Name], results: &Results) -> String {
    let mut text = "| |".to_owned();
    for (.., column) in contenders {
        // Writing to a String cannot fail.
        let _ = write!(text, " {column} |");
    }
    text += "\n|---|";
    contenders.iter().for_each(|_| text += "---|");
    text.push('\n');
    for fault in &FAULTS {
        let _ = write!(text, "| {} |", fault.title);
        for (contender, ..) in contenders {
            let _ = write!(text, " {} |", comparison_cell(contender, fault, results));
        }
        text.push('\n');
    }
    text
}

/// Cell of [`comparison_table`] in Markdown: the gap's median and largest, then the further figures
/// that matter for the fault; or that the contender does not offer it, or was not measured.
fn comparison_cell(contender: &str, fault: &Fault, results: &Results) -> String {
    if !is_offered(contender, fault.key) {
        return "not offered".to_owned();
    }
    let Some(gap) = results.spread(&key(contender, fault, "")) else { return "not measured".to_owned() };
    let mut text = format!("**{}** / {}", Milliseconds.show(gap.median()), Milliseconds.show(gap.max()));
    let mut told = |what: &str, ending: &str, unit: Unit| {
        if let Some(spread) = results.spread(&key(contender, fault, ending)) {
            let (median, most) = (unit.show(spread.median()), unit.show(spread.max()));
            let value = if spread.max() == 0.0 { "never".to_owned() } else { format!("{median} / {most}") };
            let _ = write!(text, "<br>{what}{value}");
        }
    };
    match fault.key {
        "switch" | "service" => {
            told("slowest request: ", "-slowest", Milliseconds);
            told("lost: ", "-lost", Count);
            told("both: ", "-both", Milliseconds);
        }
        "cut" => {
            told("both: ", "-both", Milliseconds);
            told("after: ", "heal-both", Milliseconds);
            told("lost: ", "-lost", Count);
        }
        _ => {
            told("both: ", "-both", Milliseconds);
            told("lost: ", "-lost", Count);
        }
    }
    text.replace("lost: never", "lost: none")
}

/// The table of the README; `None` unless all of it was measured.
pub fn three_numbers(results: &Results) -> Option<String> {
    let of = |key: &str| results.spread(key);
    let time = |value: f64| Milliseconds.show(value);
    let gap = |contender: &str, fault: &str| {
        let spread = of(&format!("{contender}-{fault}"))?;
        Some(format!("{} / {}", time(spread.median()), time(spread.max())))
    };
    let both = |contender: &str, fault: &str| {
        let spread = of(&format!("{contender}-{fault}-both"))?;
        Some(if spread.max() == 0.0 { "never two".to_owned() } else { format!("two for {}", time(spread.median())) })
    };
    let lost = |contender: &str| {
        let slowest = time(of(&format!("{contender}-switch-slowest"))?.max());
        Some(format!("{} lost, the slowest {slowest}", Count.show(of(&format!("{contender}-switch-lost"))?.max())))
    };
    let (own, other) = ("fast", "keepalived-fast");
    Some(format!(
        "| median / worst of {} | vipair, `fast` | keepalived, adverts every 10 ms |\n|---|--:|--:|\n\
         | host lost: clients without an answer | **{}** | {} |\n\
         | agent killed: without an answer; servers that answer | **{}**; {} | {}; {}, until somebody ends it |\n\
         | planned switch at 1,000 requests/s: without an answer; requests | **{}**; {} | {}; {} |\n",
        of("fast-host")?.runs(),
        gap(own, "host")?,
        gap(other, "host")?,
        gap(own, "kill")?,
        both(own, "kill")?,
        gap(other, "kill")?,
        both(other, "kill")?,
        gap(own, "switch")?,
        lost(own)?,
        gap(other, "switch")?,
        lost(other)?,
    ))
}

/// Sentence that says how long clients of each contender were watched at a fault.
fn watched_text(results: &Results) -> String {
    let of =
        |(contender, name, _): &Name| Some(format!("{name}: {}", results.remark(&format!("{contender}-watched"))?));
    let all: Vec<String> = FASTEST.iter().chain(&DEFAULT).filter_map(of).collect();
    format!(
        "A fault lasts, and clients are watched, longer than a takeover takes; what goes on after that is not counted: {}.\n",
        all.join("; ")
    )
}

/// Section of one fault, with all contenders at all settings.
fn fault_section(fault: &Fault) -> Section {
    let mut figures = Vec::new();
    for (contender, name, _) in FASTEST.iter().chain(&DEFAULT).filter(|(name, ..)| is_offered(name, fault.key)) {
        figures.push(with_goal(
            figure(key(contender, fault, ""), format!("{name}: gap"), Milliseconds),
            contender,
            fault,
        ));
        for (what, unit, ending) in fault.more {
            let one = figure(key(contender, fault, ending), format!("{name}: {what}"), *unit);
            let is_time_of_requests = matches!(*ending, "-quiet" | "-slowest");
            figures.push(if is_time_of_requests { one } else { with_never_goal(one, contender, fault) });
        }
    }
    let all: Vec<Name> = FASTEST.into_iter().chain(DEFAULT).collect();
    Section {
        title: fault.title.to_owned(),
        text: fault.what.to_owned(),
        figures,
        plots: vec![gap_plot(plot_file(fault.key), &format!("{}: gap, every run", fault.title), fault.key, &all)],
        table: None,
    }
}

/// File name, without its ending, of the picture of the fault with the key `fault`.
fn plot_file(fault: &str) -> &'static str {
    match fault {
        "host" => "gap-host",
        "back" => "gap-back",
        "kill" => "gap-kill",
        "stop" => "gap-stop",
        "cut" => "gap-partition",
        "switch" => "gap-switch",
        "carrier" => "gap-carrier",
        "service" => "gap-service",
        "witness" => "gap-witness",
        other => unreachable!("no picture for the fault {other}"),
    }
}

/// Picture of the gaps at one fault.
fn gap_plot(file: &'static str, title: &str, fault: &str, contenders: &[Name]) -> Plot {
    let strip = |(contender, name, _): &Name| ((*name).to_owned(), format!("{contender}-{fault}"));
    Plot {
        file,
        title: title.to_owned(),
        unit: Milliseconds,
        shape: Shape::Dots(contenders.iter().filter(|(name, ..)| is_offered(name, fault)).map(strip).collect()),
    }
}

/// Adds the goal of vipair's gaps: the bounds that the profiles promise, with room for a takeover's
/// work.
fn with_goal(figure: Figure, contender: &str, fault: &Fault) -> Figure {
    let limit = match (contender, fault.key) {
        ("fast", "host") => 25.0,
        ("lan", "host") => 230.0,
        ("witness-fast", "host") => 45.0,
        ("witness-lan", "host") => 300.0,
        ("fast", "kill" | "stop") => 10.0,
        ("fast", "carrier") => 15.0,
        ("fast" | "witness-fast", "switch") => 5.0,
        _ => return figure,
    };
    figure.goal(Median(limit))
}

/// Adds the goal 0 to what must never happen to vipair. Two servers may answer only when a bare
/// pair is cut in two. Requests that a lost server had taken are lost; a planned move and a lost
/// witness cost none.
fn with_never_goal(figure: Figure, contender: &str, fault: &Fault) -> Figure {
    let is_bare_and_cut = !contender.starts_with("witness") && matches!(fault.key, "cut" | "back");
    let is_own = ["fast", "lan", "witness-fast", "witness-lan"].contains(&contender);
    let is_lost_with_it = figure.unit == Count && !matches!(fault.key, "switch" | "witness");
    if is_own && !is_bare_and_cut && !is_lost_with_it { figure.goal(Every(0.0)) } else { figure }
}
