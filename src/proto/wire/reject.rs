//! Reasons to drop a datagram, and their counts.
//!
//! Owns: the list of reasons, and which of them only a holder of the key can cause. Never does:
//! judge a datagram. What is dropped has no effect but a count here (S6); what follows from somebody
//! who is authentic and says what cannot be, the engine decides.

/// The reason to drop a datagram. An observer learns nothing of it: it is only counted.
///
/// The first of them are *not authentic*: anybody can have sent the datagram. The others are
/// *authentic and impossible*: somebody who has the key lives, and what it says cannot be meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Reject {
    /// Shorter than prefix and tag.
    TooShort,
    /// Longer than [`MAX_DATAGRAM`].
    TooLong,
    /// Not a datagram of vipair at all.
    Magic,
    /// Another version of the layout, and not sealed with a key of this ring as this version
    /// seals. Not authenticated.
    Version,
    /// Sealed with a key that this ring does not have. Not authenticated.
    KeyId,
    /// Forged, damaged, or sealed with another key.
    Tag,
    /// It names another cluster, and no key of ours has sealed it: somebody else's. Not
    /// authenticated.
    Cluster,
    /// Authentic, and of another version of the layout: its sender runs another release.
    Release,
    /// Authentic, yet not a pulse of this version: lengths or values are out of range.
    Malformed,
    /// Authentic, and for another node or witness.
    Addressee,
    /// Authentic, and from a number that is not to be found on this link, or nowhere.
    Sender,
    /// Authentic, and from somebody else who uses our own number.
    OwnNumber,
    /// Authentic, and our own: something sends back what we have sent.
    Reflected,
    /// Authentic, and of a session that cannot be believed and need not be answered.
    Session,
    /// Authentic, and seen before, or too old to tell.
    Replay,
}

impl Reject {
    /// Number of reasons.
    pub const COUNT: usize = Reject::ALL.len();
    /// Every reason, those that are not authentic first.
    pub const ALL: [Reject; 15] = [
        Reject::TooShort,
        Reject::TooLong,
        Reject::Magic,
        Reject::Version,
        Reject::KeyId,
        Reject::Tag,
        Reject::Cluster,
        Reject::Release,
        Reject::Malformed,
        Reject::Addressee,
        Reject::Sender,
        Reject::OwnNumber,
        Reject::Reflected,
        Reject::Session,
        Reject::Replay,
    ];

    /// Its word for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reject::TooShort => "too_short",
            Reject::TooLong => "too_long",
            Reject::Magic => "magic",
            Reject::Version => "version",
            Reject::KeyId => "key_id",
            Reject::Tag => "tag",
            Reject::Cluster => "cluster",
            Reject::Release => "release",
            Reject::Malformed => "malformed",
            Reject::Addressee => "addressee",
            Reject::Sender => "sender",
            Reject::OwnNumber => "own_number",
            Reject::Reflected => "reflected",
            Reject::Session => "session",
            Reject::Replay => "replay",
        }
    }

    /// The same reason, or [`Reject::Cluster`] if `datagram`, which did not open, names another
    /// cluster than ours: then no key of ours was meant to open it.
    #[must_use]
    pub fn of_cluster(self, datagram: &[u8], ours: u32) -> Reject {
        let meant = matches!(self, Reject::KeyId | Reject::Tag);
        let other = super::pulse::peek_cluster(datagram).is_some_and(|cluster| cluster != ours);
        if meant && other { Reject::Cluster } else { self }
    }

    /// Whether only a holder of the cluster's key can have made such a datagram.
    #[must_use]
    pub fn is_authentic(self) -> bool {
        match self {
            Reject::TooShort
            | Reject::TooLong
            | Reject::Magic
            | Reject::Version
            | Reject::KeyId
            | Reject::Tag
            | Reject::Cluster => false,
            Reject::Release
            | Reject::Malformed
            | Reject::Addressee
            | Reject::Sender
            | Reject::OwnNumber
            | Reject::Reflected
            | Reject::Session
            | Reject::Replay => true,
        }
    }
}

/// Number of datagrams dropped since start, by [`Reject`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Rejects {
    /// [`Reject::TooShort`]
    pub too_short: u64,
    /// [`Reject::TooLong`]
    pub too_long: u64,
    /// [`Reject::Magic`]
    pub magic: u64,
    /// [`Reject::Version`]
    pub version: u64,
    /// [`Reject::KeyId`]
    pub key_id: u64,
    /// [`Reject::Tag`]
    pub tag: u64,
    /// [`Reject::Cluster`]
    pub cluster: u64,
    /// [`Reject::Release`]
    pub release: u64,
    /// [`Reject::Malformed`]
    pub malformed: u64,
    /// [`Reject::Addressee`]
    pub addressee: u64,
    /// [`Reject::Sender`]
    pub sender: u64,
    /// [`Reject::OwnNumber`]
    pub own_number: u64,
    /// [`Reject::Reflected`]
    pub reflected: u64,
    /// [`Reject::Session`]
    pub session: u64,
    /// [`Reject::Replay`]
    pub replay: u64,
}

impl Rejects {
    /// Counts one dropped datagram.
    pub fn count(&mut self, reject: Reject) {
        let counter = match reject {
            Reject::TooShort => &mut self.too_short,
            Reject::TooLong => &mut self.too_long,
            Reject::Magic => &mut self.magic,
            Reject::Version => &mut self.version,
            Reject::KeyId => &mut self.key_id,
            Reject::Tag => &mut self.tag,
            Reject::Cluster => &mut self.cluster,
            Reject::Release => &mut self.release,
            Reject::Malformed => &mut self.malformed,
            Reject::Addressee => &mut self.addressee,
            Reject::Sender => &mut self.sender,
            Reject::OwnNumber => &mut self.own_number,
            Reject::Reflected => &mut self.reflected,
            Reject::Session => &mut self.session,
            Reject::Replay => &mut self.replay,
        };
        *counter = counter.saturating_add(1);
    }

    /// Number of those that were dropped for this reason.
    #[must_use]
    pub fn of(&self, reject: Reject) -> u64 {
        match reject {
            Reject::TooShort => self.too_short,
            Reject::TooLong => self.too_long,
            Reject::Magic => self.magic,
            Reject::Version => self.version,
            Reject::KeyId => self.key_id,
            Reject::Tag => self.tag,
            Reject::Cluster => self.cluster,
            Reject::Release => self.release,
            Reject::Malformed => self.malformed,
            Reject::Addressee => self.addressee,
            Reject::Sender => self.sender,
            Reject::OwnNumber => self.own_number,
            Reject::Reflected => self.reflected,
            Reject::Session => self.session,
            Reject::Replay => self.replay,
        }
    }

    /// Number of those that did not open: no key of ours sealed them, or they are no datagrams of
    /// vipair at all.
    #[must_use]
    pub fn unopened(&self) -> u64 {
        self.sum(|reject| !reject.is_authentic())
    }

    /// Number of all of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.sum(|_| true)
    }

    fn sum(&self, counts: impl Fn(Reject) -> bool) -> u64 {
        Reject::ALL
            .into_iter()
            .filter(|reject| counts(*reject))
            .map(|reject| self.of(reject))
            .fold(0, u64::saturating_add)
    }
}
