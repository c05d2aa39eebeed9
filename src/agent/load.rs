//! Reading the configuration at the start, and the addresses by which a node finds itself in it.
//!
//! Owns: nothing. Never does: open a socket. At boot, under a service manager, addresses may come
//! late and are waited for; anything else that is wrong ends the start at once.

use crate::config::{self, ClusterFile, ReadFile};
use crate::io::local::{self, LocalAddress};
use crate::io::{clock, systemd};
use crate::options::{RunError, RunOptions};
use std::time::Duration;

/// Longest wait for an address of this node's links. Less than the unit's TimeoutStartSec; more
/// than its StartLimitIntervalSec / StartLimitBurst, so that systemd never gives up.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(20);
/// Interval between two looks for such an address.
const ADDRESS_PAUSE: Duration = Duration::from_millis(100);

/// Reads the configuration. At boot the addresses by which a node finds itself can come late (DHCP,
/// a link without a signal), although the file is right; an agent of a service manager waits for
/// them, and exit code 1 lets the manager start it again and again. A person at a terminal is told
/// at once.
///
/// # Errors
/// When the file is wrong, when it names no link of this machine or gives a group an address of its
/// own, or when the machine's addresses cannot be read.
pub(crate) fn load(options: &RunOptions) -> Result<ReadFile, RunError> {
    let patience = clock::now() + ADDRESS_PATIENCE;
    let mut told = false;
    loop {
        let local =
            local::addresses().map_err(|error| RunError::failed("reading this machine's addresses", &error))?;
        let errors = match config::load(&options.config, options.node.as_deref(), &local) {
            Ok(read) => return Ok(read),
            Err(errors) => errors,
        };
        if errors.unread {
            return Err(RunError::Short(errors.to_string()));
        }
        if !systemd::is_manager() || options.node.is_some() || !is_stranger(options, &local) {
            return Err(errors.into());
        }
        if clock::now() >= patience {
            return Err(RunError::Failed(errors.to_string()));
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("waiting for an address of this node's links: {errors}");
        }
        std::thread::sleep(ADDRESS_PAUSE);
    }
}

/// Whether the file is right and none of its links begins at an address of this machine.
fn is_stranger(options: &RunOptions, local: &[LocalAddress]) -> bool {
    let local = local::bare(local);
    ClusterFile::read(&options.config)
        .is_ok_and(|file| file.nodes.iter().flat_map(|node| &node.links).all(|link| !local.contains(link)))
}
