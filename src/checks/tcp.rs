//! A connection that is made and given up at once. The nodes and the witness try it in the same way.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// Connects to `target`.
///
/// # Errors
/// It is refused, unreachable, or takes longer than `patience`.
pub async fn attempt(target: SocketAddr, patience: Duration) -> Result<(), String> {
    let connection = connect(target, patience).await?;
    // A reset: no TIME_WAIT stays behind, of which a thousand checks would make sixty thousand.
    connection.set_zero_linger().map_err(|error| format!("closing: {error}"))
}

/// The same, keeping the connection.
pub(super) async fn connect(target: SocketAddr, patience: Duration) -> Result<TcpStream, String> {
    let connecting = async {
        let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        socket?.connect(target).await
    };
    match tokio::time::timeout(patience, connecting).await {
        Ok(connected) => connected.map_err(|error| reason(&error)),
        Err(_) => Err(format!("no connection within {} ms", patience.as_millis())),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => format!("no connection: {error}"),
    }
}
