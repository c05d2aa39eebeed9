//! Rules about one value, whatever table it stands in: names, addresses, words from a list.
//!
//! Owns: the rules that several files of validation share, and the list of addresses in use. Never
//! does: know a table. On failure each broken rule is one error in the report.

use super::address::{self, Use};
use super::error::Report;
use super::nearest::nearest;
use super::walk::{At, Element};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

/// Longest name of a cluster, node or group, in bytes.
const MAX_NAME: usize = 64;

/// Reports a name that is empty, too long, or has letters that file names, commands and logs would
/// stumble over.
pub(super) fn validate_name(key: &str, name: &At<String>, report: &mut Report<'_>) {
    let right = "use 1 to 64 letters (A-Z a-z), digits, '.', '_' and '-', beginning with a letter or digit";
    let text = &name.value;
    let wrong = if text.is_empty() {
        "is empty".to_owned()
    } else if text.len() > MAX_NAME {
        format!("has {} bytes", text.len())
    } else if let Some(letter) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-".contains(*c))) {
        format!("\"{text}\" contains {letter:?}")
    } else if text.starts_with(['.', '_', '-']) {
        format!("\"{text}\" begins with {:?}", &text[..1])
    } else {
        return;
    };
    report.add(name.line, key, wrong, right);
}

/// A time in milliseconds as people write it, with at most three decimals.
pub(super) fn millis(time: Duration) -> String {
    let text = format!("{:.3}", time.as_secs_f64() * 1000.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text for an error that says what would be right in place of a wrong word: "did you mean …?" if
/// one of `known` is near, else the list of all.
pub(super) fn one_of(given: &str, known: &[&str]) -> String {
    match nearest(given, known.iter().copied()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("write one of {}", known.join(", ")),
    }
}

/// Addresses in use, each with the line and the key of its first use.
pub(super) type Taken = HashMap<IpAddr, (usize, &'static str)>;

/// Parses one element of a list of addresses; `None` if it is wrong, which has been reported.
pub(super) fn parse_element(key: &str, text: &Element, used_as: Use, report: &mut Report<'_>) -> Option<IpAddr> {
    parse_address(key, text.line, text.value.as_deref()?, used_as, report)
}

/// Parses the address that stands at `key`; `None` if it is wrong, which has been reported.
pub(super) fn parse_address(
    key: &str,
    line: usize,
    text: &str,
    used_as: Use,
    report: &mut Report<'_>,
) -> Option<IpAddr> {
    match address::parse(text, used_as) {
        Ok(address) => Some(address),
        Err((wrong, right)) => {
            report.add(line, key, wrong, right);
            None
        }
    }
}

/// Marks `address` as used here, and reports an address that was used before.
pub(super) fn take_address(
    address: IpAddr,
    line: usize,
    key: &'static str,
    taken: &mut Taken,
    report: &mut Report<'_>,
) {
    match taken.entry(address) {
        Entry::Vacant(entry) => {
            entry.insert((line, key));
        }
        Entry::Occupied(entry) => {
            let (first, by) = *entry.get();
            let wrong = format!("{address} is used in line {first} already ({by})");
            report.add(line, key, wrong, "use every address of the file once");
        }
    }
}

/// Reports each name that occurs again after its first use.
pub(super) fn report_duplicates<'n>(key: &str, names: impl Iterator<Item = &'n At<String>>, report: &mut Report<'_>) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for At { line, value } in names {
        match seen.entry(value) {
            Entry::Vacant(entry) => {
                entry.insert(*line);
            }
            Entry::Occupied(entry) => {
                let wrong = format!("\"{value}\" is the name in line {} already", entry.get());
                report.add(*line, key, wrong, "give each its own name");
            }
        }
    }
}
