//! Units of systemd over D-Bus: is a unit active, when does that change, start it, stop it.
//!
//! Owns: one connection for all calls, which is made when it is needed and made again after it
//! broke. Never does: bound its waiting; callers bound every call. Without a bus each call fails
//! with an error that says so.

use futures_util::StreamExt;
use std::fmt::Display;
use tokio::sync::Mutex;
use zbus::message::Message;
use zbus::proxy::{Builder, CacheProperties, Proxy, SignalStream};
use zbus::zvariant::OwnedObjectPath;
use zbus::{Connection, Error};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "/org/freedesktop/systemd1";

/// The connection to systemd, if there is one.
#[derive(Debug, Default)]
pub struct Systemd {
    connection: Mutex<Option<Connection>>,
}

/// A watch over the properties of one unit.
pub struct Changes(SignalStream<'static>);

impl Changes {
    /// Waits for the next change. Never returns once the bus is gone.
    pub async fn next(&mut self) {
        if self.0.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// An order for a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Start the unit.
    Start,
    /// Stop the unit.
    Stop,
}

impl Systemd {
    /// Uses a connection that is there already, until it breaks.
    #[must_use]
    pub fn over(connection: Connection) -> Systemd {
        Systemd { connection: Mutex::new(Some(connection)) }
    }

    /// Checks that `unit` is active.
    ///
    /// # Errors
    /// The unit is in another state, which the text names; or systemd cannot be asked, for the
    /// reason in the text.
    pub async fn is_active(&self, unit: &str) -> Result<(), String> {
        let state = match self.active_state(unit).await {
            Ok(state) => state,
            Err(error) => return Err(self.explain_and_disconnect("asking systemd", error).await),
        };
        match state.as_str() {
            "active" | "reloading" | "refreshing" => Ok(()),
            _ => Err(format!("{unit} is {state}")),
        }
    }

    /// The `ActiveState` of `unit`, or that systemd does not know it.
    async fn active_state(&self, unit: &str) -> Result<String, Error> {
        let connection = self.connection().await?;
        let path = load_unit(&connection, unit).await?;
        let proxy = proxy(&connection, path, "org.freedesktop.systemd1.Unit").await?;
        let state: String = proxy.get_property("ActiveState").await?;
        if state == "inactive" && proxy.get_property::<String>("LoadState").await? == "not-found" {
            return Ok("unknown to systemd".to_owned());
        }
        Ok(state)
    }

    /// Begins a watch over `unit`.
    ///
    /// # Errors
    /// systemd cannot be asked, for the reason in the text.
    pub async fn watch(&self, unit: &str) -> Result<Changes, String> {
        let watch = async {
            let connection = self.connection().await?;
            let path = load_unit(&connection, unit).await?;
            let proxy = proxy(&connection, path, "org.freedesktop.DBus.Properties").await?;
            proxy.receive_signal("PropertiesChanged").await
        };
        match watch.await {
            Ok(stream) => Ok(Changes(stream)),
            Err(error) => Err(self.explain_and_disconnect("watching a unit", error).await),
        }
    }

    /// Starts or stops `unit` and waits until systemd has done so. Stopping a unit that systemd
    /// does not know is no error.
    ///
    /// # Errors
    /// systemd refuses, fails, or cannot be asked, for the reason in the text.
    pub async fn wish(&self, unit: &str, wish: Wish) -> Result<(), String> {
        let what = match wish {
            Wish::Start => "starting",
            Wish::Stop => "stopping",
        };
        match self.run_job(unit, wish).await {
            Ok(result) if result == "done" => Ok(()),
            Ok(result) => Err(format!("{what} {unit}: {result}")),
            Err(Error::MethodError(name, ..))
                if wish == Wish::Stop && name.as_str() == "org.freedesktop.systemd1.NoSuchUnit" =>
            {
                Ok(())
            }
            Err(error) => Err(self.explain_and_disconnect(&format!("{what} {unit}"), error).await),
        }
    }

    /// Starts the job for a wish and waits for its end. Returns the result in systemd's word, such
    /// as `done`.
    async fn run_job(&self, unit: &str, wish: Wish) -> Result<String, Error> {
        let connection = self.connection().await?;
        let manager = manager(&connection).await?;
        // Listen first: the job may be over before its name is known.
        let mut removed = manager.receive_signal("JobRemoved").await?;
        let method = match wish {
            Wish::Start => "StartUnit",
            Wish::Stop => "StopUnit",
        };
        let job: OwnedObjectPath = manager.call(method, &(unit, "replace")).await?;
        while let Some(message) = removed.next().await {
            if let Some(result) = result_of(&message, &job) {
                return Ok(result);
            }
        }
        Err(Error::Failure("the bus is gone".to_owned()))
    }

    /// The connection to the system bus, made now if there is none.
    async fn connection(&self) -> Result<Connection, Error> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref() {
            return Ok(connection.clone());
        }
        let connection = Connection::system().await?;
        // Without a subscription systemd sends no changes. Being subscribed already is an error that
        // does not matter.
        let _subscribed = manager(&connection).await?.call::<_, _, ()>("Subscribe", &()).await;
        *held = Some(connection.clone());
        Ok(connection)
    }

    /// The sentence about an error. Drops the connection unless the error is systemd's own answer,
    /// so that the next call makes another.
    async fn explain_and_disconnect(&self, what: &str, error: Error) -> String {
        let answered = matches!(error, Error::MethodError(..));
        if !answered {
            *self.connection.lock().await = None;
        }
        in_words(what, answered, &error)
    }
}

/// The sentence about an error. `answered`: systemd itself answered with it.
fn in_words(what: &str, answered: bool, error: &dyn Display) -> String {
    if answered { format!("{what}: {error}") } else { format!("{what}: the system bus cannot be used: {error}") }
}

/// The result that a signal `JobRemoved(u id, o job, s unit, s result)` tells; `None` if it is of
/// another job.
fn result_of(message: &Message, job: &OwnedObjectPath) -> Option<String> {
    let body = message.body();
    let (_, removed, _, result): (u32, OwnedObjectPath, String, String) = body.deserialize().ok()?;
    (removed == *job).then_some(result)
}

/// systemd's manager object.
async fn manager(connection: &Connection) -> Result<Proxy<'static>, Error> {
    let path = OwnedObjectPath::try_from(MANAGER)?;
    proxy(connection, path, "org.freedesktop.systemd1.Manager").await
}

/// The path of the object for `unit`, which systemd loads if it has not yet.
async fn load_unit(connection: &Connection, unit: &str) -> Result<OwnedObjectPath, Error> {
    manager(connection).await?.call("LoadUnit", &(unit,)).await
}

/// An object of systemd with one of its interfaces. Properties are not cached: each reading asks.
async fn proxy(
    connection: &Connection,
    path: OwnedObjectPath,
    interface: &'static str,
) -> Result<Proxy<'static>, Error> {
    Builder::new(connection)
        .destination(SYSTEMD)?
        .path(path)?
        .interface(interface)?
        .cache_properties(CacheProperties::No)
        .build()
        .await
}
