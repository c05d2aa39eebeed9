//! Tests of the state that survives a restart: slots, directory and thread, on a real file system.

use super::*;
use crate::types::{Epoch, GroupKey};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use tempfile::TempDir;

/// The hash of the cluster's name in all states.
const CLUSTER: u64 = 0x1122_3344_5566_7788;
/// The node whose states are written.
const NODE: NodeId = NodeId(1);
/// Longest time that a test waits for the store's thread.
const LONG: Duration = Duration::from_secs(60);

/// What the store's thread reports: the version of a state, and whether it is durable.
type Reports = Receiver<(u64, Result<(), WriteError>)>;

/// A state of two groups in which every value comes from `number`, so that two states differ in all
/// of them.
fn state(number: u64) -> State {
    let group = |key| GroupState {
        key: GroupKey(key),
        seen: Epoch(number),
        reserve: Epoch(number + 256),
        held: Epoch::NONE,
        paused: number.is_multiple_of(2),
    };
    let lease = Some(Duration::from_millis(250 + number));
    State { node: NODE, cluster: CLUSTER, lease, groups: vec![group(7), group(8)] }
}

/// An empty directory that is gone when the value is dropped.
fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// What a start finds in the directory at `path`.
fn load(path: &Path) -> Loaded {
    Store::open(path, NODE, CLUSTER).unwrap().1
}

/// The error of a start that must refuse the directory at `path`.
fn refusal(path: &Path) -> StoreError {
    Store::open(path, NODE, CLUSTER).unwrap_err()
}

/// Opens the directory at `path` and starts the store's thread. Returns the thread's handle and its
/// reports.
fn start(path: &Path) -> (StoreHandle, Reports) {
    let (sender, reports) = sync_channel(1_000);
    let (store, _) = Store::open(path, NODE, CLUSTER).unwrap();
    (store.start(move |version, result| drop(sender.send((version, result)))).unwrap(), reports)
}

/// Writes states one after another, each durable before the next.
fn write(path: &Path, numbers: impl IntoIterator<Item = u64>) {
    let (handle, reports) = start(path);
    for number in numbers {
        handle.write(number, state(number));
        let (version, result) = reports.recv_timeout(LONG).unwrap();
        assert_eq!(version, number);
        result.unwrap();
    }
    assert!(handle.finish(LONG));
}

/// What a start finds when both slots are whole and `state(number)` is the newest.
fn clean(number: u64) -> Loaded {
    Loaded::State { state: state(number), remark: None }
}

/// The number of the [`state`] that a start finds in the directory at `path`. The state must come
/// with a remark about the other slot.
fn number_with_remark(path: &Path) -> u64 {
    match load(path) {
        Loaded::State { state, remark: Some(_) } => state.groups[0].seen.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_directory_is_fresh_and_private() {
    let dir = dir();
    let path = dir.path().join("vipair");
    assert_eq!(load(&path), Loaded::Fresh);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    write(&path, [1]);
    for slot in ["state.a", "state.b"] {
        assert_eq!(fs::metadata(path.join(slot)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
}

#[test]
fn the_newest_state_comes_back() {
    let dir = dir();
    for last in 1..=5 {
        write(dir.path(), [last]);
        assert_eq!(load(dir.path()), clean(last));
    }
    write(dir.path(), 6..=20);
    assert_eq!(load(dir.path()), clean(20));
}

#[test]
fn a_slot_comes_back_whole_or_not_at_all() {
    let bytes = slot::encode(9, &state(3)).unwrap();
    assert_eq!(slot::decode(&bytes), Ok((9, state(3))));
    let whole = 24 + 11 + 2 * 33 + 32;
    for length in 0..whole {
        assert!(slot::decode(&bytes[..length]).is_err(), "cut to {length}");
    }
    for bit in 0..whole * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(slot::decode(&flipped), Err(slot::SlotError::Damaged(_))), "bit {bit}");
    }
}

proptest::proptest! {
    #[test]
    fn random_bytes_are_no_slot(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        proptest::prop_assert!(slot::decode(&bytes).is_err());
        for format in 1..=2 {
            let framed = [b"vipairS\n\0\0\0".as_slice(), &[format], &bytes].concat();
            proptest::prop_assert!(slot::decode(&framed).is_err());
        }
    }
}

#[test]
fn too_many_groups_are_refused_and_no_panic() {
    let groups = vec![state(1).groups[0]; 65_536];
    assert!(slot::encode(1, &State { groups, ..state(1) }).is_err());
    let groups = vec![state(1).groups[0]; 65_535];
    let many = State { groups, ..state(1) };
    assert_eq!(slot::decode(&slot::encode(1, &many).unwrap()), Ok((1, many)));
}

#[test]
fn a_torn_slot_leaves_the_other_and_is_told_and_repaired() {
    for torn in ["state.a", "state.b"] {
        let dir = dir();
        write(dir.path(), [1, 2]);
        let path = dir.path().join(torn);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..40]).unwrap();
        // The first write makes both slots, the second goes to the first again.
        assert_eq!(number_with_remark(dir.path()), if torn == "state.a" { 1 } else { 2 });
        write(dir.path(), [3]);
        assert_eq!(load(dir.path()), clean(3));
        fs::remove_file(dir.path().join("state.a")).unwrap();
        assert_eq!(number_with_remark(dir.path()), 3);
    }
}

#[test]
fn both_slots_damaged_is_neither_fresh_nor_a_state() {
    let dir = dir();
    write(dir.path(), [1]);
    for (slot, content) in [("state.a", b"".as_slice()), ("state.b", &[0; 4096])] {
        fs::write(dir.path().join(slot), content).unwrap();
    }
    assert!(
        matches!(load(dir.path()), Loaded::Damaged(text) if text.contains("state.a") && text.contains("state.b"))
    );
    fs::remove_file(dir.path().join("state.b")).unwrap();
    assert!(matches!(load(dir.path()), Loaded::Damaged(_)));
    write(dir.path(), [2]);
    assert_eq!(load(dir.path()), clean(2));
}

#[test]
fn a_slot_that_was_put_back_does_not_win_and_is_told() {
    let dir = dir();
    write(dir.path(), [1, 2]);
    let old = [fs::read(dir.path().join("state.a")).unwrap(), fs::read(dir.path().join("state.b")).unwrap()];
    write(dir.path(), [3, 4, 5, 6]);
    fs::write(dir.path().join("state.b"), &old[1]).unwrap();
    assert_eq!(number_with_remark(dir.path()), 6);
    write(dir.path(), [7]);
    assert_eq!(load(dir.path()), clean(7));
    fs::write(dir.path().join("state.a"), &old[0]).unwrap();
    assert_eq!(number_with_remark(dir.path()), 7);
}

#[test]
fn links_and_other_things_in_place_of_a_slot_are_refused() {
    let dir = dir();
    let target = dir.path().join("precious");
    fs::write(&target, "precious").unwrap();
    symlink(&target, dir.path().join("state.b")).unwrap();
    assert!(matches!(refusal(dir.path()), StoreError::Unsafe { .. }));
    fs::remove_file(dir.path().join("state.b")).unwrap();
    fs::create_dir(dir.path().join("state.a")).unwrap();
    assert!(matches!(refusal(dir.path()), StoreError::Unsafe { .. }));
    fs::remove_dir(dir.path().join("state.a")).unwrap();

    // A link that comes later, on a slot or on the name new slots are made under.
    let (handle, reports) = start(dir.path());
    for name in ["state.a", "state.b", "state.new"] {
        symlink(&target, dir.path().join(name)).unwrap();
    }
    handle.write(1, state(1));
    assert!(reports.recv_timeout(LONG).unwrap().1.is_err());
    fs::remove_file(dir.path().join("state.a")).unwrap();
    fs::remove_file(dir.path().join("state.b")).unwrap();
    reports.recv_timeout(LONG).unwrap().1.unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let dir = dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
    assert!(matches!(refusal(dir.path()), StoreError::Unsafe { .. }));
}

#[test]
fn a_second_agent_is_kept_out_until_the_first_has_ended() {
    let dir = dir();
    let (handle, _reports) = start(dir.path());
    let text = refusal(dir.path()).to_string();
    assert!(text.contains("another agent"), "{text}");
    assert!(handle.finish(LONG));
    assert_eq!(load(dir.path()), Loaded::Fresh);
}

#[test]
fn a_state_of_another_node_or_cluster_is_refused_in_clear_words() {
    let dir = dir();
    write(dir.path(), [1]);
    let text = Store::open(dir.path(), NodeId(2), CLUSTER).unwrap_err().to_string();
    assert!(text.contains("node number 1") && text.contains("node number 2"), "{text}");
    let text = Store::open(dir.path(), NODE, 5).unwrap_err().to_string();
    assert!(text.contains("another name"), "{text}");
    assert_eq!(load(dir.path()), clean(1));
}

#[test]
fn a_state_of_a_newer_program_is_kept_and_refused() {
    let dir = dir();
    let mut bytes = slot::encode(1, &state(1)).unwrap();
    bytes[11] = 3;
    let end = 24 + 15 + 2 * 33;
    let digest = Sha256::digest(&bytes[..end]);
    bytes[end..end + 32].copy_from_slice(&digest);
    fs::write(dir.path().join("state.a"), bytes).unwrap();
    assert!(matches!(refusal(dir.path()), StoreError::Format { format: 3, .. }));
}

#[test]
fn a_state_of_an_earlier_program_is_read_and_its_lease_is_not_known() {
    let dir = dir();
    let mut bytes = slot::encode(1, &state(1)).unwrap()[..24 + 15 + 2 * 33].to_vec();
    // Format 1: the payload has no lease after the cluster.
    bytes[11] = 1;
    bytes.drain(24 + 9..24 + 13);
    let length = u32::try_from(11 + 2 * 33).unwrap();
    bytes[20..24].copy_from_slice(&length.to_be_bytes());
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    fs::write(dir.path().join("state.a"), bytes).unwrap();
    let Loaded::State { state: found, .. } = load(dir.path()) else { panic!("it is whole") };
    assert_eq!(found, State { lease: None, ..state(1) });
}

#[test]
fn a_lease_is_never_written_shorter_than_it_is() {
    let lease = Some(Duration::from_nanos(250_000_001));
    let slot = slot::encode(1, &State { lease, ..state(1) }).unwrap();
    let (_, found) = slot::decode(&slot).unwrap();
    assert!(found.lease >= lease, "{:?}", found.lease);
}

#[test]
fn a_removed_directory_is_reported_and_a_new_one_is_used() {
    let outer = dir();
    let path = outer.path().join("vipair");
    let (handle, reports) = start(&path);
    handle.write(1, state(1));
    reports.recv_timeout(LONG).unwrap().1.unwrap();
    fs::remove_dir_all(&path).unwrap();
    handle.write(2, state(2));
    let (version, result) = reports.recv_timeout(LONG).unwrap();
    assert_eq!((version, result.unwrap_err().cause.kind()), (2, std::io::ErrorKind::NotFound));
    fs::DirBuilder::new().create(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let (version, result) = reports.recv_timeout(LONG).unwrap();
    result.unwrap();
    assert_eq!(version, 2);
    assert!(handle.finish(LONG));
    assert_eq!(load(&path), clean(2));
}

/// Runs `body` with a file system of its own of 64 KiB, which is gone afterwards. Needs root.
fn on_small_disk(body: impl FnOnce(&Path) + Send) {
    let dir = dir();
    let path = dir.path();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("mounting needs root");
            let mount = |words: &[&str]| assert!(Command::new("mount").args(words).status().unwrap().success());
            mount(&["--make-rprivate", "/"]);
            mount(&["-t", "tmpfs", "-o", "size=64k,mode=700", "none", path.to_str().unwrap()]);
            body(path);
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Fills up the disk of [`on_small_disk`] with one file, and returns its path.
fn fill(path: &Path) -> PathBuf {
    let file = path.join("filler");
    assert!(fs::write(&file, vec![1; 1 << 20]).is_err());
    file
}

#[test]
fn a_full_disk_is_reported_once_and_overcome_when_there_is_room() {
    on_small_disk(|path| {
        let filler = fill(path);
        let (handle, reports) = start(path);
        handle.write(1, state(1));
        let (version, result) = reports.recv_timeout(LONG).unwrap();
        assert_eq!((version, result.unwrap_err().cause.raw_os_error()), (1, Some(libc::ENOSPC)));
        assert!(reports.recv_timeout(Duration::from_millis(500)).is_err(), "the same failure twice");
        handle.write(2, state(2));
        assert!(reports.recv_timeout(LONG).unwrap().1.is_err());
        fs::remove_file(filler).unwrap();
        let (version, result) = reports.recv_timeout(LONG).unwrap();
        result.unwrap();
        assert_eq!(version, 2);
        assert!(handle.finish(LONG));
        assert_eq!(load(path), clean(2));
    });
}

#[test]
fn a_disk_that_fills_up_later_hinders_nobody() {
    on_small_disk(|path| {
        write(path, [1]);
        fill(path);
        write(path, 2..10);
        assert_eq!(load(path), clean(9));
    });
}

#[test]
fn a_read_only_disk_can_be_read_and_is_reported() {
    on_small_disk(|path| {
        write(path, [1]);
        let remount = |mode: &str| {
            let option = format!("remount,{mode}");
            assert!(Command::new("mount").args(["-o", &option, path.to_str().unwrap()]).status().unwrap().success());
        };
        remount("ro");
        assert_eq!(load(path), clean(1));
        let (handle, reports) = start(path);
        handle.write(2, state(2));
        let (_, result) = reports.recv_timeout(LONG).unwrap();
        assert_eq!(result.unwrap_err().cause.raw_os_error(), Some(libc::EROFS));
        remount("rw");
        reports.recv_timeout(LONG).unwrap().1.unwrap();
    });
}

#[test]
fn the_newest_of_many_states_becomes_durable() {
    let dir = dir();
    let (handle, reports) = start(dir.path());
    for number in 1..=500 {
        handle.write(number, state(number));
    }
    assert!(handle.finish(LONG));
    let versions: Vec<u64> = reports.try_iter().map(|(version, _)| version).collect();
    assert!(versions.is_sorted());
    assert_eq!(versions.last(), Some(&500));
    assert_eq!(load(dir.path()), clean(500));
}
