//! A recording as bytes, and back.
//!
//! Owns: the layout: magic (8), format (4), then sections: kind (1), length of the payload (4),
//! payload, the first eight bytes of SHA-256 over kind, length and payload. Numbers are in network
//! byte order. Kinds are header, setup, segment and end. A setup comes before the segments that
//! begin with it; the end has the number of segments, so a file that was cut between two sections
//! is found, too. Payloads are postcard, which has no names of fields: only the engine that wrote a
//! snapshot reads it, and the header names that engine.
//!
//! Never does: touch a file. Bytes that are no recording give a reason and an offset, never a
//! panic, and no more memory is allocated than there are bytes.

use super::ring::{Segment, Span};
use crate::engine;
use crate::types::{GroupKey, NodeId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use thiserror::Error;

/// Most bytes of a recording: the ring, a setup per segment, and room.
pub const MAX_FILE: u64 = 64 << 20;
/// Tag of the engine's source that this program was built from.
pub const ENGINE: &str = vipair_proto::ENGINE_TAG;

const MAGIC: &[u8; 8] = b"vipairF\n";
/// Number of the layout.
const FORMAT: u32 = 1;
/// Bytes of a section's checksum.
const DIGEST: usize = 8;

const HEADER: u8 = 1;
const SETUP: u8 = 2;
const SEGMENT: u8 = 3;
const END: u8 = 4;

/// Origin of a recording: program, node, time and reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Version of the program that wrote the recording.
    pub version: String,
    /// Tag of that program's engine: [`ENGINE`].
    pub engine: String,
    /// Name of the node.
    pub node: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Time of writing by the wall clock, in milliseconds since 1970.
    pub written: u64,
    /// Reason of writing: a word such as `takeover`.
    pub reason: String,
    /// Names of nodes, interfaces and groups.
    pub book: Book,
}

/// Names of what the engine knows by numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Book {
    /// Node that recorded.
    pub me: Option<NodeId>,
    /// Names and link addresses of nodes; number 1 comes first.
    pub nodes: Vec<(String, Vec<IpAddr>)>,
    /// Names of interfaces, in the order of their numbers.
    pub interfaces: Vec<String>,
    /// Names of groups, also of former ones.
    pub groups: Vec<(GroupKey, String)>,
}

/// A whole recording.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Origin of the recording.
    pub header: Header,
    /// Segments, the oldest first.
    pub segments: Vec<Arc<Segment>>,
}

/// Reason why bytes are no recording that this program can read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Unreadable {
    /// The bytes begin otherwise than a recording.
    #[error("this is no flight recording")]
    Other,
    /// The recording has a later or earlier layout; the number is its format.
    #[error("the recording has format {0}, and this program reads format {FORMAT}: use the vipair that wrote it")]
    Format(u32),
    /// The engine that flew is not this program's.
    #[error(
        "the recording was made by vipair {version} with engine {engine}, and this is engine {ENGINE}: run \
         `vipair replay` of the program that made it"
    )]
    Engine {
        /// Version of the program that wrote the recording.
        version: String,
        /// Tag of that program's engine.
        engine: String,
    },
    /// The end is missing: offset of the last byte, and the part that is cut.
    #[error("the recording is cut short: it ends at byte {0}, within {1}")]
    Cut(usize, &'static str),
    /// The bytes are not those that were written: offset, and what is wrong there.
    #[error("the recording is damaged at byte {0}: {1}")]
    Damaged(usize, &'static str),
}

impl Recording {
    /// Writes the whole recording. A setup that several segments share is written once.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_be_bytes())?;
        section(out, HEADER, &[&encode(&self.header)?])?;
        let mut setup: Option<&Arc<engine::Setup>> = None;
        for segment in &self.segments {
            if !setup.is_some_and(|known| Arc::ptr_eq(known, &segment.setup)) {
                section(out, SETUP, &[&encode(&*segment.setup)?])?;
                setup = Some(&segment.setup);
            }
            let span = encode(&segment.span)?;
            let lengths = [length(&span)?, length(&segment.snapshot)?].concat();
            section(out, SEGMENT, &[&lengths, &span, &segment.snapshot, &segment.records])?;
        }
        section(out, END, &[&(self.segments.len() as u64).to_be_bytes()])
    }

    /// Reads what [`Recording::write`] wrote.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn read(bytes: &[u8]) -> Result<Recording, Unreadable> {
        let mut reader = Reader { bytes, offset: 0 };
        if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
            return Err(Unreadable::Cut(bytes.len(), "its first bytes"));
        }
        if !bytes.starts_with(MAGIC) {
            return Err(Unreadable::Other);
        }
        reader.offset = MAGIC.len();
        let format = u32::from_be_bytes(reader.take("its format")?);
        if format != FORMAT {
            return Err(Unreadable::Format(format));
        }
        let header: Header = match reader.section()? {
            (start, HEADER, payload) => decode(start, payload, "its header says nothing")?,
            (start, _, _) => return Err(Unreadable::Damaged(start, "a header should be here")),
        };
        if header.engine != ENGINE {
            return Err(Unreadable::Engine { version: header.version, engine: header.engine });
        }
        let segments = reader.segments()?;
        Ok(Recording { header, segments })
    }
}

/// Writes a section whose payload is the parts one after the other.
fn section(out: &mut impl Write, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
    let size = u32::try_from(parts.iter().map(|part| part.len()).sum::<usize>()).map_err(io::Error::other)?;
    let mut digest = Sha256::new();
    let head = [&[kind][..], &size.to_be_bytes()].concat();
    for part in [&head[..]].iter().chain(parts) {
        digest.update(part);
        out.write_all(part)?;
    }
    out.write_all(&digest.finalize()[..DIGEST])
}

/// A value in postcard.
fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    postcard::to_allocvec(value).map_err(io::Error::other)
}

/// Number of bytes, as four bytes of a section.
fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(bytes.len()).map(u32::to_be_bytes).map_err(io::Error::other)
}

/// A value encoded in exactly these bytes, which begin at offset `start` of the recording.
fn decode<'de, T: Deserialize<'de>>(start: usize, bytes: &'de [u8], wrong: &'static str) -> Result<T, Unreadable> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(Unreadable::Damaged(start, wrong)),
    }
}

/// Reader of a recording's bytes.
struct Reader<'a> {
    bytes: &'a [u8],
    /// Number of bytes read.
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Reads so many bytes of `what`.
    fn slice(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Unreadable> {
        let rest = &self.bytes[self.offset..];
        let taken = rest.get(..length).ok_or(Unreadable::Cut(self.bytes.len(), what))?;
        self.offset += length;
        Ok(taken)
    }

    /// Reads `N` bytes of `what`, which names the part in an error.
    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Unreadable> {
        let mut taken = [0; N];
        taken.copy_from_slice(self.slice(N, what)?);
        Ok(taken)
    }

    /// Reads a section: the offset of its beginning, its kind, and its payload.
    fn section(&mut self) -> Result<(usize, u8, &'a [u8]), Unreadable> {
        let start = self.offset;
        let [kind] = self.take("the beginning of a section")?;
        let what = match kind {
            HEADER => "its header",
            SETUP => "a setup",
            SEGMENT => "a segment",
            END => "its last section",
            _ => return Err(Unreadable::Damaged(start, "there is no section of this kind")),
        };
        let size = usize::try_from(u32::from_be_bytes(self.take(what)?)).unwrap_or(usize::MAX);
        let payload = self.slice(size, what)?;
        let digest = Sha256::digest(&self.bytes[start..self.offset]);
        if self.take::<DIGEST>(what)? != digest[..DIGEST] {
            return Err(Unreadable::Damaged(start, "a section's checksum does not fit"));
        }
        Ok((start, kind, payload))
    }

    /// Reads all segments, and the end after them.
    fn segments(&mut self) -> Result<Vec<Arc<Segment>>, Unreadable> {
        let mut segments = Vec::new();
        let mut setup: Option<Arc<engine::Setup>> = None;
        loop {
            match self.section()? {
                (start, SETUP, payload) => {
                    setup = Some(Arc::new(decode(start, payload, "a setup says nothing")?));
                }
                (start, SEGMENT, payload) => {
                    let setup =
                        setup.clone().ok_or(Unreadable::Damaged(start, "a segment comes before its setup"))?;
                    segments.push(Arc::new(segment(start, payload, setup)?));
                }
                (start, END, payload) => {
                    let count: Result<[u8; 8], _> = payload.try_into();
                    if count.ok().map(u64::from_be_bytes) != Some(segments.len() as u64) {
                        return Err(Unreadable::Damaged(start, "the number of segments is another"));
                    }
                    if self.offset != self.bytes.len() {
                        return Err(Unreadable::Damaged(self.offset, "something follows the end"));
                    }
                    return Ok(segments);
                }
                (start, _, _) => return Err(Unreadable::Damaged(start, "a second header")),
            }
        }
    }
}

/// A segment from the payload of its section, which begins at offset `start` of the recording.
fn segment(start: usize, payload: &[u8], setup: Arc<engine::Setup>) -> Result<Segment, Unreadable> {
    let wrong = "a segment's parts do not fit";
    let mut reader = Reader { bytes: payload, offset: 0 };
    let mut parts = || -> Option<(&[u8], &[u8], &[u8])> {
        let mut size = || Some(usize::try_from(u32::from_be_bytes(reader.take("").ok()?)).unwrap_or(usize::MAX));
        let (span, snapshot) = (size()?, size()?);
        let (span, snapshot) = (reader.slice(span, "").ok()?, reader.slice(snapshot, "").ok()?);
        Some((span, snapshot, &payload[reader.offset..]))
    };
    let (span, snapshot, records) = parts().ok_or(Unreadable::Damaged(start, wrong))?;
    let span: Span = decode(start, span, wrong)?;
    Ok(Segment { span, setup, snapshot: snapshot.to_vec(), records: records.to_vec() })
}
