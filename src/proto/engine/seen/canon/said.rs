//! The reduction of an engine (`canon`): the rows and headers of pulses, and hardware addresses.

use crate::canon::Canon;
use crate::types::MacAddr;
use crate::wire::pulse::{Header, PeerConfig, Row};

impl Row {
    /// Adds what a row says of a group.
    pub fn canon(&self, canon: &mut Canon) {
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
        canon.plain(group.0);
        canon.epochs(&[epoch, reserve, claim, consent]);
        canon.mac(mac);
        canon.plain(role as u64);
        canon.plain(reason as u64);
        canon.flags(&[wants, faulty]);
        canon.plain(health.into());
        canon.plain(u64::from(addresses) << 32 | u64::from(policy));
    }
}

impl Header {
    /// Adds what a header says; counters and versions by the session that they belong to.
    pub fn canon(&self, canon: &mut Canon) {
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
        canon.plain(u64::from(cluster) << 16 | u64::from(sender.0) << 8 | u64::from(receiver.0));
        canon.session(session);
        canon.counter(session, counter);
        canon.session(echo_session);
        canon.counter(echo_session, echo_counter);
        canon.flags(&[flags.query, flags.goodbye, flags.deaf, flags.alone]);
        PeerConfig { pulse_us, silence_us, lease_us, digests }.canon(canon);
        canon.version(session, table_version);
        canon.version(session, base_version);
        canon.version(session, upto_version);
        // The acknowledged version is one of the receiver's table.
        canon.version(echo_session, ack_version);
    }
}

impl MacAddr {
    /// The address as a number.
    pub(crate) fn number(self) -> u64 {
        self.0.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}
