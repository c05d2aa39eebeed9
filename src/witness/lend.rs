//! Copies of the witness's file and keys for a user who cannot read the originals.
//!
//! systemd lends files to a service when the service starts (LoadCredential=), and does not renew
//! them at a reload: so the unit's reload runs this as root. The directory belongs to that user,
//! who is trusted with the keys and with nothing else: no link in it is followed, and each copy is
//! a new file that replaces the one before.

use super::clusters::{load_keys, unlent};
use super::renewal;
use crate::config::WitnessFile;
use crate::options::RunError;
use nix::unistd::{Gid, Uid, fchown};
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Validates the file at `path` and its keys, and copies all of them to `directory`, readable by
/// its owner alone. Logs which keys the service manager will not lend at the next start.
///
/// # Errors
/// [`RunError::Configuration`] with everything that is wrong; nothing is copied then.
/// [`RunError::Failed`] when a key file is not in the same directory as the file, or something
/// cannot be read or written.
pub fn lend(path: &Path, directory: &Path) -> Result<(), RunError> {
    let file = WitnessFile::read(path)?;
    load_keys(path, &file)?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let mut names = Vec::new();
    for cluster in &file.clusters {
        let name = cluster.key_file.strip_prefix(beside).unwrap_or(&cluster.key_file);
        if name.components().count() != 1 || name.file_name().is_none() {
            let what = format!("{} of cluster {} is not beside {}", name.display(), cluster.name, path.display());
            return Err(RunError::Failed(what));
        }
        if let Some(lent) = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
            && !lent.join(name).exists()
            && let Some(right) = unlent(&lent.join(name))
        {
            tracing::warn!(
                "the next start leaves cluster {} out: the unit lends no {}; {right}",
                cluster.name,
                name.display()
            );
        }
        names.push(name.to_owned());
    }
    let failed = |what: &Path, cause: &io::Error| RunError::Failed(format!("lending {}: {cause}", what.display()));
    let owner = std::fs::metadata(directory).map_err(|cause| failed(directory, &cause))?;
    let owner = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    for name in &names {
        copy(&beside.join(name), &directory.join(name), owner).map_err(|cause| failed(name, &cause))?;
    }
    // The file comes last: a reader of the new one finds the keys that it names.
    copy(path, &directory.join(renewal::FILE), owner).map_err(|cause| failed(path, &cause))
}

/// Copies one file to a new file that belongs to `user` and `group`, mode 0400, and renames it to
/// `to`.
fn copy(from: &Path, to: &Path, (user, group): (Uid, Gid)) -> io::Result<()> {
    let mut content = Vec::new();
    std::fs::File::open(from)?.read_to_end(&mut content)?;
    let mut name = std::ffi::OsString::from(".new.");
    name.push(to.file_name().unwrap_or_default());
    let new = to.with_file_name(name);
    match std::fs::remove_file(&new) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        Ok(()) | Err(_) => {}
    }
    // `create_new` follows no link, even one made since the line above.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&new)?;
    file.write_all(&content)?;
    fchown(&file, Some(user), Some(group))?;
    std::fs::rename(&new, to)
}
