//! The place on older kernels: a classic tc filter on the clsact qdisc.
//!
//! Owns: our filters' priority and handles, and the order in which they come and go. Never does:
//! touch a filter of others, or replace a qdisc. While a filter of ours changes its place, one of
//! ours is first at any moment. A refusal carries the kernel's own words.
//!
//! The kernel asks the filters of chain 0 by rising priority, and those of one priority from the
//! head of their list, where each new one is put (net/sched/cls_bpf.c, cls_bpf_change). A dump
//! lists them in the same order.

use std::io;

use super::super::error::GateError;
use super::super::rtnetlink::{Refusal, Request, TCMSG, exchange, find_attribute, number32};
use super::{Direction, Occupant, Program, Site, Standing};

/// Priority of our filter: no other one is before it.
pub(super) const PRIORITY: u32 = 1;
const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
const NESTED: u16 = 0x8000;

/// `<linux/pkt_sched.h>`: TC_H_CLSACT's major with TC_H_MIN_INGRESS or TC_H_MIN_EGRESS.
fn parent(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => 0xffff_fff2,
        Direction::Egress => 0xffff_fff3,
    }
}

/// Handle of our filter: the agent's port number, so that people recognise it in `tc filter show`.
fn handle(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => 0x7811,
        Direction::Egress => 0x7812,
    }
}

/// Handle of the filter that stands in while ours goes to the head of the list.
fn spare(direction: Direction) -> u32 {
    handle(direction) + 0x10
}

/// A filter in the place where frames are judged first.
pub(super) struct Filter {
    pub(super) priority: u32,
    pub(super) handle: u32,
    kind: String,
    /// Id and name of its BPF program, if its verdicts count.
    pub(super) program: Option<(u32, String)>,
}

impl Filter {
    /// Reads a filter of chain 0 from an answer; `None` for everything else, such as the head of a
    /// list, which has no options.
    fn read(kind: u16, payload: &[u8], ifindex: u32) -> Option<Filter> {
        let attributes = payload.get(TCMSG..)?;
        let chain = find_attribute(attributes, TCA_CHAIN).and_then(|chain| number32(chain, 0)).unwrap_or(0);
        if kind != libc::RTM_NEWTFILTER || number32(payload, 4) != Some(ifindex) || chain != 0 {
            return None;
        }
        let options = find_attribute(attributes, TCA_OPTIONS)?;
        let flags = find_attribute(options, TCA_BPF_FLAGS).and_then(|flags| number32(flags, 0)).unwrap_or(0);
        let id = find_attribute(options, TCA_BPF_ID).and_then(|id| number32(id, 0));
        let name = text(find_attribute(options, TCA_BPF_NAME).unwrap_or(&[]));
        Some(Filter {
            priority: number32(payload, 16)? >> 16,
            handle: number32(payload, 8)?,
            kind: text(find_attribute(attributes, TCA_KIND)?),
            // Without direct action the verdicts would be ignored: such a filter is not a gate.
            program: id.filter(|_| flags & TCA_BPF_FLAG_ACT_DIRECT != 0).map(|id| (id, name)),
        })
    }

    /// Whether the filter stands where one of ours does.
    pub(super) fn is_in_our_spot(&self, direction: Direction) -> bool {
        self.priority == PRIORITY && (self.handle == handle(direction) || self.handle == spare(direction))
    }

    /// The filter as people are told of it.
    pub(super) fn shown(&self) -> String {
        let name = self.program.as_ref().map(|(_, name)| format!(" {name}")).unwrap_or_default();
        format!("tc filter {}{name}, preference {} handle {:#x}", self.kind, self.priority, self.handle)
    }
}

/// Text of an attribute up to its first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// `tcm_info` of a filter of ours: its priority, and all ethertypes.
fn filter_info(priority: u32) -> u32 {
    let protocol = u16::try_from(libc::ETH_P_ALL).expect("an ethertype").to_be();
    (priority << 16) | u32::from(protocol)
}

/// Whether the kernel's error means that interface, qdisc or filter does not exist.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::ENODEV))
}

/// Error of an operation at one hook.
fn failed(operation: &'static str, site: Site<'_>, direction: Direction, refusal: Refusal) -> GateError {
    let object = format!("{} {} priority {PRIORITY}", site.name, direction.name());
    GateError::explained(operation, object, refusal.detail, refusal.source)
}

/// Adds the clsact qdisc if the interface has none.
///
/// # Errors
/// The kernel's refusal; [`GateError::Place`] if an `ingress` qdisc is there, which has no egress
/// hook: what is attached to one would see incoming frames.
pub(super) fn ensure_clsact(site: Site<'_>) -> Result<(), GateError> {
    let request = Request::new(libc::RTM_NEWQDISC, libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL)
        .traffic(site.ifindex, CLSACT_HANDLE, CLSACT, 0)
        .attribute(TCA_KIND, b"clsact\0");
    match exchange(request) {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.source.raw_os_error() == Some(libc::EEXIST) => check(site),
        Err(refusal) => Err(GateError::explained("add clsact qdisc", site.name, refusal.detail, refusal.source)),
    }
}

/// Makes sure that the qdisc which holds the place is clsact, if there is one.
///
/// # Errors
/// [`GateError::Place`] if it is another; the kernel's refusal.
pub(super) fn check(site: Site<'_>) -> Result<(), GateError> {
    let request = Request::new(libc::RTM_GETQDISC, libc::NLM_F_DUMP).traffic(site.ifindex, 0, 0, 0);
    let answers = exchange(request)
        .map_err(|refusal| GateError::explained("list qdiscs", site.name, refusal.detail, refusal.source))?;
    let other = answers.iter().find_map(|(_, payload)| {
        let here = number32(payload, 4) == Some(site.ifindex) && number32(payload, 12) == Some(CLSACT);
        let kind = text(find_attribute(payload.get(TCMSG..)?, TCA_KIND).filter(|_| here)?);
        (kind != "clsact").then_some(kind)
    });
    match other {
        None => Ok(()),
        Some(kind) => Err(GateError::Place {
            interface: site.name.to_owned(),
            cause: format!(
                "a qdisc of kind {kind} holds its place; replace that by clsact, which does the same and more"
            ),
        }),
    }
}

/// The filters that decide about frames, in the order in which they are asked. No interface or
/// qdisc means no filters.
pub(super) fn filters(site: Site<'_>, direction: Direction) -> Result<Vec<Filter>, GateError> {
    let request = Request::new(libc::RTM_GETTFILTER, libc::NLM_F_DUMP).traffic(site.ifindex, 0, parent(direction), 0);
    match exchange(request) {
        Ok(answers) => {
            Ok(answers.iter().filter_map(|(kind, payload)| Filter::read(*kind, payload, site.ifindex)).collect())
        }
        Err(refusal) if is_absence(&refusal.source) => Ok(Vec::new()),
        Err(refusal) => Err(failed("list filters", site, direction, refusal)),
    }
}

/// Adds a filter at the head of a priority, or changes the program of the one with this handle.
pub(super) fn set(
    site: Site<'_>,
    direction: Direction,
    (priority, handle): (u32, u32),
    program: &Program,
    name: &str,
) -> Result<(), GateError> {
    use std::os::fd::AsRawFd;
    let label = [name.as_bytes(), b"\0"].concat();
    let options = Request::nested()
        .attribute(TCA_BPF_FD, &program.fd.as_raw_fd().to_ne_bytes())
        .attribute(TCA_BPF_NAME, &label)
        .attribute(TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes());
    let request = Request::new(libc::RTM_NEWTFILTER, libc::NLM_F_ACK | libc::NLM_F_CREATE)
        .traffic(site.ifindex, handle, parent(direction), filter_info(priority))
        .attribute(TCA_KIND, b"bpf\0")
        .attribute(TCA_OPTIONS | NESTED, options.bytes());
    exchange(request).map(|_| ()).map_err(|refusal| failed("attach gate", site, direction, refusal))
}

/// Deletes the filter with this handle; a missing one is no error.
pub(super) fn delete(site: Site<'_>, direction: Direction, (priority, handle): (u32, u32)) -> Result<(), GateError> {
    let request = Request::new(libc::RTM_DELTFILTER, libc::NLM_F_ACK)
        .traffic(site.ifindex, handle, parent(direction), filter_info(priority))
        .attribute(TCA_KIND, b"bpf\0");
    match exchange(request) {
        Ok(_) => Ok(()),
        Err(refusal) if is_absence(&refusal.source) => Ok(()),
        Err(refusal) => Err(failed("detach gate", site, direction, refusal)),
    }
}

/// Puts `program` into our place, first of all filters. A program of ours that is there already is
/// replaced in one step.
///
/// # Errors
/// The kernel's refusal, for example when a filter of another kind has taken our priority.
pub(super) fn put_first(
    site: Site<'_>,
    direction: Direction,
    program: &Program,
    name: &str,
) -> Result<(), GateError> {
    ensure_clsact(site)?;
    let present = filters(site, direction)?;
    let ours = present.iter().any(|filter| filter.handle == handle(direction) && filter.priority == PRIORITY);
    let leads = present.first().is_none_or(|filter| filter.is_in_our_spot(direction));
    if ours && !leads {
        // A replaced filter stays where it is; only a new one goes to the head.
        set(site, direction, (PRIORITY, spare(direction)), program, name)?;
        delete(site, direction, (PRIORITY, handle(direction)))?;
    }
    set(site, direction, (PRIORITY, handle(direction)), program, name)?;
    delete(site, direction, (PRIORITY, spare(direction)))
}

/// Takes the filter that runs program `id` out of our place.
///
/// # Errors
/// The kernel's refusal.
pub(super) fn take_away(site: Site<'_>, direction: Direction, id: u32) -> Result<(), GateError> {
    for filter in filters(site, direction)? {
        if filter.is_in_our_spot(direction) && filter.program.as_ref().is_some_and(|(runs, _)| *runs == id) {
            delete(site, direction, (PRIORITY, filter.handle))?;
        }
    }
    Ok(())
}

/// Where the program `id` stands among the filters.
///
/// # Errors
/// The kernel's refusal; a missing interface or qdisc is [`Standing::Absent`].
pub(super) fn standing(site: Site<'_>, direction: Direction, id: u32) -> Result<Standing, GateError> {
    let present = filters(site, direction)?;
    let runs = |filter: &Filter| filter.program.as_ref().is_some_and(|(runs, _)| *runs == id);
    Ok(match present.iter().position(runs) {
        None => Standing::Absent,
        Some(0) => Standing::First,
        Some(_) => Standing::Behind(present[0].shown()),
    })
}

/// The filters of one hook, in the order in which they decide.
///
/// # Errors
/// The kernel's refusal.
pub(super) fn occupants(site: Site<'_>, direction: Direction) -> Result<Vec<Occupant>, GateError> {
    let shown = |filter: Filter| {
        let text = filter.shown();
        let (id, name) = filter.program.unzip();
        Occupant { id, name, text }
    };
    Ok(filters(site, direction)?.into_iter().map(shown).collect())
}
