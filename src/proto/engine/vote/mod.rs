//! Votes: how long a majority has granted that a gate stays open. Only with witnesses; a bare pair
//! has no votes.
//!
//! A voter grants an epoch by a pulse whose row names it as `consent`, once the voter has our row
//! that asks for it. It promises to vote for nobody else for longer than our lease, counted from
//! when it received what it echoes. We count from when we *sent* that (S4), so a gate is closed
//! before any of its voters is free again (S1). Our own vote never expires: it is given only while
//! nothing is promised to another node (see `consent`).
//!
//! Owns: who grants what, the deadlines that follow, and when votes are asked for. Never does:
//! decide who may claim (`elect`). When votes stay away nothing is renewed: the kernel closes by
//! itself, and the engine follows.
//!
//! | file | noun |
//! |---|---|
//! | `ballot` | the votes of one group; promises; when datagrams left |
//! | `poll` | how long votes last, and when they are asked for |
//! | `count` | what a pulse grants, and renewals of leases |
//! | `consent` | what this node agrees to, and promises |
//! | `elect` | claims while votes decide |
//! | `alone` | `strict = false`: the pair without its witnesses |
//!
//! # What it costs
//! A voter's grants are one instant for all groups: that of the newest pulse with which its whole
//! table is known. Which groups that instant is true for changes only with rows. Groups of an
//! interface that the same voters grant form one [`Grants`], and there are few of them however many
//! groups there are; a renewal looks at those only.

mod alone;
mod ballot;
mod consent;
mod count;
mod elect;
mod poll;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "proof"))]
pub(super) use alone::Alone;
#[cfg(any(test, feature = "proof"))]
pub(super) use alone::patience as alone_patience;
#[cfg(any(test, feature = "proof"))]
pub(super) use ballot::Sent;
pub(super) use ballot::{Ballot, Grants, Promise, SentTimes};
pub(super) use poll::Poll;
