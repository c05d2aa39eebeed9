//! Tests of the log's way to standard error: streams that fail, that break off, and that nobody
//! reads.

use super::*;
use std::io::Read;
use std::time::{Duration, Instant};

/// A stream with room for so many bytes, after which it fails like a full disk.
struct Disk {
    text: Vec<u8>,
    room: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room - self.text.len());
        self.text.extend_from_slice(&bytes[..taken]);
        if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

/// A log on a disk with room for `room` bytes.
fn log_on_disk(room: usize) -> Lossy<Disk> {
    Lossy::new(Disk { text: Vec::new(), room }, "<4>")
}

/// What is on the disk.
fn text(log: &Lossy<Disk>) -> &str {
    std::str::from_utf8(&log.stream.text).expect("text")
}

#[test]
fn a_line_that_cannot_be_written_is_counted_and_the_next_one_that_can_be_tells() {
    let mut log = log_on_disk(0);
    for _ in 0..3 {
        log.write_all(b"lost\n").expect("a log never fails");
        log.flush().expect("a log never fails");
    }
    log.stream.room = 1000;
    log.write_all(b"one\n").expect("a log never fails");
    log.write_all(b"two\n").expect("a log never fails");
    assert_eq!(text(&log), "<4>lines of the log that could not be written: 3\none\ntwo\n");
}

#[test]
fn a_line_that_breaks_off_is_lost_and_what_follows_begins_a_line_of_its_own() {
    let mut log = log_on_disk(6);
    log.write_all(b"one\n").expect("a log never fails");
    log.write_all(b"two\n").expect("a log never fails");
    log.stream.room = 1000;
    log.write_all(b"three\n").expect("a log never fails");
    assert_eq!(text(&log), "one\ntw\n<4>lines of the log that could not be written: 1\nthree\n");
}

#[test]
fn a_loss_that_cannot_be_told_is_told_later_with_those_that_followed() {
    let mut log = log_on_disk(0);
    log.write_all(b"lost\n").expect("a log never fails");
    log.stream.room = 10;
    log.write_all(b"lost, too\n").expect("a log never fails");
    log.stream.room = 1000;
    log.write_all(b"one\n").expect("a log never fails");
    assert!(text(&log).ends_with("\n<4>lines of the log that could not be written: 2\none\n"), "{}", text(&log));
}

// L6
#[test]
fn a_pipe_that_nobody_reads_makes_nobody_wait_for_long() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut log = Lossy::new(Prompt::new(writer), "");
    let line = [b'x'; 999];
    let begin = Instant::now();
    // Without a bound the thread would stand still when the pipe is full, at 64 KiB.
    for _ in 0..1000 {
        log.write_all(&line).expect("a log never fails");
        log.write_all(b"\n").expect("a log never fails");
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "it waited for {:?}", begin.elapsed());
    let lost = log.lost;
    assert!(lost > 1000, "{lost} of 2000 were lost");
    let mut taken = vec![0; 60_000];
    reader.read_exact(&mut taken).expect("the pipe is full");
    log.write_all(b"again\n").expect("a log never fails");
    drop(log);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("text");
    let told = format!("lines of the log that could not be written: {lost}\nagain\n");
    assert!(rest.ends_with(&told), "{rest}");
}

#[test]
fn a_pipe_whose_reader_has_gone_costs_the_line_alone() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut log = Lossy::new(Prompt::new(writer), "");
    log.write_all(b"lost\n").expect("a log never fails");
    assert_eq!(log.lost, 1);
}
