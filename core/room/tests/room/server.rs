//! A livekit-server of the tests' own on free loopback ports, which ends with the process that started it, however that ends.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What tests/livekit-server/config.yaml says.
pub(crate) const KEY: &str = "devkey";
pub(crate) const SECRET: &str = "a-secret-that-protects-nothing-but-tests";

/// How long a server may take until it answers: far above what it takes.
const START: Duration = Duration::from_secs(60);

/// A running server.
pub(crate) struct Server {
    child: Child,
    port: u16,
    udp_port: u16,
    config: String,
    /// A file without a name: a server that is shared ends with the process, and nobody is left to remove one.
    log: File,
}

impl Server {
    /// The server that most tests share; each has a room of its own on it.
    pub(crate) fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| Self::start(usual_config()))
    }

    /// A server for a test that does it harm, or wants another [configuration](usual_config).
    pub(crate) fn start(config: String) -> Self {
        // Somebody else may take a port between our look and the server's.
        for _ in 0..2 {
            if let Ok(server) = Self::try_start(free_port(), free_udp_port(), config.clone()) {
                return server;
            }
        }
        Self::try_start(free_port(), free_udp_port(), config).unwrap()
    }

    /// Starts it again on the same ports, after it was killed.
    pub(crate) fn start_again(mut self) -> Self {
        self.kill();
        Self::try_start(self.port, self.udp_port, self.config.clone()).unwrap()
    }

    fn try_start(port: u16, udp_port: u16, config: String) -> Result<Self, String> {
        // The server reads it as it starts.
        let folder = tempfile::tempdir().unwrap();
        let log = tempfile::tempfile().unwrap();
        std::fs::write(folder.path().join("config.yaml"), &config).unwrap();
        let child = Command::new(root().join("tests/livekit-server/run"))
            .arg(program())
            .args([port.to_string(), udp_port.to_string()])
            .arg(folder.path().join("config.yaml"))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut server = Self { child, port, udp_port, config, log };
        let begun = Instant::now();
        while server.request("GET", "/", "", "").is_none() {
            if let Some(status) = server.child.try_wait().unwrap() {
                return Err(format!("livekit-server ended ({status}):\n{}", server.log()));
            }
            assert!(begun.elapsed() < START, "no answer from livekit-server:\n{}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address())
    }

    /// Where it listens for signal connections.
    pub(crate) fn address(&self) -> SocketAddr {
        let ip: IpAddr = if self.config.contains(r#"bind_addresses: ["::1"]"#) {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        };
        SocketAddr::new(ip, self.port)
    }

    /// Where it takes media.
    pub(crate) fn udp_port(&self) -> u16 {
        self.udp_port
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn log(&self) -> String {
        let mut log = vec![0; self.log.metadata().unwrap().len() as usize];
        self.log.read_exact_at(&mut log, 0).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Calls its API; the body of what it answers, or what went wrong.
    pub(crate) fn call(&self, method: &str, token: &str, body: &serde_json::Value) -> String {
        let path = format!("/twirp/livekit.RoomService/{method}");
        let answer = self.request("POST", &path, token, &body.to_string()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{method}: {answer}");
        answer
    }

    fn request(&self, verb: &str, path: &str, token: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let length = body.len();
        write!(
            stream,
            "{verb} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        (!answer.is_empty()).then_some(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What servers of tests are configured with.
pub(crate) fn usual_config() -> String {
    std::fs::read_to_string(root().join("tests/livekit-server/config.yaml")).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn program() -> PathBuf {
    let path = std::env::var_os("GREENROOM_TEST_LIVEKIT_SERVER")
        .map_or_else(|| root().join(".cache/livekit-server/livekit-server"), PathBuf::from);
    assert!(
        path.exists(),
        "{} is not there: run .ci/livekit-server, or set GREENROOM_TEST_LIVEKIT_SERVER",
        path.display()
    );
    path
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
