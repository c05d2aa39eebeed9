//! Sentences for the log about a voter's decisions.

use crate::config::WitnessCluster;
use crate::types::{GroupKey, NodeId};
use crate::voter::Notice;

/// A notice as one line of the log, and whether it is a warning.
pub(super) fn notice_text(cluster: &WitnessCluster, notice: Notice) -> (bool, String) {
    let group = |key: GroupKey| {
        let known = cluster.checks.iter().find(|check| check.key == key);
        known.map_or_else(|| format!("group {:016x}", key.0), |check| format!("group {}", check.group))
    };
    let name = &cluster.name;
    match notice {
        Notice::Session(node) => (false, format!("{name}: node {} is heard", node.0)),
        Notice::Granted(key, node, epoch) => {
            (false, format!("{name}: {} is granted to node {} (epoch {epoch})", group(key), node.0))
        }
        Notice::Released(key, node, epoch) => {
            (false, format!("{name}: {} was given up by node {} (epoch {epoch})", group(key), node.0))
        }
        Notice::Lapsed(key, node, epoch) => {
            let text = format!("{name}: node {} is heard no more for {} (epoch {epoch})", node.0, group(key));
            (true, text)
        }
        Notice::Faulty(key, true) => (true, format!("{name}: {} has a fault", group(key))),
        Notice::Faulty(key, false) => (false, format!("{name}: {} has no fault any more", group(key))),
        Notice::Stray(node, wanted) => {
            let wanted = wanted.0.saturating_sub(NodeId::FIRST_WITNESS.0) + 1;
            let text = format!(
                "{name}: node {} takes this witness for number {wanted}, which is not its number: \
                 is `number` in this file the \
                 place of the witness in the nodes' list?",
                node.0
            );
            (true, text)
        }
        Notice::Votes => (false, format!("{name}: what may have been promised before is over; it votes")),
        Notice::Crowded => {
            (true, format!("{name}: there are more than {} groups; the others get no vote", crate::voter::MAX_GROUPS))
        }
    }
}
