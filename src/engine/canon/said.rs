//! What a pulse says, in the words of `canon`.

use super::Words;
use crate::engine::PeerConfig;
use crate::types::MacAddr;
use crate::wire::pulse::{Header, Row};

impl Row {
    pub(crate) fn tell(&self, words: &mut Words) {
        let Row {
            group,
            epoch,
            reserve,
            claim,
            consent,
            mac,
            role,
            reason,
            wants,
            faulty,
            health,
            addresses,
            policy,
        } = *self;
        words.plain(group.0);
        words.epochs(&[epoch, reserve, claim, consent]);
        words.mac(mac);
        words.plain(role as u64);
        words.plain(reason as u64);
        words.flags(&[wants, faulty]);
        words.plain(health.into());
        words.plain(u64::from(addresses) << 32 | u64::from(policy));
    }
}

impl Header {
    pub(crate) fn tell(&self, words: &mut Words) {
        let Header {
            sender,
            receiver,
            cluster,
            session,
            counter,
            echo_session,
            echo_counter,
            flags,
            pulse_us,
            silence_us,
            lease_us,
            digests,
            table_version,
            base_version,
            upto_version,
            ack_version,
        } = *self;
        words.plain(u64::from(cluster) << 16 | u64::from(sender.0) << 8 | u64::from(receiver.0));
        words.session(session);
        words.counter(session, counter);
        words.session(echo_session);
        words.counter(echo_session, echo_counter);
        words.flags(&[flags.query, flags.goodbye, flags.deaf, flags.alone]);
        PeerConfig { pulse_us, silence_us, lease_us, digests }.tell(words);
        words.version(session, table_version);
        words.version(session, base_version);
        words.version(session, upto_version);
        // The receiver compares it with its own table.
        words.version(echo_session, ack_version);
    }
}

impl MacAddr {
    pub(super) fn number(self) -> u64 {
        self.0.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}
