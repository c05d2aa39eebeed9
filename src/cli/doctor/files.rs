//! Findings about the key file, the state directory, and the agent's socket.

use super::Finding;
use crate::config::{ClusterFile, KeyFile};
use crate::control::client::Client;
use crate::control::protocol::{Request, Response, StatusReport};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest time for a reservation to become durable without a warning. A slow disk delays no
/// takeover by itself.
const SLOW_DISK: Duration = Duration::from_millis(500);

/// The finding whether the key file can be used.
pub(super) fn key(cluster: &ClusterFile) -> Finding {
    match KeyFile::load(&cluster.key_file) {
        Ok(keys) => Finding::ok(format!("key file {}, keys: {}", cluster.key_file.display(), keys.keys.len())),
        Err(error) => Finding::fail(error.wrong(), error.right()),
    }
}

/// The finding whether the state directory can be written, and how fast: writes, syncs and removes
/// a small file. `made`: whether the agent's unit makes it when it is started.
pub(super) fn state_dir(path: &Path, made: bool) -> Finding {
    if made && !path.exists() {
        return Finding::ok(format!("state directory {} is made when the agent's unit is started", path.display()));
    }
    let probe = path.join(format!(".doctor.{}", std::process::id()));
    let begun = Instant::now();
    let written = std::fs::File::create_new(&probe).and_then(|mut file| {
        file.write_all(b"vipair doctor\n")?;
        file.sync_all()
    });
    let took = begun.elapsed();
    let removed = std::fs::remove_file(&probe);
    match (written, removed) {
        (Err(error), _) => {
            let remedy = format!("install -d -m 700 {}; is its file system full or read-only?", path.display());
            Finding::fail(format!("{} cannot be written: {error}", path.display()), remedy)
        }
        (Ok(()), Err(error)) => Finding::warn(
            format!("{} cannot be removed: {error}", probe.display()),
            "remove it; are files in this directory protected?",
        ),
        (Ok(()), Ok(())) if took > SLOW_DISK => Finding::warn(
            format!("{} takes {} ms to become durable", path.display(), took.as_millis()),
            "two takeovers within that time are not possible; use a faster disk",
        ),
        (Ok(()), Ok(())) => Finding::ok(format!("state directory {} can be written", path.display())),
    }
}

/// A finding for each machine that the agent cannot tell from another: then two may answer, or
/// nobody does.
pub(super) fn alike(status: &StatusReport) -> impl Iterator<Item = Finding> {
    status.alike.iter().map(|text| Finding::fail(text.clone(), "see `vipair status`"))
}

/// A finding for each way in which the file is not what the agent runs with: the next start would fail,
/// or be another one than expected.
pub(super) fn not_loaded(status: &StatusReport) -> impl Iterator<Item = Finding> {
    status
        .not_loaded
        .iter()
        .map(|text| Finding::fail(text.clone(), "correct the file, then `systemctl reload vipair`"))
}

/// A finding for each warning of the agent that no other question is about.
pub(super) fn warnings(status: &StatusReport) -> impl Iterator<Item = Finding> {
    let told = |text: &&String| status.alike.contains(text) || status.not_loaded.contains(text);
    let others = status.warnings.iter().filter(move |text| !told(text));
    others.map(|text| Finding::warn(format!("the agent warns: {text}"), "see `vipair status` and the guide"))
}

/// The finding whether the agent runs and is ready; and its status, if it answers.
pub(super) fn agent(socket: &Path) -> (Finding, Option<StatusReport>) {
    let answer = Client::connect(socket).and_then(|mut client| client.ask(&Request::Status));
    let finding = match &answer {
        Ok(Response::Status(status)) => {
            let waiting: Vec<String> = status
                .groups
                .iter()
                .filter(|group| !group.ready)
                .map(|group| format!("{} is not ready: {}", group.name, group.reason))
                .collect();
            if waiting.is_empty() {
                Finding::ok(format!("the agent runs (version {})", status.version))
            } else {
                Finding::warn(format!("the agent runs; {}", waiting.join("; ")), "see `vipair status`")
            }
        }
        Ok(Response::Outcome(outcome)) => Finding::warn("the agent refuses to tell its status", &outcome.message),
        Ok(Response::Recorded { .. } | Response::Running(_) | Response::Event(_) | Response::End) => {
            Finding::warn("the agent's answer is unreadable", "are agent and command of the same version?")
        }
        Err(error) => {
            let text = error.to_string();
            let (wrong, right) = text.split_once("; ").unwrap_or((&text, "see `journalctl -u vipair`"));
            Finding::warn(wrong, right)
        }
    };
    let status = if let Ok(Response::Status(status)) = answer { Some(*status) } else { None };
    (finding, status)
}
