//! Tests of the log for the journal: the form of a record, and what a journal that takes nothing
//! costs.

use super::*;
use std::collections::HashMap;
use tracing_subscriber::layer::SubscriberExt;

/// A journal of the test's own, which receives what a layer sends.
struct FakeJournal {
    socket: UnixDatagram,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl FakeJournal {
    /// Listens at a socket in a directory of its own. Receiving waits for 20 seconds at most.
    fn listen() -> FakeJournal {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit that is not zero");
        FakeJournal { socket, path, _directory: directory }
    }

    /// The fields of the next record by name. Empty datagrams, by which a layer looks whether there
    /// is a journal, are passed over.
    fn next_record(&self) -> HashMap<String, String> {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).expect("a record");
            if length > 0 {
                return fields(&buffer[..length]);
            }
        }
    }
}

/// Takes a record apart as systemd.io/JOURNAL_NATIVE_PROTOCOL says.
fn fields(mut bytes: &[u8]) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| b"=\n".contains(byte)).expect("a name has an end");
        let (name, rest) = bytes.split_at(end);
        let (value, rest) = if rest[0] == b'=' {
            let end = rest.iter().position(|byte| *byte == b'\n').expect("a line has an end");
            (&rest[1..end], &rest[end..])
        } else {
            let (length, rest) = rest[1..].split_first_chunk::<8>().expect("a length");
            rest.split_at(usize::try_from(u64::from_le_bytes(*length)).expect("64 bits"))
        };
        assert_eq!(rest[0], b'\n', "a field ends its line");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        assert!(fields.insert(text(name), text(value)).is_none(), "{} is there twice", text(name));
        bytes = &rest[1..];
    }
    fields
}

/// Runs `log` with a layer that sends to `journal`. Returns the guard that waits for the last
/// records.
fn log_to(journal: &FakeJournal, log: impl FnOnce()) -> Rest {
    let (native, rest) = Native::start(&journal.path).expect("somebody listens");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(native), log);
    rest
}

#[test]
fn fields_are_names_in_capitals_and_values_as_they_are() {
    let journal = FakeJournal::listen();
    let _rest = log_to(&journal, || {
        let (group, role, epoch) = (Some("web"), Some("active"), None::<&str>);
        tracing::warn!(kind = "takeover", group, role, epoch, "web: {} → active", "standby");
        tracing::info!(lines = "one\ntwo=\n", number = 7, "plain");
    });
    let record = journal.next_record();
    for (name, value) in [
        ("MESSAGE", "web: standby → active"),
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "vipair"),
        ("KIND", "takeover"),
        ("GROUP", "web"),
        ("ROLE", "active"),
    ] {
        assert_eq!(record.get(name).map(String::as_str), Some(value), "{record:?}");
    }
    assert!(!record.contains_key("EPOCH"), "what is not there is not told: {record:?}");
    assert_eq!(record["TARGET"], module_path!());
    let record = journal.next_record();
    assert_eq!((record["LINES"].as_str(), record["NUMBER"].as_str()), ("one\ntwo=\n", "7"));
    assert_eq!(record["PRIORITY"], "6");
}

// L6
#[test]
fn a_journal_that_takes_nothing_makes_nobody_wait_and_is_told_how_much_it_missed() {
    let journal = FakeJournal::listen();
    let (native, rest) = Native::start(&journal.path).expect("somebody listens");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(native), || {
        // More records than fit into the queue and the kernel's buffer together: this line would
        // never end if logging waited.
        (0..QUEUE * 2).for_each(|_| tracing::info!("more"));
        // Each record that the journal takes makes room for another; the first one that is queued
        // again tells how many were lost.
        let told = (0..QUEUE * 4).find_map(|_| {
            let lost = journal.next_record().remove("LOST");
            tracing::info!("again");
            lost
        });
        let lost: usize = told.expect("what was lost is told").parse().expect("a number");
        assert!((1..QUEUE * 2).contains(&lost), "{lost} were lost");
    });
    drop(rest);
}

#[test]
fn the_last_record_is_sent_before_the_end() {
    let journal = FakeJournal::listen();
    drop(log_to(&journal, || tracing::error!("the last one")));
    journal.socket.set_nonblocking(true).expect("a setting");
    assert_eq!(journal.next_record()["MESSAGE"], "the last one");
}

#[test]
fn nobody_logs_to_a_journal_that_is_not_there() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(Native::start(&directory.path().join("socket")).is_err());
}

#[test]
fn records_that_no_journal_took_are_told_when_one_is_back() {
    let mut journal = FakeJournal::listen();
    let (native, rest) = Native::start(&journal.path).expect("somebody listens");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(native), || {
        std::fs::remove_file(&journal.path).expect("it is there");
        (0..3).for_each(|_| tracing::info!("nobody takes this"));
        let (done, tried) = sync_channel(1);
        rest.0.send(Item::Rest(done)).expect("the thread lives");
        tried.recv_timeout(Duration::from_secs(20)).expect("all records have been tried");
        journal.socket = UnixDatagram::bind(&journal.path).expect("a socket");
        journal.socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit that is not zero");
        tracing::info!("again");
    });
    let record = journal.next_record();
    assert_eq!((record["MESSAGE"].as_str(), record["LOST"].as_str()), ("again", "3"));
}
