//! What a node lacks for a group that it could serve all the same, only worse than a node without the
//! lack: one address of several, or the way back to clients.
//!
//! Owns: the set, its words on the wire and its weights. Never does: find out what is lacking; the
//! host tells it in [`Event::Lacks`](super::Event::Lacks). A lack never closes a gate: it adds to the
//! number by which two nodes are compared, [`Row::health`](crate::wire::pulse::Row).

use crate::wire::pulse::Reason;

/// Highest number of a node whose service answers; 255 says that it does not.
const WORST_ALIVE: u8 = u8::MAX - 1;

/// A set of lacks of one group on one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, serde::Serialize, serde::Deserialize)]
pub struct Lacks(u8);

impl Lacks {
    /// Nothing is lacking.
    pub const NONE: Lacks = Lacks(0);
    /// Some of the group's addresses are missing, but not all.
    pub const ADDRESS: Lacks = Lacks(1);
    /// A route by which clients were reached, such as the default route, has gone.
    pub const WAY_BACK: Lacks = Lacks(2);
    /// The kernel would not answer a client's question here, gate or no gate.
    pub const ANSWER: Lacks = Lacks(4);
    /// Nobody on the clients' segment is heard, though somebody was and is asked.
    pub const REACH: Lacks = Lacks(8);

    /// Each lack, with its weight and its word: the worst first.
    const ALL: [(Lacks, u8, Reason); 4] = [
        (Lacks::REACH, 128, Reason::Unreached),
        (Lacks::ANSWER, 64, Reason::Mute),
        (Lacks::WAY_BACK, 32, Reason::NoWayBack),
        (Lacks::ADDRESS, 16, Reason::Incomplete),
    ];

    /// Both sets together.
    #[must_use]
    pub fn and(self, other: Lacks) -> Lacks {
        Lacks(self.0 | other.0)
    }

    /// This set without the members of `other`.
    #[must_use]
    pub fn without(self, other: Lacks) -> Lacks {
        Lacks(self.0 & !other.0)
    }

    /// True if every member of `other` is in this set.
    #[must_use]
    pub fn has(self, other: Lacks) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if nothing is lacking.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Lacks::NONE
    }

    /// The word for the worst member; [`Reason::None`] if nothing is lacking.
    #[must_use]
    pub fn reason(self) -> Reason {
        self.members().next().map_or(Reason::None, |(_, reason)| reason)
    }

    /// The health number of a node whose service alone has `service`: each lack adds its weight.
    #[must_use]
    pub fn added_to(self, service: u8) -> u8 {
        if service > WORST_ALIVE {
            return service;
        }
        self.members().fold(service, |sum, (weight, _)| sum.saturating_add(weight).min(WORST_ALIVE))
    }

    /// Weight and word of each member, the worst first.
    fn members(self) -> impl Iterator<Item = (u8, Reason)> {
        Lacks::ALL.into_iter().filter(move |(lack, ..)| self.has(*lack)).map(|(_, weight, reason)| (weight, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::{Lacks, Reason};

    #[test]
    fn the_worst_lack_gives_the_word_and_all_of_them_the_number() {
        let both = Lacks::ADDRESS.and(Lacks::REACH);
        assert_eq!((both.reason(), both.added_to(0)), (Reason::Unreached, 144));
        assert_eq!((Lacks::NONE.reason(), Lacks::NONE.added_to(7)), (Reason::None, 7));
        assert_eq!(both.without(Lacks::REACH), Lacks::ADDRESS);
    }

    #[test]
    fn no_sum_says_that_the_service_does_not_answer_and_no_lack_hides_that_it_does_not() {
        let all = Lacks::ALL.into_iter().fold(Lacks::NONE, |all, (lack, ..)| all.and(lack));
        assert_eq!((all.added_to(200), all.added_to(254), Lacks::ADDRESS.added_to(255)), (254, 254, 255));
    }
}
