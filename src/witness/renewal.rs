//! SIGHUP: the file and the keys are read again and judged beside the loop, which then takes over all of it or nothing.
//!
//! Clusters may come and go, and keys and checks of a cluster may change. A cluster that stays keeps its voter with all
//! promises. One that goes is not answered any more; what it promised stays on the disk, and if it comes back it abstains
//! like after a start. Where the witness listens, its number, and the bound on a cluster's clocks take a restart.

use super::courts::{Court, load_keys};
use crate::config::{KeyFile, WitnessCluster, WitnessFile};
use crate::options::{Options, RunError};
use crate::reports::{Report, Reports};

/// What a copy of the file is called.
pub(super) const FILE: &str = "witness.toml";

/// A file that was found right, with the keys of its clusters in order, and what its new clusters need.
pub(crate) struct Renewal {
    pub(super) file: WitnessFile,
    pub(super) keys: Vec<KeyFile>,
    pub(super) added: Vec<(usize, Court)>,
}

/// Reads the file again, one time after the other.
pub(super) struct Renewer {
    options: Options,
    /// The file that counts.
    current: WitnessFile,
    reports: Reports,
    busy: bool,
    /// Asked for while it was busy.
    again: bool,
}

impl Renewer {
    pub fn new(options: Options, current: WitnessFile, reports: Reports) -> Renewer {
        Renewer { options, current, reports, busy: false, again: false }
    }

    /// Begins; new clusters get numbers from `next` on. The answer comes as [`Report::Renewed`].
    pub fn begin(&mut self, next: usize) {
        if std::mem::replace(&mut self.busy, true) {
            self.again = true;
            return;
        }
        let (options, current, reports) = (self.options.clone(), self.current.clone(), self.reports.clone());
        let read = move || {
            let renewal = read(&options, &current, next, &reports);
            reports.send(Report::Renewed(Box::new(renewal)));
        };
        if let Err(error) = std::thread::Builder::new().name("reload".into()).spawn(read) {
            self.busy = false;
            tracing::error!("reload: starting a thread: {error}; nothing has changed");
        }
    }

    /// Says what came of it; what is to be taken over.
    pub fn judged(&mut self, renewal: Result<Renewal, RunError>) -> Option<Renewal> {
        self.busy = false;
        match renewal {
            Ok(renewal) => {
                tracing::info!("reload: {}", told(&self.current, &renewal.file));
                self.current = renewal.file.clone();
                Some(renewal)
            }
            Err(error) => {
                tracing::error!("reload refused, nothing has changed: {error}");
                None
            }
        }
    }

    /// Begins once more if that was asked for meanwhile.
    pub fn go_on(&mut self, next: usize) {
        if std::mem::take(&mut self.again) {
            self.begin(next);
        }
    }
}

fn read(options: &Options, current: &WitnessFile, next: usize, reports: &Reports) -> Result<Renewal, RunError> {
    let path = options.reload.as_ref().unwrap_or(&options.config);
    let file = WitnessFile::read(path)?;
    let keys = load_keys(path, &file)?;
    if let Some(why) = takes_a_restart(current, &file) {
        return Err(RunError::Failed(why));
    }
    let mut added = Vec::new();
    for (cluster, keys) in file.clusters.iter().zip(&keys) {
        if named(current, &cluster.name).is_none() {
            let number = next + added.len();
            added.push((number, Court::open(&options.state_dir, file.me, cluster, keys, (number, reports))?));
        }
    }
    Ok(Renewal { file, keys, added })
}

pub(super) fn named<'f>(file: &'f WitnessFile, name: &str) -> Option<&'f WitnessCluster> {
    file.clusters.iter().find(|cluster| cluster.name == name)
}

/// Why a running witness cannot go on with the other file.
pub(super) fn takes_a_restart(current: &WitnessFile, other: &WitnessFile) -> Option<String> {
    let restart = "restart the witness for that";
    if other.listen != current.listen {
        return Some(format!("listen is {} and was {}: {restart}", other.listen, current.listen));
    }
    if other.me != current.me {
        return Some(format!("number is another one: {restart}"));
    }
    let drift = |new: &&WitnessCluster| named(current, &new.name).is_some_and(|old| old.drift_ppm != new.drift_ppm);
    let cluster = other.clusters.iter().find(drift)?;
    Some(format!("drift_ppm of cluster {} is another one: {restart}", cluster.name))
}

/// What is different in the other file.
pub(super) fn told(current: &WitnessFile, other: &WitnessFile) -> String {
    let missing_in = |file: &WitnessFile, of: &WitnessFile| {
        let is_missing = |cluster: &&WitnessCluster| named(file, &cluster.name).is_none();
        of.clusters.iter().filter(is_missing).map(|cluster| cluster.name.clone()).collect::<Vec<_>>().join(", ")
    };
    let checks = |new: &&WitnessCluster| named(current, &new.name).is_some_and(|old| old.checks != new.checks);
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
