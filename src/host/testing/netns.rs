//! A network namespace for one thread, which is gone when the thread ends. Needs root and iproute2.

use crate::io::poll::{Poll, Ready};
use crate::io::segment::PacketSocket;
use nix::net::if_::if_nametoindex;
use nix::sys::signal::{SigSet, Signal};
use std::process::Command;
use std::time::Duration;

/// Runs `body` on a new thread in a new network namespace whose loopback is up, and passes its
/// panic on. SIGCHLD is blocked there: the end of a child, most often of another test, interrupts
/// no system call.
pub fn in_netns<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("network namespaces need root");
            SigSet::from(Signal::SIGCHLD).thread_block().expect("a known signal");
            ip("link set lo up");
            body()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs `ip` with these arguments in the calling thread's namespace and returns what it printed.
///
/// # Panics
/// If the command fails.
pub fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is installed");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {arguments}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Destroys the sockets of the calling thread's namespace that `ss` finds with these arguments
/// (SOCK_DESTROY of sock_diag(7)).
///
/// # Panics
/// If there are none, or the kernel is built without INET_DIAG_DESTROY.
pub fn destroy_sockets(arguments: &str) {
    let arguments = arguments.split_whitespace();
    let output = Command::new("ss").args(["-K", "-H", "-n"]).args(arguments).output().expect("iproute2 is installed");
    assert!(output.status.success() && !output.stdout.is_empty(), "no socket was destroyed: {output:?}");
}

/// Gives the loopback an IPv6 address and waits for the route to it, which the kernel makes later
/// on a thread of its own.
///
/// # Panics
/// If there is no route after ten seconds.
pub fn ip6_on_loopback(address: &str) {
    ip(&format!("addr add {address}/128 dev lo nodad"));
    for _ in 0..1_000 {
        if ip(&format!("-6 route show table local {address}")).contains(address) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("there is no route to {address}");
}

/// Makes a pair of interfaces, switches them on, and waits until frames pass in both directions.
pub fn veth(one: &str, other: &str) {
    ip(&format!("link add name {one} type veth peer name {other}"));
    ip(&format!("link set {one} up"));
    ip(&format!("link set {other} up"));
    settle(one, other);
    settle(other, one);
}

/// Payload of the frames of [`settle`]. They have the segment link's ethertype and come from
/// [`SETTLER`].
pub const SETTLING: &[u8] = b"settling";
/// Source address of the frames of [`settle`].
pub const SETTLER: [u8; 6] = [2, 0, 0, 0, 0xff, 1];

/// Waits until frames pass from one interface to the other: the kernel drops them for a moment
/// after a link has come up. Some of these frames may arrive later.
///
/// # Panics
/// If nothing passes for ten seconds.
pub fn settle(from: &str, to: &str) {
    let open = |name: &str| {
        let index = if_nametoindex(name).expect("the interface exists");
        // Accept everything.
        let filter = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x4_0000 }];
        PacketSocket::open(index, &filter).expect("packet sockets need root")
    };
    let (from, to) = (open(from), open(to));
    let frame: Vec<u8> = [[0xff; 6].as_slice(), &SETTLER, &[0x88, 0xb5], SETTLING, &[0; 40]].concat();
    let poll = Poll::new().expect("epoll");
    poll.add(&to, 0).expect("epoll");
    for _ in 0..1_000 {
        from.send(&frame).expect("the socket is usable");
        poll.wait(&mut Ready::new(), Some(Duration::from_millis(10))).expect("epoll");
        let mut buffer = [0; 2_000];
        while let Some(length) = to.recv(&mut buffer).expect("the socket is usable") {
            if buffer[..length] == frame {
                return;
            }
        }
    }
    panic!("nothing passes");
}
