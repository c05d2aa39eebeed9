//! One page, asked for by the smallest request of HTTP/1.1.
//!
//! Owns: the request and the reading of the answer, no further than the verdict needs. Never does:
//! keep a connection, or follow a redirect. Whatever is not the wanted answer is a failed attempt.

use crate::config::HttpCheck;
use crate::io::dial;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// Most bytes read of an answer's header.
const MAX_HEADER: usize = 16 * 1024;
/// Most bytes read of an answer's body.
const MAX_BODY: usize = 64 * 1024;

/// Fetches the page and compares it with what the check wants.
///
/// # Errors
/// The reason: no connection, no answer in time, or another answer than the wanted one.
pub(super) async fn attempt(check: &HttpCheck, patience: Duration) -> Result<(), String> {
    let end = Instant::now() + patience;
    let connection = dial::connect(check.target, patience).await?;
    let late = |_| Err(format!("no answer within {} ms", patience.as_millis()));
    tokio::time::timeout_at(end, exchange(check, connection)).await.unwrap_or_else(late)
}

/// Sends the request and reads the answer until it decides.
async fn exchange(check: &HttpCheck, mut connection: tokio::net::TcpStream) -> Result<(), String> {
    connection.write_all(request(check).as_bytes()).await.map_err(|error| format!("asking: {error}"))?;
    let mut answer = Vec::with_capacity(2048);
    loop {
        let taken = connection.read_buf(&mut answer).await;
        let taken = taken.map_err(|error| format!("reading the answer: {error}"))?;
        let whole = taken == 0 || answer.len() >= MAX_HEADER + MAX_BODY;
        if let Some(result) = compare(check, &answer, whole) {
            return result;
        }
        if whole {
            return Err("the answer ends before it says anything".to_owned());
        }
    }
}

/// The request for the page, as bytes of HTTP/1.1.
fn request(check: &HttpCheck) -> String {
    let HttpCheck { path, host, .. } = check;
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: vipair/{version}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
}

/// Result of the check that follows from the bytes read so far; `None` while more are needed.
/// `whole`: whether no more bytes will come.
pub(super) fn compare(check: &HttpCheck, answer: &[u8], whole: bool) -> Option<Result<(), String>> {
    let mut rest = answer;
    loop {
        let Some(line_end) = find(rest, b"\r\n") else {
            let hopeless = whole || rest.len() > MAX_HEADER;
            return hopeless.then(|| Err("the answer is no HTTP".to_owned()));
        };
        let status = match status(&rest[..line_end]) {
            Some(status) => status,
            None => return Some(Err("the answer is no HTTP".to_owned())),
        };
        // RFC 9110, section 15.2: interim answers come before the one that counts.
        let interim = (100..200).contains(&status);
        if !interim && !check.status.contains(&status) {
            return Some(Err(format!("status {status}")));
        }
        let Some(body) = &check.body else {
            if !interim {
                return Some(Ok(()));
            }
            rest = &rest[find(rest, b"\r\n\r\n")? + 4..];
            continue;
        };
        let Some(header) = find(rest, b"\r\n\r\n") else {
            let hopeless = whole || rest.len() > MAX_HEADER;
            return hopeless.then(|| Err("the answer's header has no end".to_owned()));
        };
        let (header, content) = (&rest[..header], &rest[header + 4..]);
        if interim {
            rest = content;
            continue;
        }
        return compare_body(body, header, content, whole);
    }
}

/// Result of the check by the answer's body: success if it contains the wanted text `body`; `None`
/// while more bytes may bring it. `header` and `content` are what was read of the answer.
fn compare_body(body: &str, header: &[u8], content: &[u8], whole: bool) -> Option<Result<(), String>> {
    let header = String::from_utf8_lossy(header).to_ascii_lowercase();
    let value =
        |name: &str| header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let chunked = value("transfer-encoding").is_some_and(|codings| codings.contains("chunked"));
    let length = value("content-length").and_then(|length| length.parse::<usize>().ok());
    let (text, ended) = if chunked {
        unchunked(content)
    } else {
        (content.to_vec(), length.is_some_and(|length| content.len() >= length))
    };
    let seen = &text[..text.len().min(MAX_BODY)];
    if find(seen, body.as_bytes()).is_some() {
        return Some(Ok(()));
    }
    let over = ended || whole || text.len() >= MAX_BODY;
    over.then(|| Err(format!("the body does not have {body:?}")))
}

/// Content of whole and begun chunks (RFC 9112, section 7.1), and whether it has ended: after the
/// last chunk, or at bytes that are no chunk.
fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    loop {
        let Some(end) = find(rest, b"\r\n") else { return (text, false) };
        let size = String::from_utf8_lossy(&rest[..end]);
        let size = size.split(';').next().unwrap_or_default().trim().to_owned();
        let Ok(size) = usize::from_str_radix(&size, 16) else { return (text, true) };
        if size == 0 {
            return (text, true);
        }
        rest = &rest[end + 2..];
        text.extend_from_slice(&rest[..size.min(rest.len())]);
        match size.checked_add(2).and_then(|next| rest.get(next..)) {
            Some(next) => rest = next,
            None => return (text, false),
        }
    }
}

/// Status in a line such as `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.strip_prefix("HTTP/1.")?.split(' ');
    words.next()?;
    words.next()?.parse().ok()
}

/// Offset of the first place where `wanted` stands in `bytes`.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
