//! Validation of `[witness]`: what the nodes' file says of its witnesses becomes values, or errors.
//!
//! Owns: every rule about `[witness]`. Never does: ask whether a witness can be reached. On failure
//! each broken rule is one error in the report and validation goes on.

use super::Witness;
use super::address::Use;
use super::error::Report;
use super::raw::{RawNode, RawWitness};
use super::value::{Taken, parse_address, take_address};
use super::walk::At;
use crate::types::NodeId;
use crate::wire::pulse::PORT;
use std::net::IpAddr;

/// Most witnesses: their numbers follow those of nodes and fit in a byte.
pub const MAX_WITNESSES: usize = (u8::MAX - NodeId::FIRST_WITNESS.0) as usize + 1;
/// Name of a single witness, for people and in `status`. No node may have it.
const NAME: &str = "witness";

/// Validates the witnesses of a file. `taken` has the link addresses, and gets those of the
/// witnesses. The value is meaningful only if the report stays empty.
pub(super) fn validate(raw: &RawWitness, nodes: &[RawNode], taken: &mut Taken, report: &mut Report<'_>) -> Witness {
    if let (Some(_), Some(At { line, .. })) = (&raw.address, &raw.addresses) {
        let right = "write address for one witness, addresses for several";
        report.add(*line, "witness.addresses", "is written beside witness.address", right);
    }
    for name in nodes.iter().filter_map(|node| node.name.as_ref()).filter(|name| name.value == NAME) {
        report.add(name.line, "node.name", "\"witness\" is what the witness is called", "give the node another name");
    }
    let address = raw
        .address
        .as_ref()
        .and_then(|text| validate_address("witness.address", text.line, &text.value, taken, report));
    let addresses = raw.addresses.as_ref().map_or(Vec::new(), |written| validate_addresses(written, taken, report));
    Witness {
        addresses: address.into_iter().chain(addresses).collect(),
        port: raw.port.as_ref().and_then(|at| u16::try_from(at.value).ok()).unwrap_or(PORT),
        strict: raw.strict.as_ref().is_none_or(|at| at.value),
    }
}

/// Validates `addresses`, of which there must be an odd number, and returns those that are right.
fn validate_addresses(
    At { line, value: written }: &At<Vec<super::walk::Element>>,
    taken: &mut Taken,
    report: &mut Report<'_>,
) -> Vec<IpAddr> {
    let count = written.len();
    let wrong = match count {
        0 => Some("is empty".to_owned()),
        _ if count % 2 == 0 => {
            Some(format!("has {count} entries: {} voters bear no more failures than {}", count + 2, count + 1))
        }
        _ if count > MAX_WITNESSES => Some(format!("has {count} entries")),
        _ => None,
    };
    if let Some(wrong) = wrong {
        let right = format!("write an odd number of witnesses, at most {MAX_WITNESSES}");
        report.add(*line, "witness.addresses", wrong, right);
    }
    let texts = written.iter().filter_map(|text| Some((text.line, text.value.as_deref()?)));
    texts.filter_map(|(line, text)| validate_address("witness.addresses", line, text, taken, report)).collect()
}

/// Validates one address of a witness, and marks it as taken. `None` if it is wrong, which has been
/// reported.
fn validate_address(
    key: &'static str,
    line: usize,
    text: &str,
    taken: &mut Taken,
    report: &mut Report<'_>,
) -> Option<IpAddr> {
    let address = parse_address(key, line, text, Use::Witness, report)?;
    take_address(address, line, key, taken, report);
    Some(address)
}
