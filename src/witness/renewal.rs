//! SIGHUP: a thread beside the loop reads and validates the file and the keys; the loop then takes
//! over all or nothing.
//!
//! Clusters may come and go, and keys and checks of a cluster may change. A cluster that stays
//! keeps its voter with all promises. A cluster that goes is not answered any more; its promises
//! stay on the disk, and if it comes back it abstains as after a start. A new `listen`, `number` or
//! `drift_ppm` is refused: these need a restart.

use super::clusters::{Cluster, load_keys};
use crate::config::{KeyFile, WitnessCluster, WitnessFile};
use crate::options::{Options, RunError};
use crate::reports::{Report, Reports};

/// Name of the file's copy in a directory that `lend` fills.
pub(super) const FILE: &str = "witness.toml";

/// A valid file, the keys of its clusters in the same order, and its new clusters, opened, with
/// their numbers.
pub(crate) struct Renewal {
    pub(super) file: WitnessFile,
    pub(super) keys: Vec<KeyFile>,
    pub(super) added: Vec<(usize, Cluster)>,
}

/// Reads the file again whenever asked, one reading at a time.
pub(super) struct Renewer {
    options: Options,
    /// The file that the loop works by.
    current: WitnessFile,
    reports: Reports,
    /// Whether a reading is under way.
    busy: bool,
    /// Whether a SIGHUP came during that reading, so that another one follows.
    again: bool,
}

impl Renewer {
    /// A renewer of a loop that works by the file `current`.
    pub fn new(options: Options, current: WitnessFile, reports: Reports) -> Renewer {
        Renewer { options, current, reports, busy: false, again: false }
    }

    /// Starts a reading on a thread of its own, or after the one under way. New clusters get
    /// numbers from `next` on. The result comes as [`Report::Renewed`].
    pub fn start_reading(&mut self, next: usize) {
        if std::mem::replace(&mut self.busy, true) {
            self.again = true;
            return;
        }
        let (options, current, reports) = (self.options.clone(), self.current.clone(), self.reports.clone());
        let read_and_report = move || {
            let renewal = read_renewal(&options, &current, next, &reports);
            reports.send(Report::Renewed(Box::new(renewal)));
        };
        if let Err(error) = std::thread::Builder::new().name("reload".into()).spawn(read_and_report) {
            self.busy = false;
            tracing::error!("reload: starting a thread: {error}; nothing has changed");
        }
    }

    /// Ends a reading: logs its result, and returns what the loop is to take over.
    pub fn handle_renewed(&mut self, renewal: Result<Renewal, RunError>) -> Option<Renewal> {
        self.busy = false;
        match renewal {
            Ok(renewal) => {
                tracing::info!("reload: {}", changes_text(&self.current, &renewal.file));
                self.current = renewal.file.clone();
                Some(renewal)
            }
            Err(error) => {
                tracing::error!("reload refused, nothing has changed: {error}");
                None
            }
        }
    }

    /// Starts another reading if a SIGHUP came during the last one.
    pub fn read_again_if_asked(&mut self, next: usize) {
        if std::mem::take(&mut self.again) {
            self.start_reading(next);
        }
    }
}

/// Reads and validates the file and its keys, and opens the clusters that the file `current` does
/// not have. These get numbers from `next` on.
fn read_renewal(
    options: &Options,
    current: &WitnessFile,
    next: usize,
    reports: &Reports,
) -> Result<Renewal, RunError> {
    let path = options.reload.as_ref().unwrap_or(&options.config);
    let file = WitnessFile::read(path)?;
    let keys = load_keys(path, &file)?;
    if let Some(why) = restart_reason(current, &file) {
        return Err(RunError::Failed(why));
    }
    let mut added = Vec::new();
    for (cluster, keys) in file.clusters.iter().zip(&keys) {
        if find_cluster(current, &cluster.name).is_none() {
            let number = next + added.len();
            added.push((number, Cluster::open(&options.state_dir, file.me, cluster, keys, (number, reports))?));
        }
    }
    Ok(Renewal { file, keys, added })
}

/// The cluster of this name in a file, if it has one.
pub(super) fn find_cluster<'f>(file: &'f WitnessFile, name: &str) -> Option<&'f WitnessCluster> {
    file.clusters.iter().find(|cluster| cluster.name == name)
}

/// Why a running witness cannot take over the other file without a restart; `None` if it can.
pub(super) fn restart_reason(current: &WitnessFile, other: &WitnessFile) -> Option<String> {
    let restart = "restart the witness for that";
    if other.listen != current.listen {
        return Some(format!("listen is {} and was {}: {restart}", other.listen, current.listen));
    }
    if other.me != current.me {
        return Some(format!("number is another one: {restart}"));
    }
    let drift =
        |new: &&WitnessCluster| find_cluster(current, &new.name).is_some_and(|old| old.drift_ppm != new.drift_ppm);
    let cluster = other.clusters.iter().find(drift)?;
    Some(format!("drift_ppm of cluster {} is another one: {restart}", cluster.name))
}

/// The differences between two files, as a sentence.
pub(super) fn changes_text(current: &WitnessFile, other: &WitnessFile) -> String {
    let missing_in = |file: &WitnessFile, of: &WitnessFile| {
        let is_missing = |cluster: &&WitnessCluster| find_cluster(file, &cluster.name).is_none();
        of.clusters.iter().filter(is_missing).map(|cluster| cluster.name.clone()).collect::<Vec<_>>().join(", ")
    };
    let checks = |new: &&WitnessCluster| find_cluster(current, &new.name).is_some_and(|old| old.checks != new.checks);
    let checks = other.clusters.iter().filter(checks).map(|cluster| cluster.name.as_str()).collect::<Vec<_>>();
    let parts = [
        ("clusters added", missing_in(current, other)),
        ("removed", missing_in(other, current)),
        ("with other checks", checks.join(", ")),
    ];
    let parts = parts.iter().filter(|(_, names)| !names.is_empty());
    let parts: Vec<String> = parts.map(|(what, names)| format!("{what}: {names}")).collect();
    let changes = if parts.is_empty() { "no cluster has changed".to_owned() } else { parts.join("; ") };
    format!("{changes}; the keys of all {} clusters are those of their files", other.clusters.len())
}
