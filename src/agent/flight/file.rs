//! A recording as bytes, and back.
//!
//! Layout: magic (8), format (4), then sections: kind (1), length of the payload (4), payload, the first eight bytes of
//! SHA-256 over kind, length and payload. Numbers in network byte order. Kinds: header, setup, segment, end. A setup
//! comes before the segments that begin with it; the end says how many segments there are, so a file that was cut
//! between two sections is found, too. Payloads are postcard, which has no names of fields: only the engine that wrote
//! a snapshot reads it, and the header says which that was.
//! Never does: touch a file. Bytes that are no recording give a reason and a position, never a panic; nothing is
//! allocated that is not there.

use super::ring::{Segment, Span};
use crate::engine::Setup;
use crate::types::{GroupKey, NodeId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use thiserror::Error;

/// No recording is larger: the ring, a setup per segment, and room.
pub const MAX_FILE: u64 = 64 << 20;
/// Names the source of the engine that this program was built with.
pub const ENGINE: &str = vipair_proto::ENGINE_TAG;

const MAGIC: &[u8; 8] = b"vipairF\n";
const FORMAT: u32 = 1;
const DIGEST: usize = 8;

const HEADER: u8 = 1;
const SETUP: u8 = 2;
const SEGMENT: u8 = 3;
const END: u8 = 4;

/// Who wrote it, when and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The program's version.
    pub version: String,
    /// Its engine: [`ENGINE`].
    pub engine: String,
    /// The node's name.
    pub node: String,
    /// The cluster's name.
    pub cluster: String,
    /// When it was written, in milliseconds since 1970 by the wall clock.
    pub written: u64,
    /// Why: a word such as `takeover`.
    pub reason: String,
    /// What things are called.
    pub book: Book,
}

/// What things are called. The engine knows numbers only.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Book {
    /// The node that recorded.
    pub me: Option<NodeId>,
    /// Names and link addresses of nodes; number 1 comes first.
    pub nodes: Vec<(String, Vec<IpAddr>)>,
    /// Names of interfaces.
    pub interfaces: Vec<String>,
    /// Names of groups, of former ones, too.
    pub groups: Vec<(GroupKey, String)>,
}

/// A whole recording.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Who, when and why.
    pub header: Header,
    /// What happened.
    pub segments: Vec<Arc<Segment>>,
}

/// Why bytes are no recording that this program can use.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Unreadable {
    /// It begins otherwise.
    #[error("this is no flight recording")]
    Other,
    /// A later or earlier layout.
    #[error("the recording has format {0}, and this program reads format {FORMAT}: use the vipair that wrote it")]
    Format(u32),
    /// The engine that flew is another one.
    #[error(
        "the recording was made by vipair {version} with engine {engine}, and this is engine {ENGINE}: run \
         `vipair replay` of the program that made it"
    )]
    Engine {
        /// Version of the program that wrote it.
        version: String,
        /// Its engine.
        engine: String,
    },
    /// The end is missing.
    #[error("the recording is cut short: it ends at byte {0}, within {1}")]
    Cut(usize, &'static str),
    /// It is not what was written.
    #[error("the recording is damaged at byte {0}: {1}")]
    Damaged(usize, &'static str),
}

impl Recording {
    /// Writes it all. A setup that several segments share is written once.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_be_bytes())?;
        section(out, HEADER, &[&encode(&self.header)?])?;
        let mut setup: Option<&Arc<Setup>> = None;
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
        let mut reader = Reader { bytes, at: 0 };
        if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
            return Err(Unreadable::Cut(bytes.len(), "its first bytes"));
        }
        if !bytes.starts_with(MAGIC) {
            return Err(Unreadable::Other);
        }
        reader.at = MAGIC.len();
        let format = u32::from_be_bytes(reader.take("its format")?);
        if format != FORMAT {
            return Err(Unreadable::Format(format));
        }
        let header: Header = match reader.section()? {
            (at, HEADER, payload) => decode(at, payload, "its header says nothing")?,
            (at, _, _) => return Err(Unreadable::Damaged(at, "a header should be here")),
        };
        if header.engine != ENGINE {
            return Err(Unreadable::Engine { version: header.version, engine: header.engine });
        }
        let segments = reader.segments()?;
        Ok(Recording { header, segments })
    }
}

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

fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    postcard::to_allocvec(value).map_err(io::Error::other)
}

fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(bytes.len()).map(u32::to_be_bytes).map_err(io::Error::other)
}

fn decode<'de, T: Deserialize<'de>>(at: usize, bytes: &'de [u8], wrong: &'static str) -> Result<T, Unreadable> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(Unreadable::Damaged(at, wrong)),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Unreadable> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..length).ok_or(Unreadable::Cut(self.bytes.len(), what))?;
        self.at += length;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Unreadable> {
        let mut taken = [0; N];
        taken.copy_from_slice(self.slice(N, what)?);
        Ok(taken)
    }

    /// Where a section begins, its kind, and its payload.
    fn section(&mut self) -> Result<(usize, u8, &'a [u8]), Unreadable> {
        let start = self.at;
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
        let digest = Sha256::digest(&self.bytes[start..self.at]);
        if self.take::<DIGEST>(what)? != digest[..DIGEST] {
            return Err(Unreadable::Damaged(start, "a section's checksum does not fit"));
        }
        Ok((start, kind, payload))
    }

    fn segments(&mut self) -> Result<Vec<Arc<Segment>>, Unreadable> {
        let mut segments = Vec::new();
        let mut setup: Option<Arc<Setup>> = None;
        loop {
            match self.section()? {
                (at, SETUP, payload) => setup = Some(Arc::new(decode(at, payload, "a setup says nothing")?)),
                (at, SEGMENT, payload) => {
                    let setup = setup.clone().ok_or(Unreadable::Damaged(at, "a segment comes before its setup"))?;
                    segments.push(Arc::new(segment(at, payload, setup)?));
                }
                (at, END, payload) => {
                    let count: Result<[u8; 8], _> = payload.try_into();
                    if count.ok().map(u64::from_be_bytes) != Some(segments.len() as u64) {
                        return Err(Unreadable::Damaged(at, "the number of segments is another"));
                    }
                    if self.at != self.bytes.len() {
                        return Err(Unreadable::Damaged(self.at, "something follows the end"));
                    }
                    return Ok(segments);
                }
                (at, _, _) => return Err(Unreadable::Damaged(at, "a second header")),
            }
        }
    }
}

fn segment(at: usize, payload: &[u8], setup: Arc<Setup>) -> Result<Segment, Unreadable> {
    let wrong = "a segment's parts do not fit";
    let mut reader = Reader { bytes: payload, at: 0 };
    let mut part = || -> Option<(&[u8], &[u8], &[u8])> {
        let mut size = || Some(usize::try_from(u32::from_be_bytes(reader.take("").ok()?)).unwrap_or(usize::MAX));
        let (span, snapshot) = (size()?, size()?);
        let (span, snapshot) = (reader.slice(span, "").ok()?, reader.slice(snapshot, "").ok()?);
        Some((span, snapshot, &payload[reader.at..]))
    };
    let (span, snapshot, records) = part().ok_or(Unreadable::Damaged(at, wrong))?;
    let span: Span = decode(at, span, wrong)?;
    Ok(Segment { span, setup, snapshot: snapshot.to_vec(), records: records.to_vec() })
}
