//! The electorate: who votes, and how many votes are enough.

/// Number of voters of a cluster: every node and every witness has one vote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Electorate {
    /// Number of nodes, this one included.
    pub nodes: usize,
    /// Number of witnesses; zero where nobody votes.
    pub witnesses: usize,
}

impl Electorate {
    /// Fewest votes that are more than half of all.
    #[must_use]
    pub fn majority(self) -> usize {
        (self.nodes + self.witnesses) / 2 + 1
    }

    /// Fewest votes of others that make a majority together with a node's own.
    #[must_use]
    pub fn votes_of_others(self) -> usize {
        self.majority() - 1
    }

    /// Fewest witnesses that are more than half of them: their common word counts.
    #[must_use]
    pub fn majority_of_witnesses(self) -> usize {
        self.witnesses / 2 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_majorities_have_a_voter_in_common() {
        for nodes in 1..=64 {
            for witnesses in [0, 1, 3, 5, 7] {
                let electorate = Electorate { nodes, witnesses };
                assert!(electorate.majority() * 2 > nodes + witnesses, "{electorate:?}");
                assert!((electorate.majority() - 1) * 2 <= nodes + witnesses, "{electorate:?}: no vote too many");
                assert_eq!(electorate.votes_of_others() + 1, electorate.majority());
            }
        }
    }

    #[test]
    fn a_pair_needs_one_vote_with_a_witness_and_two_with_three() {
        let pair = |witnesses| Electorate { nodes: 2, witnesses };
        assert_eq!([1, 3, 5].map(|witnesses| pair(witnesses).votes_of_others()), [1, 2, 3]);
        assert_eq!([1, 3, 5].map(|witnesses| pair(witnesses).majority_of_witnesses()), [1, 2, 3]);
    }
}
