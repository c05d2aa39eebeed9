//! The log's way to standard error, which takes every line and makes nobody wait.
//!
//! Owns: the number of lines that could not be written. Never does: fail, or end the program. A full
//! disk costs the line, and so does a pipe whose reader has gone or stands still. The next line that
//! can be written comes after one that tells how many were lost.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Write};
use std::os::fd::AsFd;

/// Most bytes that are written at once: for so many a pipe that is ready has room (PIPE_BUF in
/// pipe(7)).
const PIECE: usize = 4096;
/// Longest wait for a reader that is slow, in milliseconds: a witness votes meanwhile, and the
/// shortest lease is longer.
const PATIENCE_MS: u16 = 5;

/// A stream that takes every line: one that cannot be written is counted and forgotten.
pub struct Lossy<W> {
    stream: W,
    /// Begin of a line that tells how many were lost.
    prefix: &'static str,
    /// Number of lost lines that no line has told of.
    lost: u64,
    /// Whether the line that was written last has no end.
    torn: bool,
}

impl<W: Write> Lossy<W> {
    /// Writes to `stream`. A line about lost lines begins with `prefix`.
    pub fn new(stream: W, prefix: &'static str) -> Lossy<W> {
        Lossy { stream, prefix, lost: 0, torn: false }
    }

    /// Writes all of `text`, or as much as the stream takes. Returns whether it took all.
    fn put(&mut self, text: &[u8]) -> bool {
        let mut rest = text;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(written) if written > 0 => {
                    rest = &rest[written..];
                    self.torn = !rest.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    /// Tells how many lines were lost, if any. Returns whether nothing is left to tell.
    fn tell(&mut self) -> bool {
        if self.lost == 0 {
            return true;
        }
        let end = if self.torn { "\n" } else { "" };
        let text = format!("{end}{}lines of the log that could not be written: {}\n", self.prefix, self.lost);
        let told = self.put(text.as_bytes());
        if told {
            self.lost = 0;
        }
        told
    }
}

/// Each call is for one line, as the log calls it. It never fails.
impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.tell() || !self.put(line) {
            self.lost = self.lost.saturating_add(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What a stream holds back is not ours to tell; standard error holds nothing back.
        let _held_back = self.stream.flush();
        Ok(())
    }
}

/// A stream that fails where writing would make the caller wait longer than [`PATIENCE_MS`].
pub struct Prompt<W> {
    stream: W,
    /// Whether the reader stood still when it was written to last: then nothing waits for it.
    stuck: bool,
}

impl<W: Write + AsFd> Prompt<W> {
    /// Writes to `stream`.
    pub fn new(stream: W) -> Prompt<W> {
        Prompt { stream, stuck: false }
    }
}

/// Writes up to [`PIECE`] bytes. If the reader stands still, fails with `WouldBlock`.
impl<W: Write + AsFd> Write for Prompt<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let patience = if self.stuck { PollTimeout::ZERO } else { PollTimeout::from(PATIENCE_MS) };
        let mut polled = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
        self.stuck = poll(&mut polled, patience)? == 0;
        if self.stuck {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.stream.write(&bytes[..bytes.len().min(PIECE)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests;
