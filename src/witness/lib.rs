//! `vipair witness`: a voter for each cluster, behind one socket.
//!
//! One thread, the loop, waits for datagrams and answers each where it came from. The loop never
//! waits for a disk, a name or a service. Beside the loop run a thread per cluster that makes
//! promises durable, and one thread that tries the services; both report to the loop through a
//! queue.
//!
//! Owns: the socket, and each cluster's keys, voter and store. Never does: hold an address, speak
//! unasked, or need a privilege. A witness that is killed loses nothing: whatever it must
//! not forget is on the disk before it is said, and after a start it votes for nobody until every
//! earlier promise has ended.
//!
//! | file | noun |
//! |---|---|
//! | `clusters` | the clusters: keys, voters, stores |
//! | `lend` | copies of file and keys for the user who runs the witness |
//! | `options` | the command line, and why the witness ended |
//! | `probes` | service checks |
//! | `renewal` | the file read again |
//! | `reports` | the queue from the threads beside the loop |
//! | `run` | the loop |
//! | `state` | a voter's memory as the store keeps it |
//! | `words` | sentences for the log |

mod clusters;
mod lend;
mod options;
mod probes;
mod renewal;
mod reports;
mod run;
pub mod state;
mod words;

pub use lend::lend;
pub use options::{Options, RunError};
pub use run::{check_file, run};

use vipair_host::{config, io, store};
use vipair_proto::{durable, mutant, types, voter, wire};
