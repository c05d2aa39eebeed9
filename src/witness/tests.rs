//! The file, and the memory as the store keeps it. The rest runs for real: netns-tests/cases/witness.rs.

use super::state;
use crate::config::WitnessFile;
use crate::effects::store;
use crate::types::{Epoch, GroupKey, NodeId};
use crate::voter::{Ceiling, Loaded, Memory};
use std::path::Path;

const GOOD: &str = "listen = \"[::]:7811\"\nnumber = 2\n[[cluster]]\nname = \"web\"\nkey_file = \"keys/web.key\"\n\
    [[cluster.check]]\ngroup = \"shop\"\nkind = \"tcp\"\naddress = \"10.0.0.100\"\nport = 80\n";

fn parse(text: &str) -> Result<WitnessFile, String> {
    WitnessFile::parse(text, Path::new("/etc/w.toml")).map_err(|errors| errors.to_string())
}

#[test]
fn a_right_file_is_read() {
    let file = parse(GOOD).expect("it is right");
    assert_eq!((file.listen.to_string().as_str(), file.me), ("[::]:7811", NodeId(242)));
    let cluster = &file.clusters[0];
    assert_eq!((cluster.name.as_str(), cluster.drift_ppm), ("web", 500));
    assert_eq!(cluster.key_file, Path::new("/etc/keys/web.key"), "beside the file");
    let check = &cluster.checks[0];
    assert_eq!((check.group.as_str(), check.fall, check.rise), ("shop", 3, 2));
    assert_eq!(check.target.to_string(), "10.0.0.100:80");
    assert_eq!((check.interval.as_millis(), check.timeout.as_millis()), (1_000, 500));
}

#[test]
fn every_error_names_line_and_key_and_what_would_be_right() {
    let cases = [
        ("\"[::]:7811\"", "\"10.0.0.1\"", "/etc/w.toml:1: listen: "),
        ("number = 2", "number = 16", "/etc/w.toml:2: number: "),
        ("number = 2", "nummer = 2", "did you mean \"number\"?"),
        ("name = \"web\"", "name = \"a b\"", "/etc/w.toml:4: cluster.name: "),
        ("key_file = \"keys/web.key\"\n", "", "cluster.key_file: missing"),
        ("kind = \"tcp\"", "kind = \"http\"", "/etc/w.toml:8: cluster.check.kind: "),
        ("\"10.0.0.100\"", "\"shop.example\"", "names are not looked up"),
        ("port = 80", "port = 0", "/etc/w.toml:10: cluster.check.port: "),
        ("port = 80", "port = 80\nfall = 0", "/etc/w.toml:11: cluster.check.fall: "),
    ];
    for (good, bad, expected) in cases {
        let errors = parse(&GOOD.replace(good, bad)).expect_err(bad);
        assert!(errors.contains(expected), "{bad}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    assert!(parse("listen = \"[::]:7811\"\n").expect_err("no cluster").contains("[[cluster]]"));
    let twice = format!("{GOOD}[[cluster]]\nname = \"web\"\nkey_file = \"other.key\"\n");
    assert!(parse(&twice).expect_err("a name twice").contains("cluster.name"));
    assert!(parse("listen = [\n").expect_err("no TOML").contains("is no TOML"));
}

#[test]
fn a_witness_votes_in_so_many_clusters_and_no_more() {
    let text = |count: usize| {
        let table = |number| format!("[[cluster]]\nname = \"c{number}\"\nkey_file = \"k\"\n");
        (0..count).map(table).collect::<String>()
    };
    assert_eq!(parse(&text(256)).map(|file| file.clusters.len()), Ok(256));
    assert!(parse(&text(257)).expect_err("one too many").contains("at most 256"));
}

#[test]
fn a_memory_comes_back_from_the_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    let ceiling = |group, counter| Ceiling { group: GroupKey(group), epoch: Epoch::new(counter, NodeId(255)) };
    let memory = Memory { lease_us: 170_000, ceilings: vec![ceiling(1, 64), ceiling(2, 90)] };
    let (store, found) = store::Store::open(&path, NodeId(241), 7).expect("it opens");
    assert_eq!(state::loaded(&found), Loaded::Fresh);
    let handle = store.start(|_, result| result.expect("it is written")).expect("a thread");
    handle.write(1, state::state(&memory, NodeId(241), 7));
    assert!(handle.finish(std::time::Duration::from_secs(20)));
    let (_, found) = store::Store::open(&path, NodeId(241), 7).expect("it opens");
    assert_eq!(state::loaded(&found), Loaded::Memory(memory));
    assert_eq!(state::loaded(&store::Loaded::Damaged(String::new())), Loaded::Damaged);
}
