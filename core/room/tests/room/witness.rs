//! Rooms of LiveKit's own SDKs as witnesses: they receive what we sent, and we what they send.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use greenroom_room::{Data, IncomingStreams, Room, RoomEvent, SendOptions};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::venue::{Venue, event, eventually, noise, within};

/// A process with a Room of an SDK, which ends with the test.
pub(crate) struct Witness {
    child: Child,
    _folder: Option<tempfile::TempDir>,
}

impl Witness {
    pub(crate) async fn python(venue: &Venue<'_>) -> Self {
        let python = std::env::var_os("GREENROOM_TEST_PYTHON").expect("GREENROOM_TEST_PYTHON has the SDK");
        Self::start(Command::new(python).arg(script("witness.py")), venue, None).await
    }

    async fn node(venue: &Venue<'_>) -> Self {
        let modules =
            std::env::var_os("GREENROOM_TEST_NODE_MODULES").expect("GREENROOM_TEST_NODE_MODULES has the SDK");
        // Node looks for modules beside the script.
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(script("witness.mjs"), folder.path().join("witness.mjs")).unwrap();
        std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
        let mut command = Command::new("node");
        // What it leaves behind when it is killed goes with the folder.
        command.env("TMPDIR", folder.path());
        Self::start(command.arg(folder.path().join("witness.mjs")), venue, Some(folder)).await
    }

    async fn start(command: &mut Command, venue: &Venue<'_>, folder: Option<tempfile::TempDir>) -> Self {
        let mut child = command
            .args([venue.server.url(), venue.token("witness")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let witness = Self { child, _folder: folder };
        let (is_ready, ready) = oneshot::channel();
        std::thread::spawn(move || {
            let mut is_ready = Some(is_ready);
            // An SDK may have more to say, before and after.
            for line in lines.map_while(Result::ok) {
                if line == "ready"
                    && let Some(is_ready) = is_ready.take()
                {
                    let _ = is_ready.send(());
                }
            }
        });
        within("a witness", ready).await.expect("the witness ended");
        venue.announce("witness");
        witness
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/room").join(name)
}

async fn streams_come_back_whole(ada: &Room, echo: &mut IncomingStreams) {
    let random = noise(4 << 20);
    let text = "all work and no play ".repeat((4 << 20) / 21).into_bytes();
    for (content, compress) in [(&random, false), (&random, true), (&text, true), (&text, false)] {
        let mut options = SendOptions::new("files").to(["witness"]);
        options.compress = compress;
        options.attributes.insert("compress".to_owned(), compress.to_string());
        let receive = async {
            let stream = within("the stream that comes back", echo.next()).await.unwrap();
            let name = stream.info.name.clone();
            (name, within("all of it", stream.read_all()).await.unwrap())
        };
        let (sent, (sum, received)) = tokio::join!(ada.send_bytes(content, options), receive);
        sent.unwrap();
        let expected: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, expected, "what the witness received");
        assert!(received == *content, "what the witness sent");
    }
    for words in ["héllo ✓", &"✓".repeat(50_000)] {
        within("a send", ada.send_text(words, SendOptions::new("words").to(["witness"]))).await.unwrap();
        let stream = within("the words that come back", echo.next()).await.unwrap();
        assert!(stream.info.is_text);
        assert_eq!(within("all of them", stream.read_all()).await.unwrap(), words);
    }
}

async fn packets_come_back(ada: &Room) {
    let mut events = ada.events();
    let mut back = async |what: &str| -> Data {
        event(&mut events, what, |event| match event {
            RoomEvent::Data(data) => (data.topic == "echo").then_some(data),
            _ => None,
        })
        .await
    };
    for payload in [&b"reliable"[..], &[7; 15_000]] {
        within("a packet", ada.publish("packets", payload.to_vec(), &["witness"], true)).await.unwrap();
        let data = back("the packet that comes back").await;
        assert_eq!((&data.payload[..], data.from.as_str(), data.reliable), (payload, "witness", true));
    }
    // What is lossy may be lost.
    let sending = async {
        loop {
            ada.publish("packets", "lossy", &["witness"], false).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        data = back("a lossy packet that comes back") => {
            assert_eq!((&data.payload[..], data.reliable), (&b"lossy"[..], false));
        }
        () = sending => {}
    }
}

async fn is_a_witness(venue: &Venue<'_>, _witness: Witness) {
    let (ada, _) = venue.join("ada").await;
    let mut echo = ada.receive("echo").unwrap();
    eventually("the witness is there", || {
        ada.participant("witness").is_some_and(|witness| witness.is_active)
    })
    .await;
    streams_come_back_whole(&ada, &mut echo).await;
    packets_come_back(&ada).await;
}

#[tokio::test]
async fn the_room_of_python() {
    let venue = Venue::new();
    let witness = Witness::python(&venue).await;
    is_a_witness(&venue, witness).await;
}

#[tokio::test]
async fn the_room_of_node() {
    let venue = Venue::new();
    let witness = Witness::node(&venue).await;
    is_a_witness(&venue, witness).await;
}
