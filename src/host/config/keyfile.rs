//! The cluster key: making it, and refusing one that others could know.
//!
//! Owns: the key file's form, its permissions, and its making. Never does: print a key. On failure
//! nothing is changed, and the error says how to put it right.
//!
//! A line is `ID KEY`: a number from 0 to 255 and 64 hexadecimal digits; blank lines and lines that
//! begin with `#` do not count. One or two keys are valid at once. The first key seals what this
//! node sends; either opens what it receives. So a key is replaced without a pause:
//! 1. `vipair keygen --id 2 new.key` on one node; append its line to the key file of *both* nodes,
//!    reload both.
//! 2. Move that line to the top on both nodes, reload both. Now both send with the new key.
//! 3. Remove the old line on both nodes, reload both.

use crate::io::shortage;
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most keys that can be valid at once.
pub const MAX_KEYS: usize = 2;
/// Largest key file, in bytes.
const MAX_BYTES: u64 = 4096;
/// Length of a key, in bytes.
const KEY_BYTES: usize = 32;
/// The mark that some editors put in front of a text in UTF-8, and do not show.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What is wrong with a file that begins with that mark.
const MARKED: &str = "begins with a byte order mark, which editors do not show";
/// What is wrong with a key that nobody has drawn.
const ZEROS: &str = "is a key of zeros, which anyone would guess";

/// The keys of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// One or two keys, each with its identifier. The first is used for sending, all are accepted.
    pub keys: Vec<(u8, [u8; KEY_BYTES])>,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys must not reach a log.
        f.debug_struct("KeyFile").field("ids", &self.keys.iter().map(|(id, _)| *id).collect::<Vec<_>>()).finish()
    }
}

/// Why a key file is refused. [`KeyFileError::right`] says what to do.
#[derive(Debug)]
pub enum KeyFileError {
    /// The file does not exist.
    Missing(PathBuf),
    /// The file could not be opened, read or written.
    Io(PathBuf, std::io::Error),
    /// The file that `keygen` was asked to make exists already.
    Exists(PathBuf),
    /// The path leads to no regular file, but to a directory, a device or a FIFO.
    NotRegular(PathBuf),
    /// The file belongs to the user with this number, who is neither root nor us.
    Owner(PathBuf, u32),
    /// The mode of the file gives rights to its group or to others.
    Mode(PathBuf, u32),
    /// A line that is no key (counted from 1; 0 for the file as a whole), and why.
    Content(PathBuf, usize, &'static str),
}

impl KeyFileError {
    /// Whether the file could not be read because the machine is short of something or its disk
    /// did not answer.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        matches!(self, KeyFileError::Io(_, error) if shortage::is_unread(error))
    }

    /// The mistake, as a phrase.
    #[must_use]
    pub fn wrong(&self) -> String {
        match self {
            KeyFileError::Missing(path) => format!("{} does not exist", path.display()),
            KeyFileError::Io(path, error) => format!("{}: {error}", path.display()),
            KeyFileError::Exists(path) => format!("{} exists already", path.display()),
            KeyFileError::NotRegular(path) => format!("{} is not a regular file", path.display()),
            KeyFileError::Owner(path, uid) => {
                format!("{} belongs to user {uid}, who could read and change it", path.display())
            }
            KeyFileError::Mode(path, mode) => {
                format!("{} has mode {mode:04o}: others than its owner have rights to it", path.display())
            }
            KeyFileError::Content(path, 0, why) => format!("{}: {why}", path.display()),
            KeyFileError::Content(path, line, why) => format!("{}:{line}: {why}", path.display()),
        }
    }

    /// The remedy: what would be right.
    #[must_use]
    pub fn right(&self) -> String {
        match self {
            KeyFileError::Missing(path) => {
                format!("make it with `vipair keygen {}` and copy it to the other node", path.display())
            }
            KeyFileError::Io(_, _) => "run as root, and see that the path is right".to_owned(),
            KeyFileError::Exists(_) => {
                "name a new file; to replace a key, `vipair keygen --id 2 NEW` and see the rotation in the guide"
                    .to_owned()
            }
            KeyFileError::NotRegular(_) => "name the file that `vipair keygen` made".to_owned(),
            KeyFileError::Owner(path, _) => format!("chown root:root {}", path.display()),
            KeyFileError::Mode(path, _) => format!("chmod 600 {}", path.display()),
            KeyFileError::Content(_, _, MARKED) => {
                "save it as plain text, UTF-8 without a byte order mark".to_owned()
            }
            KeyFileError::Content(_, _, ZEROS) => "make a random one with `vipair keygen`".to_owned(),
            KeyFileError::Content(_, _, _) => {
                "write one or two lines `ID KEY`: a number from 0 to 255 and 64 hexadecimal digits".to_owned()
            }
        }
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.wrong(), self.right())
    }
}

impl std::error::Error for KeyFileError {}

/// Fingerprint of a key, by which people and programs tell keys apart. It says nothing of the key
/// itself.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct KeyPrint {
    /// Identifier of the key in its file.
    pub id: u8,
    /// The first sixteen hexadecimal digits of a digest of the key.
    pub print: String,
}

impl KeyFile {
    /// Fingerprints of the keys, in the order of the file.
    #[must_use]
    pub fn prints(&self) -> Vec<KeyPrint> {
        let print = |key: &[u8; KEY_BYTES]| {
            let digest = Sha256::new().chain_update(b"vipair: print of a key").chain_update(key).finalize();
            digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
        };
        self.keys.iter().map(|(id, key)| KeyPrint { id: *id, print: print(key) }).collect()
    }

    /// Reads the keys at `path`. A symbolic link is followed; what counts is the file it leads to.
    ///
    /// # Errors
    /// The file is missing, no regular file, owned by neither root nor us, open to others, or not
    /// of the form that the head of this file tells. The caller shows the error and does not go on
    /// without a key.
    pub fn load(path: &Path) -> Result<KeyFile, KeyFileError> {
        let io = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
            _ => KeyFileError::Io(path.to_owned(), error),
        };
        // O_NONBLOCK: opening a FIFO must not wait for a writer. All checks are of the opened file:
        // the path may lead elsewhere a moment later.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(KeyFileError::NotRegular(path.to_owned()));
        }
        if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
            return Err(KeyFileError::Owner(path.to_owned(), metadata.uid()));
        }
        // What the service manager lends is root's, and its access list shows in the group's bits:
        // systemd.exec(5).
        let lent = std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|lent| path.starts_with(lent));
        if metadata.mode() & if lent { 0o037 } else { 0o077 } != 0 {
            return Err(KeyFileError::Mode(path.to_owned(), metadata.mode() & 0o7777));
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        KeyFile::parse(&bytes).map_err(|(line, why)| KeyFileError::Content(path.to_owned(), line, why))
    }

    /// Parses the content of a key file.
    ///
    /// # Errors
    /// The number of a line (0: the file as a whole) and what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<KeyFile, (usize, &'static str)> {
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
            return Err((0, "is larger than 4 KiB"));
        }
        if bytes.starts_with(BYTE_ORDER_MARK) {
            return Err((1, MARKED));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| (0, "is not text"))?;
        let mut keys: Vec<(u8, [u8; KEY_BYTES])> = Vec::new();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, hex) = line.split_once(char::is_whitespace).ok_or((number, "has no key after its number"))?;
            let id: u8 = id.parse().map_err(|_| (number, "does not begin with a number from 0 to 255"))?;
            let key = from_hex(hex.trim()).ok_or((number, "has no key of 64 hexadecimal digits"))?;
            if key == [0; KEY_BYTES] {
                return Err((number, ZEROS));
            }
            if keys.iter().any(|(other, _)| *other == id) {
                return Err((number, "has the number of another key"));
            }
            if keys.len() == MAX_KEYS {
                return Err((number, "is a third key, and two can be valid at once"));
            }
            keys.push((id, key));
        }
        if keys.is_empty() { Err((0, "holds no key")) } else { Ok(KeyFile { keys }) }
    }
}

/// The key that 64 hexadecimal digits write; `None` for any other text.
fn from_hex(text: &str) -> Option<[u8; KEY_BYTES]> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 2 * KEY_BYTES { bytes.try_into().ok() } else { None }
}

/// Makes a key file with one random key, readable by its owner only. An existing file is never
/// touched.
///
/// # Errors
/// The file exists, or cannot be written; then none is left behind.
pub fn generate(path: &Path, id: u8) -> Result<(), KeyFileError> {
    let io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => KeyFileError::Io(path.to_owned(), error),
    };
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| io(std::io::Error::other(error.to_string())))?;
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    let written = writeln!(file, "{id} {hex}").and_then(|()| file.sync_all()).and_then(|()| sync_directory(path));
    written.map_err(|error| {
        // Best effort: the file is ours and half made; the error that matters is the one that is
        // returned.
        let _unremovable = std::fs::remove_file(path);
        io(error)
    })
}

/// Makes the name of a new file durable, by syncing its directory.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}
