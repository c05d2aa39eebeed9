//! Tests of checks and changes of units, with a fake systemd that does what the test says.

use super::*;
use crate::io::units::Wish;
use std::sync::Mutex;
use zbus::fdo;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{OwnedObjectPath, Value};
use zbus::{Connection, connection, interface};

/// Path of the object that stands for every unit.
const UNIT: &str = "/org/freedesktop/systemd1/unit/web";

/// What the fake systemd says of every unit, and what it was asked.
#[derive(Default)]
struct Script {
    /// ActiveState of every unit.
    state: Mutex<&'static str>,
    /// Calls of the manager so far, in words.
    asked: Mutex<Vec<String>>,
}

/// The fake manager: the object that starts and stops units.
struct Manager(Arc<Script>);

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&self) {}

    fn load_unit(&self, name: &str) -> OwnedObjectPath {
        self.0.asked.lock().expect("whole").push(format!("load {name}"));
        OwnedObjectPath::try_from(UNIT).expect("a path")
    }

    /// Notes the call, and tells the end of a job: failed for names that begin with `bad`, done for
    /// others. The job of another unit ends before.
    async fn start_unit(
        &self,
        name: &str,
        mode: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<OwnedObjectPath> {
        self.0.asked.lock().expect("whole").push(format!("start {name} {mode}"));
        let job = |number: u32| OwnedObjectPath::try_from(format!("/job/{number}")).expect("a path");
        let result = if name.starts_with("bad") { "failed" } else { "done" };
        // Jobs of others end, too.
        emitter.job_removed(1, job(1), "other.service", "timeout").await?;
        emitter.job_removed(2, job(2), name, result).await?;
        Ok(job(2))
    }

    fn stop_unit(&self, name: &str, _mode: &str) -> fdo::Result<OwnedObjectPath> {
        Err(fdo::Error::Failed(format!("{name} is not stopped")))
    }

    /// The signal that a job has ended, with its result.
    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: OwnedObjectPath,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

/// The one fake unit: the object at [`UNIT`], which stands for units of every name.
struct Unit(Arc<Script>);

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn active_state(&self) -> String {
        (*self.0.state.lock().expect("whole")).to_owned()
    }

    #[zbus(property)]
    fn load_state(&self) -> &'static str {
        "loaded"
    }
}

/// A bus with nothing but a fake systemd on it. The first connection is the fake's own, which sends
/// its signals; the second is for the code under test.
async fn fake_systemd(script: &Arc<Script>) -> (Connection, Connection) {
    let (ours, theirs) = tokio::net::UnixStream::pair().expect("a pair of sockets");
    let guid = zbus::Guid::generate();
    let server = connection::Builder::unix_stream(theirs)
        .server(guid)
        .expect("an identity")
        .p2p()
        .serve_at("/org/freedesktop/systemd1", Manager(Arc::clone(script)))
        .expect("a manager")
        .serve_at(UNIT, Unit(Arc::clone(script)))
        .expect("a unit");
    let client = connection::Builder::unix_stream(ours).p2p();
    let (server, client) = tokio::join!(server.build(), client.build());
    (server.expect("the server's end"), client.expect("our end"))
}

#[test]
fn a_unit_is_well_while_it_is_active_and_its_change_is_heard() {
    let script = Arc::new(Script { state: Mutex::new("active"), asked: Mutex::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (server, client) = fake_systemd(&script).await;
        let (tell, mut verdicts) = mpsc::channel(16);
        let tools = Tools::new(tell, Arc::new(Systemd::over(client)), Arc::new(Launcher::default()));
        let kind = CheckKind::Unit { unit: "web.service".to_owned() };
        // The next question would come after an hour; systemd's report of a change brings it at
        // once.
        let rare = Check { interval: Duration::from_secs(3600), fall: 1, rise: 1, ..check(kind, None) };
        let task =
            tokio::spawn(tools.run(
                Start { id: CheckId(1), group: GroupKey(1), check: rare, phase: Duration::ZERO },
                Arc::default(),
            ));
        assert_eq!(next_verdict(&mut verdicts).await, Ok(()));
        for (state, expected) in [("failed", Err("web.service is failed".to_owned())), ("active", Ok(()))] {
            *script.state.lock().expect("whole") = state;
            let changed = [("ActiveState", Value::from(state))];
            let changed: std::collections::HashMap<&str, Value<'_>> = changed.into();
            let body = ("org.freedesktop.systemd1.Unit", changed, Vec::<String>::new());
            let changed = "PropertiesChanged";
            let sent = server.emit_signal(None::<&str>, UNIT, "org.freedesktop.DBus.Properties", changed, &body);
            sent.await.expect("it can be sent");
            let verdict =
                tokio::time::timeout(PATIENCE, next_verdict(&mut verdicts)).await.expect("the change is heard");
            assert_eq!(verdict, expected);
        }
        task.abort();
    });
}

#[test]
fn units_are_started_and_stopped_and_what_systemd_says_is_believed() {
    let script = Arc::new(Script { state: Mutex::new("active"), asked: Mutex::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (_server, client) = fake_systemd(&script).await;
        let systemd = Systemd::over(client);
        assert_eq!(systemd.wish("web.service", Wish::Start).await, Ok(()));
        assert_eq!(systemd.wish("bad.service", Wish::Start).await, Err("starting bad.service: failed".to_owned()));
        let refused = systemd.wish("web.service", Wish::Stop).await.expect_err("it says so");
        assert!(refused.starts_with("stopping web.service: ") && refused.contains("is not stopped"), "{refused}");
    });
    assert_eq!(*script.asked.lock().expect("whole"), ["start web.service replace", "start bad.service replace"]);
}

#[test]
fn without_a_bus_a_unit_fails_with_the_reason() {
    let kind = CheckKind::Unit { unit: "web.service".to_owned() };
    watched(Check { fall: 1, ..check(kind, None) }, |mut verdicts| async move {
        let reason = next_verdict(&mut verdicts).await.expect_err("there is no such unit, or no systemd");
        assert!(
            reason.contains("the system bus cannot be used") || reason.contains("unknown to systemd"),
            "{reason}"
        );
    });
}
