//! The clusters of a witness: for each its keys, its voter, and the store of what the voter must
//! not forget.
//!
//! Owns: which voter a datagram or a report is for. Never does: decide a vote (the voter does) or
//! wait for a disk. A store that cannot write is logged; its voter then grants nothing new until
//! the disk takes the state.

use super::probes::Probes;
use super::renewal::{Renewal, find_cluster};
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
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Nodes of a cluster: this version runs pairs.
const NODES: usize = 2;

/// One cluster that the witness votes in.
pub(super) struct Cluster {
    /// The cluster's part of the file.
    config: WitnessCluster,
    /// The cluster's name in its state files.
    hash: u64,
    voter: Voter,
    store: StoreHandle,
    /// Series of the checks that run now. Results of an earlier series are dropped.
    series: u64,
    /// Where the last datagram came from that was turned away.
    turned_away: Option<SocketAddr>,
}

/// All clusters of a witness.
pub(super) struct Clusters {
    /// Each cluster by its number in reports. No number is given twice.
    by_number: BTreeMap<usize, Cluster>,
    /// The number of a cluster by the cluster field of its datagrams.
    numbers: HashMap<u32, usize>,
    probes: Probes,
    /// The number that the next new cluster gets.
    next: usize,
    /// Answers and notices of the voter that was called last.
    output: Output,
    /// Datagrams that named no cluster of ours.
    strays: Rejects,
    /// Where the last of them came from.
    last_stray: Option<SocketAddr>,
}

impl Clusters {
    /// Opens every cluster of `file` with its keys: reads its stored state, and starts its store and
    /// its checks.
    ///
    /// # Errors
    /// [`RunError::Failed`] when a state directory cannot be used.
    pub fn open(
        options: &Options,
        (file, keys): (&WitnessFile, &[KeyFile]),
        probes: Probes,
        reports: &Reports,
    ) -> Result<Clusters, RunError> {
        make_directory(&options.state_dir)?;
        let (output, strays) = (Output::default(), Rejects::default());
        let (by_number, numbers) = (BTreeMap::new(), HashMap::new());
        let mut clusters = Clusters { by_number, numbers, probes, next: 0, output, strays, last_stray: None };
        for (number, (config, keys)) in file.clusters.iter().zip(keys).enumerate() {
            let cluster = Cluster::open(&options.state_dir, file.me, config, keys, (number, reports))?;
            clusters.add(number, cluster);
        }
        Ok(clusters)
    }

    /// The number that the next new cluster gets.
    pub fn next_number(&self) -> usize {
        self.next
    }

    /// Adds a cluster under `number` and starts its checks.
    fn add(&mut self, number: usize, mut cluster: Cluster) {
        cluster.series = self.probes.start_checks(number, &cluster.config.checks);
        self.numbers.insert(digest::cluster_number(&cluster.config.name), number);
        self.by_number.insert(number, cluster);
        self.next = self.next.max(number + 1);
    }

    /// Takes over another file: removes, changes and adds clusters. A cluster that stays keeps its
    /// voter and its promises.
    pub fn apply_renewal(&mut self, renewal: Renewal) {
        let Renewal { file, keys, added } = renewal;
        let is_gone = |(_, cluster): &(&usize, &Cluster)| find_cluster(&file, &cluster.config.name).is_none();
        let gone: Vec<usize> = self.by_number.iter().filter(is_gone).map(|(number, _)| *number).collect();
        for number in gone {
            self.by_number.remove(&number);
            self.numbers.retain(|_, other| *other != number);
            self.probes.stop_checks(number);
        }
        for (config, keys) in file.clusters.iter().zip(&keys) {
            let staying = self.by_number.iter_mut().find(|(_, cluster)| cluster.config.name == config.name);
            let Some((number, cluster)) = staying else { continue };
            cluster.voter.set_keys(key_ring(config, keys));
            if cluster.config.checks != config.checks {
                cluster.series = self.probes.start_checks(*number, &config.checks);
                self.output.clear();
                cluster.voter.set_checks(&check_setups(config), &mut self.output);
                cluster.carry_out(&self.output);
            }
            cluster.config = config.clone();
        }
        for (number, cluster) in added {
            self.add(number, cluster);
        }
    }

    /// Hands one datagram to the voter of its cluster. Returns the answers; `None` if the cluster
    /// is not ours.
    pub fn handle_datagram(&mut self, now: MonoTime, bytes: &[u8], from: SocketAddr) -> Option<&Output> {
        let number = peek_cluster(bytes).and_then(|cluster| self.numbers.get(&cluster));
        let Some(cluster) = number.and_then(|number| self.by_number.get_mut(number)) else {
            self.strays.count(Reject::Cluster);
            self.last_stray = Some(from);
            return None;
        };
        self.output.clear();
        let before = cluster.voter.rejects().total();
        cluster.voter.handle(now, bytes, &mut self.output);
        if cluster.voter.rejects().total() != before {
            cluster.turned_away = Some(from);
        }
        cluster.carry_out(&self.output);
        Some(&self.output)
    }

    /// Hands what a store or a check reports to its voter. Reports about a cluster that is gone are
    /// dropped.
    pub fn handle_report(&mut self, report: Report) {
        match report {
            Report::Stored(number, version, result) => {
                let Some(cluster) = self.by_number.get_mut(&number) else { return };
                match result {
                    Ok(()) => cluster.voter.stored(version),
                    Err(error) => {
                        let name = &cluster.config.name;
                        tracing::error!("{name}: {error}; nothing new is granted until this can be written");
                    }
                }
            }
            Report::Checked((number, series, check), healthy) => {
                let cluster = self.by_number.get_mut(&number).filter(|cluster| cluster.series == series);
                if let Some(cluster) = cluster {
                    self.output.clear();
                    cluster.voter.check(check, healthy, &mut self.output);
                    cluster.carry_out(&self.output);
                }
            }
            Report::Hangup | Report::Renewed(_) => {}
        }
    }

    /// Number of datagrams turned away since the start, of all clusters and of none.
    pub fn turned_away(&self) -> u64 {
        let totals = self.by_number.values().map(|cluster| cluster.voter.rejects().total());
        totals.fold(self.strays.total(), u64::saturating_add)
    }

    /// The counts behind [`Clusters::turned_away`] as a sentence; what there was nothing of is left
    /// out.
    pub fn turned_away_words(&self) -> String {
        let strays = ("of no cluster of ours", &self.strays, self.last_stray);
        let clusters = self.by_number.values();
        let known =
            clusters.map(|cluster| (cluster.config.name.as_str(), cluster.voter.rejects(), cluster.turned_away));
        let all = std::iter::once(strays).chain(known).filter(|(_, rejects, _)| rejects.total() > 0);
        let words = |(name, rejects, last): (&str, &Rejects, Option<SocketAddr>)| {
            let counts = Reject::ALL.into_iter().map(|reject| (reject.name(), rejects.of(reject)));
            let counts: Vec<String> =
                counts.filter(|(_, count)| *count > 0).map(|(reason, count)| format!("{reason} {count}")).collect();
            let last = last.map_or(String::new(), |from| format!(", the last one from {from}"));
            format!("{name}: {}{last}", counts.join(", "))
        };
        all.map(words).collect::<Vec<_>>().join("; ")
    }
}

impl Cluster {
    /// Reads the stored state, starts the store's thread, and makes the voter, which abstains as
    /// after every start.
    pub fn open(
        directory: &Path,
        me: NodeId,
        config: &WitnessCluster,
        keys: &KeyFile,
        (number, reports): (usize, &Reports),
    ) -> Result<Cluster, RunError> {
        let hash = cluster_hash(&config.name);
        let path = directory.join(format!("{hash:016x}"));
        let (store, found) = Store::open(&path, me, hash).map_err(|error| RunError::Failed(error.to_string()))?;
        match &found {
            store::Loaded::State { remark: Some(remark), .. } => tracing::warn!("{}: {remark}", config.name),
            store::Loaded::Damaged(what) => {
                tracing::error!("{}: {what}; it votes for nobody until both nodes have told everything", config.name);
            }
            store::Loaded::State { remark: None, .. } | store::Loaded::Fresh => {}
        }
        let reports = reports.clone();
        let store = store
            .start(move |version, result| reports.send(Report::Stored(number, version, result)))
            .map_err(|error| RunError::Failed(format!("starting a store: {error}")))?;
        let setup = VoterSetup {
            me,
            cluster: digest::cluster_number(&config.name),
            keys: key_ring(config, keys),
            session: random_session()?,
            drift_ppm: config.drift_ppm,
            nodes: NODES,
            loaded: state::loaded(&found),
            checks: check_setups(config),
            mutants: crate::mutant::Mutants::NONE,
        };
        let voter = Voter::new(setup, clock::now());
        Ok(Cluster { config: config.clone(), hash, voter, store, series: 0, turned_away: None })
    }

    /// Stores and logs what the voter's output asks for. Its answers are the caller's to send.
    fn carry_out(&self, output: &Output) {
        if let Some(version) = output.persist {
            self.store.write(version, state::state(&self.voter.memory(), self.voter.me(), self.hash));
        }
        for notice in &output.notices {
            match words::notice_text(&self.config, *notice) {
                (true, text) => tracing::warn!("{text}"),
                (false, text) => tracing::info!("{text}"),
            }
        }
    }
}

/// The checks of a cluster as its voter counts them, in the order of the file.
fn check_setups(config: &WitnessCluster) -> Vec<CheckSetup> {
    let setup = |check: &ServiceCheck| CheckSetup { group: check.key, fall: check.fall, rise: check.rise };
    config.checks.iter().map(setup).collect()
}

/// The keys of a cluster, ready to open and seal datagrams.
fn key_ring(config: &WitnessCluster, keys: &KeyFile) -> Arc<KeyRing> {
    Arc::new(KeyRing::new(&config.name, &keys.keys))
}

/// Reads the key files of all clusters of `file`, which stands at `path`.
///
/// # Errors
/// [`RunError::Configuration`] with every key file that is wrong.
pub(super) fn load_keys(path: &Path, file: &WitnessFile) -> Result<Vec<KeyFile>, RunError> {
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    for cluster in &file.clusters {
        match KeyFile::load(&cluster.key_file) {
            Ok(key) => keys.push(key),
            Err(error) => errors.push(WitnessFile::key_error(path, cluster, &error)),
        }
    }
    if errors.is_empty() {
        Ok(keys)
    } else {
        Err(crate::config::ConfigErrors { errors, omitted: 0, unread: false }.into())
    }
}

/// Takes the clusters out of `file`, which stands at `path`, whose key files cannot be used, and logs what
/// is wrong with each: the others are not to go without a witness for them. Returns the keys of those that
/// stay, in their order.
///
/// # Errors
/// [`RunError::Configuration`] with every key file that is wrong, when none is right.
pub(super) fn keep_usable(path: &Path, file: &mut WitnessFile) -> Result<Vec<KeyFile>, RunError> {
    let found: Vec<_> = file.clusters.iter().map(|cluster| KeyFile::load(&cluster.key_file)).collect();
    if found.iter().all(Result::is_err) {
        return load_keys(path, file);
    }
    let (mut found, mut keys) = (found.into_iter(), Vec::new());
    file.clusters.retain(|cluster| match found.next() {
        Some(Ok(key)) => {
            keys.push(key);
            true
        }
        Some(Err(error)) => {
            let right = unlent(&cluster.key_file).unwrap_or_else(|| error.right());
            tracing::error!("cluster {} is left out: {}; {right}", cluster.name, error.wrong());
            false
        }
        None => false,
    });
    Ok(keys)
}

/// What to do about a key file that the service manager does not lend; `None` for a file that lies
/// elsewhere.
pub(super) fn unlent(key_file: &Path) -> Option<String> {
    let lent = std::env::var_os("CREDENTIALS_DIRECTORY")?;
    let name = key_file.strip_prefix(lent).ok()?.display();
    Some(format!(
        "`systemctl edit vipair-witness`: [Service] LoadCredential={name}:/etc/vipair/{name}; \
         until the next start `systemctl reload vipair-witness` brings it, too"
    ))
}

/// Makes the directory above all state directories if it is missing, for its owner alone.
fn make_directory(path: &Path) -> Result<(), RunError> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(RunError::Failed(format!("cannot create state directory {}: {error}", path.display()))),
    }
}

/// A random session number, never 0.
fn random_session() -> Result<u64, RunError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| RunError::Failed(format!("reading random bytes: {error}")))?;
    Ok(u64::from_be_bytes(bytes).max(1))
}
