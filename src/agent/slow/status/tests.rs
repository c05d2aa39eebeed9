//! Tests of witnesses in the slow side: what `status` says of them, and what the engine is told.

use super::*;
use crate::config::ClusterFile;
use crate::engine::VotesReport;
use crate::from_config;
use crate::types::LinkId;
use crate::wire::pulse::Digests;
use crate::wire::pulse::PeerConfig;
use std::path::Path;

/// Node 1 of a pair with one group; `witness` is the section about witnesses, or empty.
fn config(witness: &str) -> Config {
    let text = format!(
        "cluster = \"c\"\nkey_file = \"k\"\n{witness}\n[[node]]\nname = \"alpha\"\nlinks = [\"10.0.0.1\"]\n[[node]]\n\
         name = \"beta\"\nlinks = [\"10.0.0.2\"]\n[[group]]\nname = \"g\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.9\"]\n"
    );
    ClusterFile::parse(&text, Path::new("v.toml")).expect("it is right").for_node(NodeId(1))
}

/// Every peer of the configuration, all of them heard; nothing else is of interest.
fn report(config: &Config) -> Report {
    let links = from_config::udp_links(config);
    let link = |id: LinkId| LinkReport {
        id,
        open: true,
        heard: true,
        last_heard: Some(MonoTime(1_000_000)),
        sent: 5,
        received: 4,
        rejected: 0,
        stranger: None,
        too_large: 0,
        longest: None,
    };
    // A witness says nothing of nodes, groups and times.
    let blank = PeerConfig { digests: Digests::default(), pulse_us: 0, silence_us: 0, lease_us: 0 };
    let peer = |id: NodeId| PeerReport {
        id,
        presence: Presence::Heard,
        silence: Duration::ZERO,
        deaf: false,
        config: id.is_witness().then_some(blank),
        differs: false,
        links: links.iter().filter(|link| link.peer == id).map(|id| link(*id)).collect(),
    };
    let mut ids: Vec<NodeId> = links.iter().map(|link| link.peer).collect();
    ids.dedup();
    Report {
        now: MonoTime(3_000_000),
        me: NodeId(1),
        groups: Vec::new(),
        peers: ids.into_iter().map(peer).collect(),
        rejects: crate::wire::auth::Rejects::default(),
        turned_away: Vec::new(),
        double: None,
        store_failing: false,
        stopping: false,
        votes: None,
    }
}

/// What `status` shows of a report.
fn shown(config: &Config, report: &Report) -> StatusReport {
    status(config, &Names::new(config), report, MonoTime::ZERO)
}

#[test]
fn a_witness_is_a_peer_with_a_link_and_no_configuration_of_its_own() {
    let config = config("[witness]\naddress = \"10.0.9.9\"\nport = 7812");
    let status = shown(&config, &report(&config));
    let links: Vec<_> =
        status.links.iter().map(|link| (&*link.peer, &*link.local, &*link.remote, link.state)).collect();
    assert_eq!(
        links,
        [("beta", "10.0.0.1", "10.0.0.2", LinkState::Up), ("witness", "any", "10.0.9.9:7812", LinkState::Up)]
    );
    assert_eq!(status.links[1].last_heard_ms, Some(2.0));
    assert!(status.differences.is_empty() && status.warnings.is_empty(), "{status:?}");
    assert_eq!(status.timing.profile, "lan");
}

#[test]
fn a_witness_that_is_not_heard_is_a_warning_that_says_what_it_means() {
    let one = "[witness]\naddress = \"10.0.9.9\"";
    let silent = |witness: &str, presence: &[Presence]| {
        let config = config(witness);
        let mut report = report(&config);
        for (peer, presence) in report.peers.iter_mut().skip(1).zip(presence) {
            (peer.presence, peer.silence) = (*presence, Duration::from_secs(12));
        }
        shown(&config, &report).warnings
    };
    let strict = "no takeover if beta fails now";
    assert_eq!(silent(one, &[Presence::Silent]), [format!("witness not heard for 12.0 s: {strict}")]);
    assert_eq!(silent(one, &[Presence::Unknown]), [format!("witness has not been heard yet: {strict}")]);
    let lenient = format!("{one}\nstrict = false");
    let expected =
        format!("witness not heard for 12.0 s: {strict}, until the pair has agreed to decide alone (strict = false)");
    assert_eq!(silent(&lenient, &[Presence::Silent]), [expected]);
    let three = "[witness]\naddresses = [\"10.0.9.1\", \"10.0.9.2\", \"10.0.9.3\"]";
    assert_eq!(silent(three, &[Presence::Heard, Presence::Silent]), ["witness 2 not heard for 12.0 s"]);
    let two = silent(three, &[Presence::Unknown, Presence::Heard, Presence::Silent]);
    let expected =
        [format!("witness 1 has not been heard yet: {strict}"), format!("witness 3 not heard for 12.0 s: {strict}")];
    assert_eq!(two, expected);
}

#[test]
fn a_pair_that_decides_alone_is_a_warning() {
    let config = config("[witness]\naddress = \"10.0.9.9\"\nstrict = false");
    let mut report = report(&config);
    (report.peers[1].presence, report.peers[1].silence) = (Presence::Silent, Duration::from_secs(12));
    report.votes = Some(VotesReport { witnesses: 1, heard: 0, majority: 1, strict: false, alone: true });
    let expected = "witness not heard for 12.0 s: the pair alone decides (strict = false)";
    assert_eq!(shown(&config, &report).warnings, [expected]);
}

#[test]
fn the_engine_is_told_who_votes_and_how_each_of_them_is_reached() {
    let keys = crate::config::KeyFile { keys: vec![(1, [7; 32])] };
    let setup =
        |witness: &str| from_config::engine_setup(&config(witness), &keys, [0; 32], crate::durable::Loaded::Fresh);
    let bare = setup("");
    assert_eq!((bare.votes, bare.peers.len()), (None, 1));
    let voted = setup("[witness]\naddresses = [\"10.0.9.1\", \"10.0.9.2\", \"10.0.9.3\"]\nstrict = false");
    assert_eq!(voted.votes, Some(crate::engine::Votes { witnesses: 3, strict: false }));
    let peers: Vec<_> = voted.peers.iter().map(|peer| (peer.id.0, peer.links.len())).collect();
    assert_eq!(peers, [(2, 2), (241, 1), (242, 1), (243, 1)]);
    assert_eq!(voted.peers[1].links, [LinkPath::Udp(0)]);
}
