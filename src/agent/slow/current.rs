//! What the agent runs with at present, read by every part of the slow side.
//!
//! Owns: one configuration, the text and the keys it came with, and the names in it. Never does:
//! change by parts; a reload replaces all of it at the moment the hot thread has changed over.

use crate::config::{Config, Group, KeyFile};
use crate::types::{GroupId, GroupKey};
use crate::words::Names;

/// The present configuration and what belongs to it.
pub(crate) struct Current {
    pub config: Config,
    /// Text of the file that `config` was read from.
    pub text: String,
    pub keys: KeyFile,
    pub names: Names,
}

impl Current {
    /// A configuration with the text and the keys that it came with.
    pub fn new(config: Config, text: String, keys: KeyFile) -> Current {
        let names = Names::new(&config);
        Current { config, text, keys, names }
    }

    /// The group that the hot thread calls `id` in what it publishes.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.config.groups.get(usize::from(id.0))
    }

    /// Name of a group; "?" once a reload has removed it.
    pub fn group_name(&self, key: GroupKey) -> String {
        let group = self.config.groups.iter().find(|group| group.key == key);
        group.map_or_else(|| "?".to_owned(), |group| group.name.clone())
    }

    /// Name of this node.
    pub fn my_name(&self) -> &str {
        self.names.node(self.config.me)
    }
}

/// Numbers of the groups as the hot thread will count them when it takes the next order. While a
/// reload is under way, they are those of the configuration that was ordered, not of [`Current`].
#[derive(Clone, Copy)]
pub(crate) struct Numbering<'c>(pub &'c Config);

impl Numbering<'_> {
    /// Number of a group; `None` if it has been removed.
    pub fn of(self, key: GroupKey) -> Option<GroupId> {
        let at = self.0.groups.iter().position(|group| group.key == key)?;
        u16::try_from(at).ok().map(GroupId)
    }

    /// Number of the group that an operator named.
    ///
    /// # Errors
    /// When there is no such group: a sentence with the names that exist.
    pub fn named(self, name: &str) -> Result<GroupId, String> {
        let groups = &self.0.groups;
        let at = groups.iter().position(|group| group.name == name);
        at.and_then(|at| u16::try_from(at).ok()).map(GroupId).ok_or_else(|| {
            let known: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
            format!("no group \"{name}\"; there is {}", known.join(", "))
        })
    }
}
