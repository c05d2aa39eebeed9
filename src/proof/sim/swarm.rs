//! The plan of a run, which a seed decides once: how the cluster is made, which kinds of faults
//! there are at all, and how often each strikes. Runs with few kinds of faults find what a mixture
//! of all hides (swarm testing).

use super::random::Random;
use super::service::ServiceScript;
use crate::engine::Votes;
use crate::timing::DRIFT_PPM;
use crate::timing::{Profile, Promote, Timing};

mod segment;

pub use segment::{HostPlan, SwitchPlan};

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $weight:literal,)*) => {
        /// A kind of fault, or of what else may be done to a cluster.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every kind.
            pub const ALL: &[Fault] = &[$(Fault::$name),*];
            /// Relative frequency of each kind, in the order of `ALL`.
            const WEIGHTS: &[usize] = &[$($weight),*];
        }
    };
}

faults! {
    /// A wire begins to lose frames, or ends.
    Loss 2,
    /// A wire becomes slow, or quick again; frames overtake each other.
    Delay 2,
    /// Frames arrive twice.
    Duplicates 1,
    /// One direction of one wire is cut or mended.
    CutOne 3,
    /// Every wire is cut, perhaps but one.
    CutAll 2,
    /// Nothing of one node reaches the others.
    OneWay 2,
    /// A host no longer hears a node, or does again.
    Deafen 1,
    /// A node is off a clients' segment, or back.
    Isolate 2,
    /// All cuts are mended.
    Heal 6,
    /// An agent dies, its kernel lives.
    Kill 4,
    /// A machine loses its power.
    PowerLoss 6,
    /// A machine is reset and starts its agent soon.
    Reboot 12,
    /// Dead agents start.
    Start 10,
    /// A process stops, and goes on later.
    Hang 3,
    /// A process stops in the middle of what it decided to do with its gate.
    HangMidList 4,
    /// A machine sleeps; CLOCK_BOOTTIME goes on.
    Suspend 1,
    /// A hypervisor stops a guest with its clock.
    Freeze 1,
    /// A clock goes at another rate.
    ClockRate 1,
    /// A disk becomes slow.
    DiskSlow 1,
    /// A disk takes no writes.
    DiskFails 1,
    /// The power goes while a write is under way: it may have arrived or not.
    DiskTorn 1,
    /// No copy of the state is valid after a power loss.
    DiskDamaged 1,
    /// The state is gone after a power loss.
    DiskLost 1,
    /// The state is that of an earlier time after a power loss: the disk was not honest.
    DiskRolledBack 1,
    /// An interface loses its carrier, or has it again.
    Carrier 2,
    /// A gate is removed, and installed again soon.
    GateLost 1,
    /// A gate is replaced by a larger, closed one.
    GateReplaced 1,
    /// An interface vanishes, or is back.
    InterfaceGone 1,
    /// An interface gets another name, under which its gate runs on, or has its own again.
    InterfaceRenamed 1,
    /// An interface becomes a port of another one, or is free again.
    Enslaved 1,
    /// A group loses all its addresses on a node, or has them again.
    Bare 1,
    /// An operator moves a group.
    Switch 4,
    /// An operator moves a group, and something goes wrong before it has moved.
    BrokenSwitch 2,
    /// An operator keeps a group closed.
    Pause 1,
    /// An operator lets a group go on that was kept closed.
    Resume 2,
    /// An agent is stopped in order.
    Stop 1,
    /// An agent is given another configuration.
    Reconfigure 2,
    /// A kernel says that nobody listens at the other end, true or not.
    Refused 1,
    /// A recording is played again.
    Replay 2,
    /// Bytes arrive that no key has sealed.
    Forge 1,
    /// A stranger claims an address.
    Stranger 1,
    /// Hosts ask for the addresses.
    Traffic 4,
    /// A service does better or worse than before; only where checks watch it.
    Health 8,
    /// A node begins or ceases to lack something for a group.
    Lacks 3,
    /// A node is started with the number of another, or with its own again.
    SameNumber 3,
    /// A group gets another name in the file of a node.
    Renamed 3,
    /// A machine is replaced by a copy of another.
    Cloned 2,
    /// An interface gets another hardware address, perhaps that of another node.
    OtherMac 4,
    /// An interface vanishes, and is back with another hardware address.
    Recreated 1,
    /// A wire carries short frames only, or all again.
    Narrow 4,
    /// The socket of a link is closed, or open again.
    SocketDies 3,
    /// Frames pass a gate by: another program was put before it, or it is in the wrong place.
    GateDisplaced 2,
    /// A stranger has the address of a group for good, or gives it up.
    Squatter 1,
    /// One direction of a way between a node and a witness is cut or mended.
    WitnessCut 4,
    /// Nothing reaches a witness, or nothing of it reaches anybody, or a node is apart from all
    /// witnesses.
    WitnessApart 3,
    /// A witness's process dies, and starts again soon.
    WitnessKill 4,
    /// A witness loses its power, perhaps in the middle of a write, and starts again later.
    WitnessPowerLoss 3,
    /// A witness's process stops, and goes on later.
    WitnessHang 2,
    /// A hypervisor stops a witness with its clock.
    WitnessFreeze 1,
    /// The clock of a witness goes at another rate.
    WitnessClockRate 1,
    /// The disk of a witness becomes slow, or quick again.
    WitnessDiskSlow 2,
    /// The disk of a witness takes no writes, or does again.
    WitnessDiskFails 1,
    /// One of the two copies of its state is damaged when a witness starts again.
    WitnessSlotDamaged 1,
    /// Both copies of its state are damaged when a witness starts again.
    WitnessDiskDamaged 1,
    /// A witness starts again without any state.
    WitnessDiskLost 1,
    /// A witness starts again with the state of an earlier time.
    WitnessDiskRolledBack 1,
    /// A witness's check of a service fails, or succeeds again.
    WitnessCheck 2,
    /// A recording of what a witness was asked is played again.
    WitnessReplay 1,
}

/// Share of runs with unkind faults, in percent.
const UNKIND: usize = 30;
/// Kinds that every run has, for without them it would soon stand still.
const ALWAYS: [Fault; 5] = [Fault::Heal, Fault::Reboot, Fault::Start, Fault::Resume, Fault::Traffic];

impl Fault {
    /// Whether the fault strikes a witness, or the way to one.
    pub fn is_of_witness(self) -> bool {
        self as usize >= Fault::WitnessCut as usize
    }

    /// Whether the fault strikes services.
    pub fn is_of_service(self) -> bool {
        matches!(self, Fault::Health)
    }

    /// Whether the fault strikes beside the others, from a source of chance of its own.
    pub fn is_unkind(self) -> bool {
        (Fault::SameNumber as usize..Fault::WitnessCut as usize).contains(&(self as usize))
    }

    /// Whether the fault makes a witness forget what it has promised, or for how long.
    fn forgets(self) -> bool {
        matches!(self, Fault::WitnessSlotDamaged | Fault::WitnessDiskDamaged)
            || matches!(self, Fault::WitnessDiskLost | Fault::WitnessDiskRolledBack)
    }
}

/// One group as all nodes have it in the beginning.
#[derive(Clone, Copy, Debug)]
pub struct GroupPlan {
    /// Interface of the group.
    pub interface: usize,
    /// The preferred node.
    pub prefer: usize,
    /// Whether the preferred node takes the group back.
    pub preempt: bool,
    /// The evidence that promotes, where votes decide.
    pub promote: Promote,
}

/// The make of a cluster, and what strikes it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The profile of all files.
    pub profile: Profile,
    /// Number of nodes.
    pub nodes: usize,
    /// Number of UDP links between the nodes.
    pub udp: usize,
    /// Number of interfaces of each node.
    pub interfaces: usize,
    /// The groups, by number.
    pub groups: Vec<GroupPlan>,
    /// The hosts, by number.
    pub hosts: Vec<HostPlan>,
    /// Number of datagrams that wait for a stopped process; later ones are lost.
    pub backlog: usize,
    /// Whether the nodes were given configurations that differ.
    pub skewed: bool,
    /// Error of the worst clock, in parts per million.
    pub ppm: i64,
    /// The bound on clock errors that the files name, in parts per million.
    pub drift_ppm: u64,
    /// Number of witnesses.
    pub witnesses: usize,
    /// Whether nothing may be open without a majority of votes.
    pub strict: bool,
    /// The services of the run.
    pub service: ServiceScript,
    /// What the switches of the segments let through.
    pub switch: SwitchPlan,
    /// Kinds of faults in this run, each with its weight.
    pub swarm: Vec<(Fault, usize)>,
    /// Kinds of unkind faults, each with its weight; most runs have none.
    pub unkind: Vec<(Fault, usize)>,
}

impl Plan {
    /// A plan of a bare pair.
    pub fn draw(random: &mut Random) -> Plan {
        let profile =
            random.pick(&[Profile::Fast, Profile::Fast, Profile::Fast, Profile::Lan, Profile::Lan, Profile::Wan]);
        let nodes = 2;
        let interfaces = if random.chance(25) { 2 } else { 1 };
        // 24 groups are more than one datagram has rows for.
        let most = random.pick(&[2, 8, 16, 24]);
        let groups = (0..1 + random.below(most)).map(|_| GroupPlan {
            interface: random.below(interfaces),
            prefer: random.below(nodes),
            preempt: random.chance(20),
            promote: Promote::Peer,
        });
        let mut groups: Vec<GroupPlan> = groups.collect();
        // An interface without a group does not exist for an agent.
        for (interface, group) in groups.iter_mut().enumerate().take(interfaces) {
            group.interface = interface;
        }
        let interfaces = interfaces.min(groups.len());
        let hosts = (0..random.below(4)).map(|_| {
            let (requests, replies) = random.pick(&[(true, true), (true, false), (false, true)]);
            HostPlan { interface: random.below(interfaces), requests, replies }
        });
        let hosts = hosts.collect();
        let ppm = match random.below(10) {
            0..=4 => 0,
            5..=8 => 450,
            _ => 100_000,
        };
        let udp = random.pick(&[1, 1, 2, 2, 3]);
        let backlog = if random.chance(30) { 3 } else { 1000 };
        let skewed = random.chance(15);
        let mut swarm = draw_swarm(random, false);
        let service = ServiceScript::draw(random);
        if service.checked {
            swarm.push((Fault::Health, 8));
        }
        Plan {
            profile,
            nodes,
            udp,
            interfaces,
            groups,
            hosts,
            backlog,
            skewed,
            ppm,
            drift_ppm: DRIFT_PPM,
            witnesses: 0,
            strict: true,
            service,
            // What a run draws besides is the same whatever the switch does.
            switch: SwitchPlan::draw(&mut random.clone()),
            swarm,
            unkind: Vec::new(),
        }
    }

    /// A plan with witnesses.
    pub fn draw_with_witnesses(random: &mut Random) -> Plan {
        let mut plan = Plan::draw(random);
        plan.witnesses = random.pick(&[1, 1, 1, 3]);
        plan.strict = random.chance(80);
        plan.drift_ppm = random.pick(&[DRIFT_PPM, 20_000, 50_000]);
        let bound = i64::try_from(plan.drift_ppm).unwrap_or(0);
        plan.ppm = match random.below(10) {
            0..=3 => 0,
            4..=8 => bound - bound / 100,
            _ => bound * 2,
        };
        let same = random.chance(50).then(|| random.pick(&[Promote::Peer, Promote::Witness, Promote::Both]));
        for group in &mut plan.groups {
            group.promote = same.unwrap_or_else(|| random.pick(&[Promote::Peer, Promote::Witness, Promote::Both]));
        }
        plan.swarm.extend(draw_swarm(random, true));
        if plan.skewed || plan.has(&[Fault::Reconfigure]) {
            // Where leases may change, a witness must not forget for how long it has promised.
            plan.swarm.retain(|(fault, _)| !fault.forgets());
        }
        plan
    }

    /// The voters, as the engines are told; `None` without witnesses.
    pub fn votes(&self) -> Option<Votes> {
        let witnesses = u8::try_from(self.witnesses).unwrap_or(u8::MAX);
        (witnesses > 0).then_some(Votes { witnesses, strict: self.strict })
    }

    /// Whether clocks may differ by more than the promises permit.
    pub fn is_beyond(&self) -> bool {
        self.ppm.unsigned_abs() > self.timing().drift_ppm
    }

    /// Whether the swarm has one of these kinds.
    pub fn has(&self, faults: &[Fault]) -> bool {
        self.swarm.iter().any(|(fault, _)| faults.contains(fault))
    }

    /// Draws the unkind faults of a run from their own source.
    pub fn draw_unkind(&mut self, random: &mut Random) {
        if !random.chance(UNKIND) {
            return;
        }
        for (fault, weight) in Fault::ALL.iter().zip(Fault::WEIGHTS).filter(|(fault, _)| fault.is_unkind()) {
            if random.chance(40) {
                self.unkind.push((*fault, weight * (1 + random.below(3))));
            }
        }
    }

    /// One fault of a list, drawn by weight.
    pub fn draw_of(faults: &[(Fault, usize)], random: &mut Random) -> Fault {
        let sum = faults.iter().map(|(_, weight)| weight).sum();
        let mut rest = random.below(sum);
        for (fault, weight) in faults {
            if rest < *weight {
                return *fault;
            }
            rest -= weight;
        }
        Fault::Traffic
    }

    /// The times of the profile, with the drift of the plan.
    pub fn timing(&self) -> Timing {
        let plain = self.profile.timing(self.witnesses > 0);
        Timing::derive_with(plain.pulse, plain.silence, plain.lease, self.drift_ppm)
    }
}

/// Draws the kinds of faults of a run and their weights: faults of witnesses, or all others.
fn draw_swarm(random: &mut Random, of_witness: bool) -> Vec<(Fault, usize)> {
    let share = random.pick(&[20, 40, 60, 100]);
    let mut drawn = Vec::with_capacity(Fault::ALL.len());
    let kinds = Fault::ALL.iter().zip(Fault::WEIGHTS);
    let kinds = kinds.filter(|(fault, _)| fault.is_of_witness() == of_witness);
    let kinds = kinds.filter(|(fault, _)| !fault.is_of_service() && !fault.is_unkind());
    for (fault, weight) in kinds {
        if random.chance(share) || ALWAYS.contains(fault) {
            drawn.push((*fault, weight * (1 + random.below(3))));
        }
    }
    drawn
}
