//! The clusters of a witness: for each its keys, its voter, and the store of what that must not forget.

use super::{Options, Report, Reports, RunError, state, words};
use crate::config::{KeyFile, WitnessCluster, WitnessFile, digest};
use crate::effects::store::{self, Store, StoreHandle, cluster_hash};
use crate::types::{MonoTime, NodeId};
use crate::voter::{CheckSetup, Output, Voter, VoterSetup};
use crate::wire::auth::{KeyRing, Reject, Rejects};
use crate::wire::pulse::peek_cluster;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Nodes of a cluster: this version runs pairs.
const NODES: usize = 2;

struct Court {
    cluster: WitnessCluster,
    hash: u64,
    voter: Voter,
    store: StoreHandle,
}

/// All clusters, by number and by what a datagram says.
pub(super) struct Courts {
    courts: Vec<Court>,
    places: HashMap<u32, usize>,
    output: Output,
    /// What was of no cluster of ours.
    strays: Rejects,
}

impl Courts {
    /// Reads keys and states; all errors of configuration at once.
    pub fn open(options: &Options, file: &WitnessFile, reports: &Reports, now: MonoTime) -> Result<Courts, RunError> {
        let keys = load_keys(&options.config, file)?;
        make_directory(&options.state_dir)?;
        let mut courts = Vec::new();
        for (number, (cluster, keys)) in file.clusters.iter().zip(keys).enumerate() {
            courts.push(Court::open(&options.state_dir, file.me, cluster, &keys, (number, reports), now)?);
        }
        let number = |court: &Court| digest::cluster_number(&court.cluster.name);
        let places = courts.iter().map(number).zip(0..).collect();
        Ok(Courts { courts, places, output: Output::default(), strays: Rejects::default() })
    }

    /// Takes one datagram; what is to be answered, if its cluster is ours.
    pub fn handle(&mut self, now: MonoTime, bytes: &[u8]) -> Option<&Output> {
        let place = peek_cluster(bytes).and_then(|cluster| self.places.get(&cluster));
        let Some(court) = place.and_then(|place| self.courts.get_mut(*place)) else {
            self.strays.count(Reject::Addressee);
            return None;
        };
        self.output.clear();
        court.voter.handle(now, bytes, &mut self.output);
        court.follow(&self.output);
        Some(&self.output)
    }

    /// Takes what a disk or a check had to say.
    pub fn note(&mut self, report: Report) {
        match report {
            Report::Stored(cluster, version, Ok(())) => self.courts[cluster].voter.stored(version),
            Report::Stored(cluster, _, Err(error)) => {
                let name = &self.courts[cluster].cluster.name;
                tracing::error!("{name}: {error}; nothing new is granted until this can be written");
            }
            Report::Checked(cluster, check, healthy) => {
                self.output.clear();
                let court = &mut self.courts[cluster];
                court.voter.check(check, healthy, &mut self.output);
                court.follow(&self.output);
            }
        }
    }

    /// How many datagrams were turned away, of all clusters and of none.
    pub fn turned_away(&self) -> u64 {
        let totals = self.courts.iter().map(|court| court.voter.rejects().total());
        totals.fold(self.strays.total(), u64::saturating_add)
    }

    /// The same in words, for those clusters where there were any.
    pub fn reasons(&self) -> String {
        let court = |court: &Court| {
            let rejects = court.voter.rejects();
            (rejects.total() > 0).then(|| format!("{}: {rejects:?}", court.cluster.name))
        };
        let strays = format!("of no cluster of ours: {}", self.strays.total());
        std::iter::once(strays).chain(self.courts.iter().filter_map(court)).collect::<Vec<_>>().join("; ")
    }
}

impl Court {
    fn open(
        directory: &Path,
        me: NodeId,
        cluster: &WitnessCluster,
        keys: &KeyFile,
        (number, reports): (usize, &Reports),
        now: MonoTime,
    ) -> Result<Court, RunError> {
        let hash = cluster_hash(&cluster.name);
        let path = directory.join(format!("{hash:016x}"));
        let (store, found) = Store::open(&path, me, hash).map_err(|error| RunError::Failed(error.to_string()))?;
        match &found {
            store::Loaded::State { remark: Some(remark), .. } => tracing::warn!("{}: {remark}", cluster.name),
            store::Loaded::Damaged(what) => {
                tracing::error!(
                    "{}: {what}; it votes for nobody until both nodes have told everything",
                    cluster.name
                );
            }
            store::Loaded::State { remark: None, .. } | store::Loaded::Fresh => {}
        }
        let reports = reports.clone();
        let store = store
            .start(move |version, result| reports.send(Report::Stored(number, version, result)))
            .map_err(|error| RunError::Failed(format!("starting a store: {error}")))?;
        let setup = VoterSetup {
            me,
            cluster: digest::cluster_number(&cluster.name),
            keys: Arc::new(KeyRing::new(&cluster.name, &keys.keys)),
            session: session()?,
            drift_ppm: cluster.drift_ppm,
            nodes: NODES,
            loaded: state::loaded(&found),
            checks: cluster.checks.iter().map(check_setup).collect(),
            mutants: crate::mutant::Mutants::NONE,
        };
        Ok(Court { cluster: cluster.clone(), hash, voter: Voter::new(setup, now), store })
    }

    /// What follows from an event besides answers.
    fn follow(&self, output: &Output) {
        if let Some(version) = output.persist {
            self.store.write(version, state::state(&self.voter.memory(), self.voter.me(), self.hash));
        }
        for notice in &output.notices {
            match words::told(&self.cluster, *notice) {
                (true, text) => tracing::warn!("{text}"),
                (false, text) => tracing::info!("{text}"),
            }
        }
    }
}

fn check_setup(check: &crate::config::ServiceCheck) -> CheckSetup {
    CheckSetup { group: check.key, fall: check.fall, rise: check.rise }
}

/// The key files of all clusters.
pub(super) fn load_keys(path: &Path, file: &WitnessFile) -> Result<Vec<KeyFile>, RunError> {
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    for cluster in &file.clusters {
        match KeyFile::load(&cluster.key_file) {
            Ok(key) => keys.push(key),
            Err(error) => errors.push(WitnessFile::key_error(path, cluster, &error)),
        }
    }
    if errors.is_empty() { Ok(keys) } else { Err(crate::config::ConfigErrors { errors, omitted: 0 }.into()) }
}

fn make_directory(path: &Path) -> Result<(), RunError> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(RunError::Failed(format!("cannot create state directory {}: {error}", path.display()))),
    }
}

fn session() -> Result<u64, RunError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| RunError::Failed(format!("reading random bytes: {error}")))?;
    Ok(u64::from_be_bytes(bytes).max(1))
}
