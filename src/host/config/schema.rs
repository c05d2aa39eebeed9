//! The tables of the nodes' file, and the keys that each may have.
//!
//! Owns: every key's name. Never does: read a value or know what it means. Nothing here fails.

/// One table of a file: its header and its keys.
pub struct Schema {
    /// The header as written: `[timing]`, `[[node]]`; empty for the top of the file.
    pub header: &'static str,
    /// The prefix of the table's keys in errors: `timing`, `group.check`; empty for the top of the
    /// file.
    pub path: &'static str,
    /// The names of all keys that the table may have.
    pub keys: &'static [&'static str],
}

pub(super) const ROOT: Schema =
    Schema { header: "", path: "", keys: &["cluster", "key_file", "timing", "node", "witness", "group"] };
pub(super) const TIMING: Schema = Schema {
    header: "[timing]",
    path: "timing",
    keys: &["profile", "pulse_ms", "silence_ms", "lease_ms", "drift_ppm"],
};
pub(super) const NODE: Schema = Schema { header: "[[node]]", path: "node", keys: &["name", "links"] };
pub(super) const WITNESS: Schema =
    Schema { header: "[witness]", path: "witness", keys: &["address", "addresses", "port", "strict"] };
pub(super) const GROUP: Schema = Schema {
    header: "[[group]]",
    path: "group",
    keys: &[
        "name",
        "interface",
        "uplinks",
        "addresses",
        "prefer",
        "preempt",
        "preempt_delay_ms",
        "drain_ms",
        "promote",
        "units",
        "tickle",
        "check",
        "hooks",
    ],
};
pub(super) const CHECK: Schema = Schema {
    header: "[[group.check]]",
    path: "group.check",
    keys: &[
        "kind",
        "interval_ms",
        "timeout_ms",
        "fall",
        "rise",
        "weight",
        "address",
        "port",
        "path",
        "status",
        "body",
        "host",
        "process",
        "pidfile",
        "unit",
        "command",
        "user",
    ],
};
pub(super) const HOOKS: Schema = Schema {
    header: "[group.hooks]",
    path: "group.hooks",
    keys: &["before_open", "after_open", "before_close", "after_close", "on_fault", "timeout_ms", "on_failure"],
};

/// All tables of the nodes' file: a key in the wrong table can be told where it belongs.
pub(super) const EVERYWHERE: [&Schema; 7] = [&ROOT, &TIMING, &NODE, &WITNESS, &GROUP, &CHECK, &HOOKS];
