//! systemd over D-Bus: is a unit active, when does that change, start it, stop it.
//!
//! One connection for all; it is made when it is needed and made again when it breaks. Without a bus every question has the
//! same answer: an error that says so. Never does: wait without a bound by itself; callers bound every call.

use futures_util::StreamExt;
use std::fmt::Display;
use tokio::sync::Mutex;
use zbus::message::Message;
use zbus::proxy::{Builder, CacheProperties, Proxy, SignalStream};
use zbus::zvariant::OwnedObjectPath;
use zbus::{Connection, Error};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "/org/freedesktop/systemd1";

/// systemd, or the lack of it.
#[derive(Debug, Default)]
pub struct Systemd {
    connection: Mutex<Option<Connection>>,
}

/// Tells that something about a unit has changed.
pub struct Changes(SignalStream<'static>);

impl Changes {
    /// Returns with the next change; never, once the bus is gone.
    pub async fn next(&mut self) {
        if self.0.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// What is done with a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// It runs.
    Start,
    /// It does not.
    Stop,
}

impl Systemd {
    /// Speaks over a connection that is there already.
    #[must_use]
    pub fn over(connection: Connection) -> Systemd {
        Systemd { connection: Mutex::new(Some(connection)) }
    }

    /// Is `unit` active?
    ///
    /// # Errors
    /// It is not, and what it is instead; or systemd cannot be asked, and why.
    pub async fn is_active(&self, unit: &str) -> Result<(), String> {
        let state = match self.state(unit).await {
            Ok(state) => state,
            Err(error) => return Err(self.give_up("asking systemd", error).await),
        };
        match state.as_str() {
            "active" | "reloading" | "refreshing" => Ok(()),
            _ => Err(format!("{unit} is {state}")),
        }
    }

    async fn state(&self, unit: &str) -> Result<String, Error> {
        let connection = self.connection().await?;
        let path = load(&connection, unit).await?;
        let proxy = proxy(&connection, path, "org.freedesktop.systemd1.Unit").await?;
        let state: String = proxy.get_property("ActiveState").await?;
        if state == "inactive" && proxy.get_property::<String>("LoadState").await? == "not-found" {
            return Ok("unknown to systemd".to_owned());
        }
        Ok(state)
    }

    /// A watch over `unit`.
    ///
    /// # Errors
    /// systemd cannot be asked, and why.
    pub async fn watch(&self, unit: &str) -> Result<Changes, String> {
        let watch = async {
            let connection = self.connection().await?;
            let path = load(&connection, unit).await?;
            let proxy = proxy(&connection, path, "org.freedesktop.DBus.Properties").await?;
            proxy.receive_signal("PropertiesChanged").await
        };
        match watch.await {
            Ok(stream) => Ok(Changes(stream)),
            Err(error) => Err(self.give_up("watching a unit", error).await),
        }
    }

    /// Starts or stops `unit` and waits until systemd has done so. Stopping one that it does not know is no error.
    ///
    /// # Errors
    /// systemd refuses, fails, or cannot be asked, and why.
    pub async fn wish(&self, unit: &str, wish: Wish) -> Result<(), String> {
        let what = match wish {
            Wish::Start => "starting",
            Wish::Stop => "stopping",
        };
        match self.job(unit, wish).await {
            Ok(result) if result == "done" => Ok(()),
            Ok(result) => Err(format!("{what} {unit}: {result}")),
            Err(Error::MethodError(name, ..))
                if wish == Wish::Stop && name.as_str() == "org.freedesktop.systemd1.NoSuchUnit" =>
            {
                Ok(())
            }
            Err(error) => Err(self.give_up(&format!("{what} {unit}"), error).await),
        }
    }

    async fn job(&self, unit: &str, wish: Wish) -> Result<String, Error> {
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

    async fn connection(&self) -> Result<Connection, Error> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref() {
            return Ok(connection.clone());
        }
        let connection = Connection::system().await?;
        // Without it systemd tells of no changes; that we have done so before is no error.
        let _subscribed = manager(&connection).await?.call::<_, _, ()>("Subscribe", &()).await;
        *held = Some(connection.clone());
        Ok(connection)
    }

    /// An error in words. Unless it is systemd's own answer, the next question goes over another connection.
    async fn give_up(&self, what: &str, error: Error) -> String {
        let answered = matches!(error, Error::MethodError(..));
        if !answered {
            *self.connection.lock().await = None;
        }
        in_words(what, answered, &error)
    }
}

fn in_words(what: &str, answered: bool, error: &dyn Display) -> String {
    if answered { format!("{what}: {error}") } else { format!("{what}: the system bus cannot be used: {error}") }
}

/// JobRemoved(u id, o job, s unit, s result)
fn result_of(message: &Message, job: &OwnedObjectPath) -> Option<String> {
    let body = message.body();
    let (_, removed, _, result): (u32, OwnedObjectPath, String, String) = body.deserialize().ok()?;
    (removed == *job).then_some(result)
}

async fn manager(connection: &Connection) -> Result<Proxy<'static>, Error> {
    let path = OwnedObjectPath::try_from(MANAGER)?;
    proxy(connection, path, "org.freedesktop.systemd1.Manager").await
}

async fn load(connection: &Connection, unit: &str) -> Result<OwnedObjectPath, Error> {
    manager(connection).await?.call("LoadUnit", &(unit,)).await
}

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
