//! Tests of a witness's file as it is read, renewed and lent, and of the memory as the store keeps
//! it. The loop itself runs for real in netns-tests/cases/witness.rs.

use crate::config::WitnessFile;
use crate::store;
use crate::types::{Epoch, GroupKey, NodeId};
use crate::voter::{Ceiling, Loaded, Memory};
use crate::{renewal, state};
use nix::unistd::{Gid, Uid, chown};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// A right file of a witness, of one cluster with one check.
const GOOD: &str = "listen = \"[::]:7811\"\nnumber = 2\n[[cluster]]\nname = \"web\"\nkey_file = \"keys/web.key\"\n\
    [[cluster.check]]\ngroup = \"shop\"\nkind = \"tcp\"\naddress = \"10.0.0.100\"\nport = 80\n";

/// The file of a witness with this text; on failure all errors, a line each.
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
fn errors_name_line_and_key_and_what_would_be_right() {
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

#[test]
fn what_a_renewal_would_change_is_told_and_what_needs_a_restart_is_named() {
    let running = parse(GOOD).expect("it is right");
    let other = |from: &str, to: &str| parse(&GOOD.replace(from, to)).expect("it is right");
    let why_restart = |file: &WitnessFile| renewal::restart_reason(&running, file);
    assert_eq!(why_restart(&running), None);
    assert_eq!(why_restart(&other("port = 80", "port = 81")), None);
    assert_eq!(why_restart(&other("name = \"web\"", "name = \"db\"\ndrift_ppm = 900")), None, "another cluster");
    assert!(why_restart(&other(":7811", ":7812")).is_some_and(|why| why.contains("listen is [::]:7812")));
    assert!(why_restart(&other("number = 2", "number = 3")).is_some_and(|why| why.contains("number")));
    let drift = other("name = \"web\"", "name = \"web\"\ndrift_ppm = 900");
    assert!(why_restart(&drift).is_some_and(|why| why.contains("drift_ppm of cluster web")));
    let told = |file: &WitnessFile| renewal::changes_text(&running, file);
    assert!(told(&running).starts_with("no cluster has changed; "));
    assert!(told(&other("port = 80", "port = 81")).starts_with("with other checks: web; "));
    assert!(told(&other("\"web\"", "\"db\"")).starts_with("clusters added: db; removed: web; "));
}

#[test]
fn what_is_lent_is_for_the_directorys_owner_alone_and_follows_no_link() {
    let (home, lent) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let owner = (Some(Uid::from_raw(65_534)), Some(Gid::from_raw(65_534)));
    chown(lent.path(), owner.0, owner.1).expect("root");
    let file = home.path().join("witness.toml");
    let write_private = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    };
    write_private("web.key", &format!("1 {}\n", "0a".repeat(32)));
    write_private("witness.toml", &GOOD.replace("keys/", ""));
    let bait = home.path().join("bait");
    std::fs::write(&bait, "whole").expect("written");
    for name in ["web.key", ".new.web.key", ".new.witness.toml", "witness.toml"] {
        std::os::unix::fs::symlink(&bait, lent.path().join(name)).expect("a link");
    }
    crate::lend(&file, lent.path()).expect("it is lent");
    for name in ["web.key", "witness.toml"] {
        let copy = lent.path().join(name);
        let status = copy.symlink_metadata().expect("it is there");
        assert_eq!((status.uid(), status.gid(), status.mode()), (65_534, 65_534, 0o100_400), "{name}");
        let read = |path: &Path| std::fs::read_to_string(path).expect("text");
        assert_eq!(read(&copy), read(&home.path().join(name)));
    }
    assert_eq!(std::fs::read_to_string(&bait).expect("text"), "whole", "a link was followed");
    // A wrong file is not lent, and neither is a file whose keys are in another directory.
    write_private("witness.toml", &GOOD.replace("number = 2", "number = 16").replace("keys/", ""));
    assert!(matches!(crate::lend(&file, lent.path()), Err(crate::RunError::Configuration(_))));
    std::fs::create_dir(home.path().join("keys")).expect("a directory");
    write_private("keys/web.key", &format!("1 {}\n", "0b".repeat(32)));
    write_private("witness.toml", GOOD);
    assert!(crate::lend(&file, lent.path()).expect_err("elsewhere").to_string().contains("is not beside"));
    let copy = std::fs::read_to_string(lent.path().join("web.key")).expect("text");
    assert!(copy.contains("0a0a"), "the one before stands");
}
