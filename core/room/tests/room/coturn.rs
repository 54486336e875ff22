//! Debian's coturn on loopback ports, which ends with the process that started it, however that ends.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::front::Authority;
use crate::server::free_port;

pub(crate) const USER: &str = "ada";
pub(crate) const PASSWORD: &str = "lovelace";

/// Ends the program when standard input closes.
const UNTIL_STDIN_CLOSES: &str = r#"exec 3<&0; { while read -r _; do :; done <&3; kill -9 $$; } >/dev/null 2>&1 & exec "$@" </dev/null 3<&-"#;

/// A running TURN server.
pub(crate) struct Coturn {
    child: Child,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
    _folder: tempfile::TempDir,
}

impl Coturn {
    pub(crate) fn start(authority: &Authority) -> Self {
        // It goes on trying to listen on a port that somebody else has taken meanwhile, so it gets others.
        (0..3).find_map(|_| Self::on_free_ports(authority)).expect("coturn answers")
    }

    fn on_free_ports(authority: &Authority) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("cert.pem"), &authority.certificate).unwrap();
        std::fs::write(path("key.pem"), &authority.key).unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let log = std::fs::File::create(path("log")).unwrap();
        let program = std::env::var_os("GREENROOM_TEST_TURNSERVER").unwrap_or_else(|| "turnserver".into());
        let child = Command::new("sh")
            .args(["-c", UNTIL_STDIN_CLOSES, "sh"])
            .arg(program)
            .args([
                "-n",
                "--no-cli",
                "--no-dtls",
                "--allow-loopback-peers",
                "--lt-cred-mech",
                "--realm",
                "test",
            ])
            .args(["--listening-ip", "127.0.0.1", "--listening-ip", "::1", "--relay-ip", "127.0.0.1"])
            .args(["--log-file", "stdout"])
            .args(["--listening-port", &port.to_string(), "--tls-listening-port", &tls_port.to_string()])
            .args([
                "--user",
                &format!("{USER}:{PASSWORD}"),
                "--userdb",
                &path("db"),
                "--pidfile",
                &path("pid"),
            ])
            .args(["--cert", &path("cert.pem"), "--pkey", &path("key.pem")])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("coturn is there: run .ci/coturn");
        let mut server = Self { child, port, tls_port, _folder: folder };
        let begun = Instant::now();
        for port in [port, tls_port] {
            while TcpStream::connect(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).is_err() {
                if server.child.try_wait().unwrap().is_some() || begun.elapsed() > Duration::from_secs(15) {
                    return None;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Some(server)
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
