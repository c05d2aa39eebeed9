//! A program that hangs in the kernel, as one does whose disk does not answer: SIGKILL does not end it.

use super::{Launch, LaunchError, Launcher};
use crate::config::Command;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Opcode of a file system's first request (fuse(4)).
const INIT: u32 = 26;

/// A file system that answers nothing but its first request: whoever asks it for a file hangs in the kernel
/// until it is dropped.
struct Silent {
    ended: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Silent {
    /// Mounts it at `place`, in the mount namespace of this thread.
    fn mount(place: &Path) -> Silent {
        let mut device = File::options().read(true).write(true).open("/dev/fuse").expect("the kernel has FUSE");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("silent"), place, Some("fuse"), flags, Some(options.as_str())).expect("root may mount");
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let server = std::thread::spawn(move || {
            let mut request = vec![0; 1 << 17];
            while !told.load(Ordering::Relaxed) {
                let mut watched = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
                if poll(&mut watched, PollTimeout::from(20_u8)).is_ok_and(|ready| ready > 0) {
                    let Ok(length) = device.read(&mut request) else { return };
                    answer_first(&mut device, &request[..length]);
                }
            }
        });
        Silent { ended, server: Some(server) }
    }
}

/// Answers the first request, and no other.
fn answer_first(device: &mut File, request: &[u8]) {
    let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().expect("four bytes"));
    if word(4) != INIT {
        return;
    }
    let mut answer = Vec::new();
    let numbers: [u32; 6] = [7, 31, 0, 0, 0, 4096];
    answer.extend(80_u32.to_ne_bytes());
    answer.extend(0_u32.to_ne_bytes());
    answer.extend(&request[8..16]);
    numbers.iter().for_each(|number| answer.extend(number.to_ne_bytes()));
    answer.resize(80, 0);
    device.write_all(&answer).expect("the kernel takes it");
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Its end closes the device, and the kernel ends every request.
        self.server.take().map(JoinHandle::join).transpose().expect("it ended well");
    }
}

// HP-8: a verdict is due when time is up, whatever becomes of the process
#[test]
fn a_program_that_cannot_be_killed_has_failed_when_its_time_is_up_and_is_not_run_again() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("left out: only root can mount");
    }
    let body = || {
        unshare(CloneFlags::CLONE_NEWNS).expect("root may");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).expect("private");
        let directory = tempfile::tempdir().expect("a directory");
        let silent = Silent::mount(directory.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let launcher = Launcher::default();
            let patience = Duration::from_millis(300);
            let file = directory.path().join("file").display().to_string();
            let hanging = Command { program: "/usr/bin/stat".into(), arguments: vec![file] };
            let other = Command { program: "/bin/true".into(), arguments: Vec::new() };
            let run = async |command: &Command| {
                launcher.run(&Launch { command, environment: &[], user: None, patience }, |_| ()).await
            };
            let began = Instant::now();
            let first = run(&hanging).await;
            assert!(matches!(first, Err(LaunchError::Killed(_))), "{first:?}");
            assert!(began.elapsed() < patience * 10, "it was waited for {:?}", began.elapsed());
            let second = run(&hanging).await;
            assert!(matches!(second, Err(LaunchError::Stuck)), "another one would hang beside it: {second:?}");
            run(&other).await.expect("others run");
            // The disk answers again, with an error: the process ends, and the program may be run.
            drop(silent);
            let limit = Instant::now() + Duration::from_secs(60);
            while matches!(run(&hanging).await, Err(LaunchError::Stuck)) {
                assert!(Instant::now() < limit, "it has ended and is not run");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        nix::mount::umount2(directory.path(), nix::mount::MntFlags::MNT_DETACH).expect("it is mounted");
    };
    std::thread::spawn(body).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
