//! One TOML table, read key by key.
//!
//! Owns: type errors, unknown keys with the nearest known one, missing keys, and the line of every
//! value. Never does: validate a value beyond its type and range. On failure the error goes to the
//! report and the value is `None`: a `None` that is read later has been reported.

use super::error::Report;
use super::nearest::nearest;
use super::schema::Schema;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and the line it stands in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct At<T> {
    /// Number of the line, counted from 1.
    pub(crate) line: usize,
    /// The value that stands there.
    pub(crate) value: T,
}

/// One element of a list of strings; the value is `None` if the element has another type, which has
/// been reported.
pub(crate) type Element = At<Option<String>>;

/// A table of the file and where it begins.
pub(crate) struct Table<'d> {
    /// The keys that the table may have.
    pub(crate) schema: &'static Schema,
    /// Line of the table's header.
    pub(crate) line: usize,
    entries: &'d DeTable<'d>,
}

impl<'d> Table<'d> {
    /// Opens a table and reports its unknown keys. `everywhere` has all tables of the file: of a
    /// key in the wrong table the report says where it belongs.
    pub(crate) fn open(
        schema: &'static Schema,
        everywhere: &[&'static Schema],
        line: usize,
        entries: &'d DeTable<'d>,
        report: &mut Report<'_>,
    ) -> Table<'d> {
        for (key, _) in entries.iter() {
            let name: &str = key.get_ref();
            if schema.keys.contains(&name) {
                continue;
            }
            let home = everywhere.iter().find(|other| other.keys.contains(&name));
            let right = match (nearest(name, schema.keys.iter().copied()), home) {
                (Some(meant), _) => format!("did you mean \"{meant}\"?"),
                (None, Some(home)) if home.header.is_empty() => {
                    format!("\"{name}\" belongs to the top of the file, before the first table")
                }
                (None, Some(home)) => format!("\"{name}\" belongs to {}", home.header),
                (None, None) => format!("known here: {}", schema.keys.join(", ")),
            };
            report.add(report.line_of(key.span().start), &path_of(schema, name), "unknown key", right);
        }
        Table { schema, line, entries }
    }

    /// `key` with its table in front, as errors show it.
    pub(crate) fn path(&self, key: &str) -> String {
        path_of(self.schema, key)
    }

    /// The value of `key`, of whatever type, and the line of the key; `None` without the key.
    pub(crate) fn get(&self, key: &str, report: &Report<'_>) -> Option<(usize, &'d Spanned<DeValue<'d>>)> {
        let (name, value) = self.entries.get_key_value(key)?;
        Some((report.line_of(name.span().start), value))
    }

    /// Whether `key` is there, with whatever value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Reports `key` if it is missing. `right` says what to write.
    pub(crate) fn require(&self, key: &str, right: &str, report: &mut Report<'_>) {
        if !self.has(key) {
            let missing = match self.schema.header {
                "" => "missing at the top of the file".to_owned(),
                header => format!("missing in this {header}"),
            };
            report.add_missing(self.line, &self.path(key), missing, right);
        }
    }

    /// Reports that `key` has a value of the wrong type. `right` says what to write.
    pub(crate) fn wrong_type(
        &self,
        key: &str,
        line: usize,
        value: &DeValue<'_>,
        right: &str,
        report: &mut Report<'_>,
    ) {
        report.add(line, &self.path(key), format!("is {}", described(value)), right);
    }

    /// The string at `key`. `right` says what to write if the value has another type.
    pub(crate) fn string(&self, key: &str, right: &str, report: &mut Report<'_>) -> Option<At<String>> {
        let (line, value) = self.get(key, report)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At { line, value: text.to_string() }),
            other => {
                self.wrong_type(key, line, other, right, report);
                None
            }
        }
    }

    /// The boolean at `key`.
    pub(crate) fn boolean(&self, key: &str, report: &mut Report<'_>) -> Option<At<bool>> {
        let (line, value) = self.get(key, report)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(At { line, value: *value }),
            other => {
                self.wrong_type(key, line, other, "write true or false, without quotes", report);
                None
            }
        }
    }

    /// The whole number at `key`, which must be in `range`. `unit` follows the bounds in errors: `
    /// ms`, or nothing.
    pub(crate) fn number(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
        unit: &str,
        report: &mut Report<'_>,
    ) -> Option<At<u64>> {
        let (line, value) = self.get(key, report)?;
        let right = format!("write a whole number from {} to {}{unit}, without quotes", range.start(), range.end());
        let DeValue::Integer(digits) = value.get_ref() else {
            self.wrong_type(key, line, value.get_ref(), &right, report);
            return None;
        };
        match u64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(value) if range.contains(&value) => Some(At { line, value }),
            Ok(_) | Err(_) => {
                report.add(line, &self.path(key), format!("{digits} is out of range"), right);
                None
            }
        }
    }

    /// The list of strings at `key`. An element of another type is reported, and its value is
    /// `None`.
    pub(crate) fn strings(&self, key: &str, right: &str, report: &mut Report<'_>) -> Option<At<Vec<Element>>> {
        let (line, value) = self.get(key, report)?;
        let DeValue::Array(elements) = value.get_ref() else {
            self.wrong_type(key, line, value.get_ref(), right, report);
            return None;
        };
        let mut strings = Vec::with_capacity(elements.len());
        for element in elements.iter() {
            let line = report.line_of(element.span().start);
            let value = element.get_ref().as_str().map(str::to_owned);
            if value.is_none() {
                self.wrong_type(key, line, element.get_ref(), right, report);
            }
            strings.push(At { line, value });
        }
        Some(At { line, value: strings })
    }
}

/// `path.key`, or `key` at the top of the file. TOML permits a key of no letters, which is shown as
/// it is written.
fn path_of(schema: &Schema, key: &str) -> String {
    let key = if key.is_empty() { "\"\"" } else { key };
    if schema.path.is_empty() { key.to_owned() } else { format!("{}.{key}", schema.path) }
}

/// The type of a value in words, with the value where that helps.
pub(crate) fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string \"{}\"", text.chars().take(40).collect::<String>()),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the fraction {number}"),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
