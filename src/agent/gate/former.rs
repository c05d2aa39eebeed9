//! What an earlier life of the agent left beside the kernel: descriptors in systemd's store, and a
//! note of its programs' numbers.
//!
//! Owns: both. Never does: attach or detach. Without CAP_SYS_ADMIN the kernel neither opens a
//! program by its number nor tells its name: the descriptors are for adopting a running gate, and
//! the note is for knowing one that nobody kept descriptors of (the service was stopped), so that
//! it can be taken away. What cannot be written or read is as if there were nothing; a gate that is
//! not recognised stays behind the new one, and `vipair doctor` finds it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::bpf;
use super::place::Site;

/// Most numbers noted for one interface: those of two gates.
const MAX_NOTED: usize = 4;

/// What an earlier life left. The default is nothing.
#[derive(Debug, Default)]
pub struct Former {
    /// Descriptors of running gates, as [`super::Gate::descriptors`] gives them.
    kept: Vec<OwnedFd>,
    note: Option<Note>,
}

impl Former {
    /// Descriptors that were kept, and a note in the file at `note`, which is written as well. The
    /// file should be on a file system that never waits for a disk.
    #[must_use]
    pub fn new(kept: Vec<OwnedFd>, note: Option<&Path>) -> Former {
        Former { kept, note: note.map(|path| Note(path.to_owned())) }
    }

    /// Descriptor of the program with this number.
    ///
    /// # Errors
    /// As [`bpf::program_by_id`].
    pub(super) fn program(&self, id: u32) -> io::Result<OwnedFd> {
        bpf::program_by_id(id, &self.kept)
    }

    /// Descriptor of the map with this number.
    ///
    /// # Errors
    /// As [`bpf::map_by_id`].
    pub(super) fn map(&self, id: u32) -> io::Result<OwnedFd> {
        bpf::map_by_id(id, &self.kept)
    }

    /// The note, for a gate that will be replaced later.
    pub(super) fn note(&self) -> Option<Note> {
        self.note.clone()
    }
}

/// A file with a line for each interface: boot, network namespace, number of the interface, and
/// numbers of programs of ours that may be attached there, the newest first. The kernel gives no
/// number twice in one boot (kernel/bpf/syscall.c, bpf_prog_alloc_id, counts up).
#[derive(Clone, Debug)]
pub(super) struct Note(PathBuf);

impl Note {
    /// Numbers noted for this interface.
    pub(super) fn programs(&self, site: Site<'_>) -> Vec<u32> {
        let (Ok(text), Some(key)) = (std::fs::read_to_string(&self.0), key(site)) else { return Vec::new() };
        let line = text.lines().find_map(|line| line.strip_prefix(&key));
        line.into_iter().flat_map(str::split_whitespace).filter_map(|number| number.parse().ok()).collect()
    }

    /// Notes programs that are about to be attached, before those noted until now.
    pub(super) fn add(&self, site: Site<'_>, programs: [u32; 2]) {
        let before = self.programs(site);
        if programs.iter().all(|id| before.contains(id)) {
            return;
        }
        let mut all = programs.to_vec();
        all.extend(before);
        all.truncate(MAX_NOTED);
        if let Err(cause) = self.write(site, &all) {
            tracing::warn!(
                interface = site.name, %cause, file = %self.0.display(),
                "cannot note the gate's programs: a later life without CAP_SYS_ADMIN may not recognise them"
            );
        }
    }

    /// Writes the line of an interface, and leaves those of others.
    fn write(&self, site: Site<'_>, programs: &[u32]) -> io::Result<()> {
        let key = key(site).ok_or_else(|| io::Error::other("boot or network namespace cannot be told"))?;
        let boot = key.split(' ').next().unwrap_or_default();
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        // Lines of another boot are about programs that are gone.
        let others = text.lines().filter(|line| line.starts_with(boot) && !line.starts_with(&key));
        let numbers: Vec<String> = programs.iter().map(u32::to_string).collect();
        let mut lines: Vec<String> = others.map(str::to_owned).collect();
        lines.push(format!("{key}{}", numbers.join(" ")));
        let next = self.0.with_extension("next");
        std::fs::write(&next, lines.join("\n") + "\n")?;
        std::fs::rename(next, &self.0)
    }
}

/// Beginning of an interface's line; `None` if the kernel does not tell.
fn key(site: Site<'_>) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/thread-self/ns/net").ok()?;
    Some(format!("{} {} {} ", boot.trim(), namespace.display(), site.ifindex))
}
