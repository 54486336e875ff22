//! A private PulseAudio, with a loudspeaker and microphones that are not there.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::until;

/// The loudspeaker is `speaker`, 48 kHz stereo; what is played to it is heard in `speaker.monitor`. The microphone is `mic`, 48 kHz mono;
/// what is played to `mic_feed` is heard in it.
const SETUP: &str = "\
.fail
load-module module-native-protocol-unix auth-anonymous=1 socket=@FOLDER@/pulse
load-module module-null-sink sink_name=speaker rate=48000 channels=2 format=s16le sink_properties=device.description=Loudspeaker
load-module module-null-sink sink_name=mic_feed rate=48000 channels=1 format=s16le sink_properties=device.description=Feed
load-module module-remap-source source_name=mic master=mic_feed.monitor source_properties=device.description=Microphone
set-default-sink speaker
set-default-source mic
";

/// The daemon; it ends when this is dropped.
pub(crate) struct Pulse {
    folder: PathBuf,
    daemon: Child,
    keepers: Vec<Child>,
}

impl Pulse {
    /// Starts one that listens at `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        let setup = folder.join("setup.pa");
        std::fs::write(&setup, SETUP.replace("@FOLDER@", &folder.display().to_string())).expect("a file");
        let log = folder.join("pulse.log");
        let daemon = command("pulseaudio")
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"])
            .args(["--realtime=no", "--high-priority=no", "-F"])
            .arg(&setup)
            .arg(format!("--log-target=newfile:{}", log.display()))
            .spawn()
            .expect("pulseaudio; .ci/audio installs it");
        let mut pulse = Self { folder: folder.to_owned(), daemon, keepers: Vec::new() };
        until("PulseAudio answers", || pulse.pactl(&["info"]).status.success());
        // Without a reader in a hurry, a loudspeaker that is not there works in blocks of two seconds.
        for source in ["speaker.monitor", "mic"] {
            pulse.keep(source);
        }
        pulse
    }

    /// Has a reader in a hurry at a source.
    pub(crate) fn keep(&mut self, source: &str) {
        let mut keeper = command("parec")
            .args(["--latency-msec=10", "-d", source])
            .stdout(Stdio::piped())
            .spawn()
            .expect("parec; .ci/audio installs it");
        // The source works in small blocks once it has played what it had made before: for two seconds, in one block.
        let mut out = keeper.stdout.take().expect("a pipe");
        let mut block = vec![0; 1 << 20];
        let mut small = 0;
        while small < 20 {
            let begun = Instant::now();
            let read = out.read(&mut block).expect("a pipe");
            let steady = (1..8192).contains(&read) && begun.elapsed() < Duration::from_millis(40);
            small = if steady { small + 1 } else { 0 };
        }
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        self.keepers.push(keeper);
    }

    /// Asks or tells the daemon something.
    pub(crate) fn pactl(&self, arguments: &[&str]) -> Output {
        command("pactl")
            .args(arguments)
            .stdout(Stdio::piped())
            .output()
            .expect("pactl; .ci/audio installs it")
    }

    /// Loads a module and gives its number.
    pub(crate) fn load(&self, arguments: &[&str]) -> String {
        let output = self.pactl(&[&["load-module"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Sends the daemon a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = command("kill").args([signal, &self.daemon.id().to_string()]).status().expect("kill");
        assert!(sent.success(), "{signal}");
    }

    /// Ends the daemon at once.
    pub(crate) fn kill(&mut self) {
        self.daemon.kill().expect("a daemon");
        self.daemon.wait().expect("its end");
        let _ = std::fs::remove_file(self.folder.join("pulse"));
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        for child in self.keepers.iter_mut().chain([&mut self.daemon]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
