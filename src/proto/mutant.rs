//! Mutants: the protocol with one rule broken, so that its checks can be checked.
//!
//! Owns: the name of each mutant, and the switch. A mutant is one `is_on` at the rule it breaks;
//! simulator and model must find it (see `sim::mutants`). Never does: anything in a build that
//! ships. There the switch has no memory and [`Mutants::is_on`] is always false, so the compiler
//! drops every branch that asks; the assertion at the end of this file is part of that build.
//!
//! The switch is a value in [`Setup`](crate::engine::Setup), so runs with different mutants may go
//! on in several threads at once.

/// Defines the mutants, with a text of what each does for a table.
macro_rules! mutants {
    ($(#[doc = $what:literal] $name:ident,)*) => {
        /// A rule that is broken. Each mutant says what is done instead, and which promise that
        /// should break.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Mutant {
            $(#[doc = $what] $name,)*
        }

        #[cfg(any(test, feature = "proof"))]
        impl Mutant {
            /// Every mutant, and what it does.
            pub const ALL: &[(Mutant, &str)] = &[$((Mutant::$name, $what)),*];
        }
    };
}

mutants! {
    // The lease and the gate.
    /// A deadline counts from the next pulse instead of from the wake-up that decided it: later than S4 allows.
    LeaseFromNextPulse,
    /// The gate takes a deadline as a span from the moment of the write: a stall before the write lengthens it (S4).
    LeaseRelative,
    /// A lease that ran out unnoticed is renewed instead of lost: a node thinks it answers and does not (S7).
    LapsedLeaseRenewed,
    /// That the gate turned somebody away is not taken note of: a node thinks it answers and does not (S7).
    RefusalIgnored,
    /// A restarted agent adopts a lease that its gate has refused already (S7).
    RefusedLeaseAdopted,
    /// After a lapse a new generation begins without closing what was open (S7).
    LapseClosesNothing,
    /// Generations count from one in each life: the gate may take an old lease for a new one (S7).
    GenerationReused,
    /// The gate forgets that it turned somebody away: a late write opens a lapsed lease again (S7, S8).
    LatchOff,
    /// The loss of the carrier closes nothing: an active that nobody reaches keeps the group (L1).
    CarrierLossIgnored,
    /// A node that cannot serve closes and tells nobody to take over: the heir has to ask first (L1).
    ReleaseWithoutHeir,
    /// A handover carries nothing on: open connections die with it (L3).
    DrainForgotten,
    /// The announcement comes before the gate is open, which drops it (S3).
    AnnouncedBeforeOpening,
    /// Announcements are not repeated: whoever missed the first one stays wrong (L4).
    AnnouncedOnce,
    /// The winner of a conflict does not announce again: clients of the loser stay wrong (L4).
    WinnerSilent,

    // Health.
    /// How the service does on either node decides nothing: the group stays where it fails (HP-8).
    HealthIgnored,
    /// A group is opened before what must be done first has ended (HP-8).
    OpenedBeforeHook,
    /// The end of a hook counts for whichever epoch it was run (HP-8).
    HookOfAnotherEpoch,
    /// A group is opened on what was said before its hook had ended: a frozen guest cannot know how old that is (S1, S8).
    OpenedOnWordsBeforeHook,

    // Epochs and the disk.
    /// A reservation counts before it is durable: after a crash the epoch is used again (S2).
    ReserveBeforeDisk,
    /// A gate opens without any reservation, with an epoch made up on the spot (S2).
    OpenedWithoutReserve,
    /// A write that failed counts as done (S2).
    FailedWriteTrusted,
    /// What a former life had reserved counts as unused after a crash (S2).
    FormerReserveReused,
    /// Epochs in the rows of peers are not learned (S2).
    EpochsNotLearned,
    /// An active goes on although somebody was active after it, who is no more (S2).
    OutrankedStays,
    /// A node whose state is damaged is ready before a peer has told it its epochs (S7).
    DamagedStateOpens,
    /// A paused group takes over (S7).
    PausedOpens,

    // Claim and consent.
    /// An active consents to whoever claims, and goes on (S8).
    ConsentWhileOpen,
    /// In a handover the former active consents first and closes a pulse later (S8).
    ConsentBeforeClosing,
    /// When claims cross, both consent: chance decides who opens, not the order that both know.
    ConsentsCross,
    /// A claim with a lower epoch than seen gets consent (S2).
    LowEpochConsented,
    /// A consent from before a stall still counts (S8).
    StaleConsentCounts,
    /// Who has consented claims at once again: the other never gets to open (L3).
    HoldIgnored,
    /// Nobody waits for the preferred node when a group is free.
    NoRightOfWay,
    /// The preferred node takes its group back without waiting until it has proven itself.
    PreemptsAtOnce,
    /// A node consents before it has found out whether its own gate is open (S8).
    BlindStartConsents,
    /// Rows are taken for known once they were sent: a lost datagram loses a step of a handover for good (L5).
    RowsSentOnce,
    /// What a peer acknowledged in a former session still counts: the new one is never told (L5).
    FormerAckCounts,
    /// Rows that do not connect to what is known are used, and the gap is forgotten (L5).
    RowGapsIgnored,

    // Silence and evidence.
    /// Silence is counted through a stall of our own process (S8).
    StallNotNoticed,
    /// A gate opens on silence without a claim before: an active that hears us cannot close first (S8).
    ClaimNotSent,
    /// A node that has just started does not listen before it opens (S7, S8).
    NoListening,
    /// Answered probes do not hold a takeover back (S8).
    VetoIgnored,
    /// Answered probes hold a takeover back for ever (S6).
    VetoUnlimited,
    /// One unanswered probe is enough: its loss is a takeover (L2).
    OneProbeEnough,
    /// Addresses are probed in turn, also those that nobody serves: their silence outvotes an answer (S8).
    AnyAddressProbed,
    /// A silent peer and the neighbours are asked every probe interval from the suspicion on: a switch that polices ARP drops the announcement (L4).
    AsksAllTheTime,
    /// Silence counts also where nobody was ever seen to answer the question: a switch that drops it lets two answer (S8).
    UnknownQuestionCounts,
    /// A node that hears nobody on the segment takes over all the same (S8).
    IsolatedTakesOver,
    /// Machines inside this server count as life on its segment (S8).
    InsideCounts,
    /// Silent neighbours hold a takeover back for ever (S6).
    IsolationUnlimited,
    /// Probes that nobody could hear count once the segment is back (S8).
    IsolatedProbesCount,
    /// A refused datagram counts as a goodbye (S8).
    RefusedIsGoodbye,
    /// A goodbye changes nothing: the takeover waits for the silence (L1).
    GoodbyeIgnored,
    /// A goodbye counts however long ago it was said: a later life of the peer may have opened since (S8).
    OldGoodbyeCounts,
    /// Goodbye is said while gates are still open (S8).
    GoodbyeWhileOpen,
    /// No pulse travels over the segment when all links are silent (S8).
    SegmentUnused,

    // Conflict.
    /// A higher epoch closes nothing (S8).
    HigherEpochIgnored,
    /// The lower epoch wins a conflict (S8).
    LowerEpochWins,
    /// An active does not close on the claim of a peer that cannot hear it (S8).
    DeafClaimIgnored,
    /// An active with the higher epoch never gives way to a rival that cannot hear it (S8).
    DeafRivalOutlasted,
    /// Nobody says that he hears nothing (S8).
    DeafNotTold,

    // Machines that look alike, and narrow paths.
    /// Somebody else who uses our number is nobody: both go on, with one epoch (S2, S8).
    DoubleIgnored,
    /// The gate of a former life is taken over although its epochs have another number (S2).
    AnyEpochAdopted,
    /// A peer with our hardware address is asked like any other: its answers look like our own (S8).
    SharedMacAsked,
    /// Another hardware address is not announced: clients send to the one before (L4).
    NewMacNotAnnounced,
    /// A name is taken for the thing: whoever has an address under another name is not asked (S8).
    NameForThing,
    /// Many rows go in long datagrams however narrow a path is, and nothing goes before them (L5).
    NarrowPathIgnored,

    // The wire.
    /// The tag of a datagram is not checked (S6).
    TagNotChecked,
    /// Copies of a datagram are let in as often as they come (S6).
    ReplayWindowOff,
    /// A pulse is believed whichever session it echoes (S6).
    EchoNotRequired,
    /// A session is believed without proof that it is younger than the one before (S6).
    ProofNotRequired,
    /// A datagram that was overtaken is believed as if it told how things are now.
    OvertakenBelieved,

    // The vote: promises.
    /// A witness grants although what it has promised to another is not over (S5).
    PromiseIgnored,
    /// A promise of a witness is half as long as the lease (S5).
    PromiseTooShort,
    /// A promise of a witness is as long as the lease: what two clocks can differ is not in it (S5).
    PromiseNotStretched,
    /// Only the first pulse makes a promise of a witness, those that ask again do not renew it (S5).
    PromiseNotRenewed,
    /// A promise of a witness ends when its holder has been silent for the silence bound (S5).
    PromiseEndsWithSilence,
    /// A holder that starts anew gives up what its kernel still has (S5).
    StarterReleases,
    /// A new session of a holder releases what was promised to the one before (S5).
    NewSessionReleases,
    /// A row that only reserves the promised epoch releases it, and the node may claim with it again (S5).
    ReserveReleases,
    /// A witness that has just started votes at once: what it promised before is forgotten (S5).
    WitnessNotAbstaining,
    /// A node that has just started votes at once (S5).
    NodeNotAbstaining,
    /// A node votes for itself although what it has promised to another is not over (S5).
    OwnVotePromised,
    /// A node's promise is as long as its own lease instead of the one that the other states (S5).
    OwnLeasePromised,
    /// A node's promise is as long as the lease: what two clocks can differ is not in it (S5).
    NodePromiseNotStretched,

    // The vote: what a witness remembers.
    /// An epoch is granted before the ceiling above it is on the disk (S2).
    CeilingNotAwaited,
    /// A witness that starts grants claims below its ceiling (S2).
    CeilingForgotten,
    /// A witness without memory grants before every node has told it everything (S2).
    DamagedMemoryGrants,

    // The vote: what a node counts.
    /// A lease counts from the receipt of a grant instead of from the sending of what it answers (S4).
    LeaseFromReceipt,
    /// A grant counts although it may come from an incomplete table (S4).
    GrantFromPart,
    /// A grant that was withdrawn counts on (S4).
    OldGrantCounts,
    /// The newest grant decides how long a lease is, instead of the one that completes a majority (S4).
    FirstGrantDecides,
    /// A node's own vote is a majority (S4).
    OwnVoteAlone,
    /// As long as there is a majority, a lease is renewed to its full length (S4).
    RenewedBeyondVotes,
    /// The latest deadline of an interface's groups is that of all of them (S4).
    LatestGroupDecides,
    /// A node reserves below what witnesses refuse to grant: nobody ever elects it (L5).
    BarNotLearned,

    // Witnesses not heard.
    /// A pair goes on alone although without a majority nothing is to be open (S1).
    StrictIgnored,
}

/// The mutant that is on, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mutants {
    #[cfg(any(test, feature = "proof"))]
    on: Option<Mutant>,
}

impl Mutants {
    /// The protocol as it is meant.
    pub const NONE: Mutants = Mutants {
        #[cfg(any(test, feature = "proof"))]
        on: None,
    };

    /// The protocol with one rule broken.
    #[cfg(any(test, feature = "proof"))]
    #[must_use]
    pub const fn only(mutant: Mutant) -> Mutants {
        Mutants { on: Some(mutant) }
    }

    /// Whether this rule is to be broken.
    #[cfg(any(test, feature = "proof"))]
    #[must_use]
    pub fn is_on(self, mutant: Mutant) -> bool {
        self.on == Some(mutant)
    }

    /// Always false: what ships has no mutants.
    #[cfg(not(any(test, feature = "proof")))]
    #[must_use]
    #[inline(always)]
    pub const fn is_on(self, _mutant: Mutant) -> bool {
        false
    }
}

#[cfg(not(any(test, feature = "proof")))]
const _: () = assert!(size_of::<Mutants>() == 0 && !Mutants::NONE.is_on(Mutant::LeaseRelative));
