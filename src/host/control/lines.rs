//! A byte stream as lines of a bounded length, and what can be wrong with a line.
//!
//! Owns: the bytes of one unfinished line. Never does: I/O, or read a line's content. A line beyond
//! the bound is an error, after which the connection must be closed.

use thiserror::Error;

/// The reason for which a line is no message.
#[derive(Debug, Error)]
pub enum ProtocolError {
    /// The line is longer than this bound, in bytes. The next line cannot be found any more: close
    /// the connection.
    #[error("line longer than {0} bytes")]
    TooLong(usize),
    /// The line is no JSON of a known shape. The next line can still be read.
    #[error("not understood: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Cuts a byte stream into lines. Holds at most one line's bound and the bytes of one read.
#[derive(Debug)]
pub struct LineBuffer {
    /// Longest line in bytes, newline included.
    limit: usize,
    bytes: Vec<u8>,
    /// Number of bytes at the beginning that are known to hold no newline.
    searched: usize,
}

impl LineBuffer {
    /// A buffer for lines of at most `limit` bytes, newline included.
    #[must_use]
    pub fn new(limit: usize) -> LineBuffer {
        LineBuffer { limit, bytes: Vec::new(), searched: 0 }
    }

    /// Adds bytes that were read. Take all lines out before the next call.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes out the next whole line, without its newline; `None` until more is read.
    ///
    /// # Errors
    /// [`ProtocolError::TooLong`]: close the connection.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, ProtocolError> {
        let end = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n').map(|at| self.searched + at);
        match end {
            Some(end) if end < self.limit => {
                let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
                line.pop();
                self.searched = 0;
                Ok(Some(line))
            }
            None if self.bytes.len() < self.limit => {
                self.searched = self.bytes.len();
                Ok(None)
            }
            Some(_) | None => Err(ProtocolError::TooLong(self.limit)),
        }
    }
}
