//! The clusters of a witness: for each its keys, its voter, and the store of what that must not forget.

use super::probes::Probes;
use super::renewal::{Renewal, named};
use super::{state, words};
use crate::config::{KeyFile, ServiceCheck, WitnessCluster, WitnessFile, digest};
use crate::io::clock;
use crate::options::{Options, RunError};
use crate::reports::{Report, Reports};
use crate::store::{self, Store, StoreHandle, cluster_hash};
use crate::types::{MonoTime, NodeId};
use crate::voter::{CheckSetup, Output, Voter, VoterSetup};
use crate::wire::auth::{KeyRing, Reject, Rejects};
use crate::wire::pulse::peek_cluster;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Nodes of a cluster: this version runs pairs.
const NODES: usize = 2;

pub(super) struct Court {
    cluster: WitnessCluster,
    hash: u64,
    voter: Voter,
    store: StoreHandle,
    /// What results of its present checks carry.
    series: u64,
}

/// All clusters, by number and by what a datagram says. No number is given twice.
pub(super) struct Courts {
    courts: BTreeMap<usize, Court>,
    places: HashMap<u32, usize>,
    probes: Probes,
    next: usize,
    output: Output,
    /// What was of no cluster of ours.
    strays: Rejects,
}

impl Courts {
    /// Reads keys and states; all errors of configuration at once.
    pub fn open(
        options: &Options,
        file: &WitnessFile,
        probes: Probes,
        reports: &Reports,
    ) -> Result<Courts, RunError> {
        let keys = load_keys(&options.config, file)?;
        make_directory(&options.state_dir)?;
        let (output, strays) = (Output::default(), Rejects::default());
        let (courts, places) = (BTreeMap::new(), HashMap::new());
        let mut courts = Courts { courts, places, probes, next: 0, output, strays };
        for (number, (cluster, keys)) in file.clusters.iter().zip(&keys).enumerate() {
            let court = Court::open(&options.state_dir, file.me, cluster, keys, (number, reports))?;
            courts.add(number, court);
        }
        Ok(courts)
    }

    /// The number of the next cluster.
    pub fn next(&self) -> usize {
        self.next
    }

    fn add(&mut self, number: usize, mut court: Court) {
        court.series = self.probes.follow(number, &court.cluster.checks);
        self.places.insert(digest::cluster_number(&court.cluster.name), number);
        self.courts.insert(number, court);
        self.next = self.next.max(number + 1);
    }

    /// Goes on with another file. A cluster that stays keeps its voter.
    pub fn renew(&mut self, renewal: Renewal) {
        let Renewal { file, keys, added } = renewal;
        let is_gone = |(_, court): &(&usize, &Court)| named(&file, &court.cluster.name).is_none();
        let gone: Vec<usize> = self.courts.iter().filter(is_gone).map(|(number, _)| *number).collect();
        for number in gone {
            self.courts.remove(&number);
            self.places.retain(|_, place| *place != number);
            self.probes.end(number);
        }
        for (cluster, keys) in file.clusters.iter().zip(&keys) {
            let staying = self.courts.iter_mut().find(|(_, court)| court.cluster.name == cluster.name);
            let Some((number, court)) = staying else { continue };
            court.voter.set_keys(ring(cluster, keys));
            if court.cluster.checks != cluster.checks {
                court.series = self.probes.follow(*number, &cluster.checks);
                self.output.clear();
                court.voter.set_checks(&setups(cluster), &mut self.output);
                court.follow(&self.output);
            }
            court.cluster = cluster.clone();
        }
        for (number, court) in added {
            self.add(number, court);
        }
    }

    /// Takes one datagram; what is to be answered, if its cluster is ours.
    pub fn handle(&mut self, now: MonoTime, bytes: &[u8]) -> Option<&Output> {
        let place = peek_cluster(bytes).and_then(|cluster| self.places.get(&cluster));
        let Some(court) = place.and_then(|place| self.courts.get_mut(place)) else {
            self.strays.count(Reject::Addressee);
            return None;
        };
        self.output.clear();
        court.voter.handle(now, bytes, &mut self.output);
        court.follow(&self.output);
        Some(&self.output)
    }

    /// Takes what a disk or a check had to say. Of a cluster that is gone nothing matters any more.
    pub fn note(&mut self, report: Report) {
        match report {
            Report::Stored(cluster, version, result) => {
                let Some(court) = self.courts.get_mut(&cluster) else { return };
                match result {
                    Ok(()) => court.voter.stored(version),
                    Err(error) => {
                        let name = &court.cluster.name;
                        tracing::error!("{name}: {error}; nothing new is granted until this can be written");
                    }
                }
            }
            Report::Checked((cluster, series, check), healthy) => {
                let court = self.courts.get_mut(&cluster).filter(|court| court.series == series);
                if let Some(court) = court {
                    self.output.clear();
                    court.voter.check(check, healthy, &mut self.output);
                    court.follow(&self.output);
                }
            }
            Report::Hangup | Report::Renewed(_) => {}
        }
    }

    /// How many datagrams were turned away, of all clusters and of none.
    pub fn turned_away(&self) -> u64 {
        let totals = self.courts.values().map(|court| court.voter.rejects().total());
        totals.fold(self.strays.total(), u64::saturating_add)
    }

    /// The same in words, for those clusters where there were any.
    pub fn reasons(&self) -> String {
        let court = |court: &Court| {
            let rejects = court.voter.rejects();
            (rejects.total() > 0).then(|| format!("{}: {rejects:?}", court.cluster.name))
        };
        let strays = format!("of no cluster of ours: {}", self.strays.total());
        std::iter::once(strays).chain(self.courts.values().filter_map(court)).collect::<Vec<_>>().join("; ")
    }
}

impl Court {
    /// Reads what it must remember, and begins as after a start.
    pub fn open(
        directory: &Path,
        me: NodeId,
        cluster: &WitnessCluster,
        keys: &KeyFile,
        (number, reports): (usize, &Reports),
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
            keys: ring(cluster, keys),
            session: session()?,
            drift_ppm: cluster.drift_ppm,
            nodes: NODES,
            loaded: state::loaded(&found),
            checks: setups(cluster),
            mutants: crate::mutant::Mutants::NONE,
        };
        let voter = Voter::new(setup, clock::now());
        Ok(Court { cluster: cluster.clone(), hash, voter, store, series: 0 })
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

fn setups(cluster: &WitnessCluster) -> Vec<CheckSetup> {
    let setup = |check: &ServiceCheck| CheckSetup { group: check.key, fall: check.fall, rise: check.rise };
    cluster.checks.iter().map(setup).collect()
}

fn ring(cluster: &WitnessCluster, keys: &KeyFile) -> Arc<KeyRing> {
    Arc::new(KeyRing::new(&cluster.name, &keys.keys))
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
