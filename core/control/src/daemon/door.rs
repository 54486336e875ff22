//! The loopback port of a session that has none by itself: for control connections alone.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use greenroom_engine::CONTROL_PREAMBLE;
use greenroom_protocol::{Code, Error};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::CONNECTIONS;
use crate::message::HELLO_TIMEOUT;

/// Listens from the moment it is made.
pub(super) struct Door {
    listener: TcpListener,
    port: u16,
    callers: mpsc::Sender<std::net::TcpStream>,
}

impl Door {
    /// Listens on `port`, or on any free one. A connection that starts as control does is sent to
    /// `callers`.
    pub(super) fn new(port: Option<u16>, callers: mpsc::Sender<std::net::TcpStream>) -> Result<Self, Error> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or_default()));
        let bound = TcpListener::bind(wanted).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            Ok(Self { listener, port, callers })
        });
        bound.map_err(|error| failed(&wanted, &error))
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Lets callers in, until the runtime ends.
    pub(super) fn open(&self) -> Result<(), Error> {
        let listener = self.listener.try_clone().and_then(tokio::net::TcpListener::from_std);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let listener = listener.map_err(|error| failed(&address, &error))?;
        tokio::spawn(serve(listener, self.callers.clone()));
        Ok(())
    }
}

fn failed(address: &SocketAddr, error: &io::Error) -> Error {
    let message = format!("the session cannot listen on {address}: {error}; choose another port, or none");
    Error::new(Code::Io, message)
}

async fn serve(listener: tokio::net::TcpListener, callers: mpsc::Sender<std::net::TcpStream>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let callers = callers.clone();
                tokio::spawn(async move {
                    match timeout(HELLO_TIMEOUT, as_control(stream)).await {
                        // With that many waiting, one more is turned away.
                        Ok(Ok(Some(stream))) => drop(callers.try_send(stream)),
                        _ => tracing::warn!("a connection was refused: it did not begin as control does"),
                    }
                    drop(permit);
                });
            }
            // Such as too many open files: what is closed meanwhile makes room.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The connection past its preamble; `None` if it begins otherwise.
async fn as_control(mut stream: TcpStream) -> io::Result<Option<std::net::TcpStream>> {
    let mut head = [0; CONTROL_PREAMBLE.len()];
    stream.read_exact(&mut head).await?;
    Ok(if head == CONTROL_PREAMBLE { Some(stream.into_std()?) } else { None })
}
