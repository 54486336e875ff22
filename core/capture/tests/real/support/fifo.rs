//! A sound card of ALSA's plugins: what comes from its microphone, and what goes to its loudspeaker, are pipes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

/// 48 kHz mono, 16 bits, and nothing else, both ways.
const SETUP: &str = "\
pcm.mic_pipe { type file slave.pcm { type null } file \"/dev/null\" infile \"@FOLDER@/mic\" format \"raw\" }
pcm.mic { type plug slave { pcm \"mic_pipe\" format S16_LE rate 48000 channels 1 } hint { show on description \"Pipe microphone\" } }
pcm.speaker_pipe { type file slave.pcm { type null } file \"@FOLDER@/speaker\" format \"raw\" perm 0644 }
pcm.speaker { type plug slave { pcm \"speaker_pipe\" format S16_LE rate 48000 channels 1 } hint { show on description \"Pipe loudspeaker\" } }
pcm.!default { type asym capture.pcm \"mic\" playback.pcm \"speaker\" hint { show on description \"Default\" } }
";

/// The test's ends of the pipes. They are open in both directions, so that nobody waits for anybody to open one.
pub(crate) struct Card {
    pub(crate) mic: File,
    pub(crate) speaker: File,
}

impl Card {
    pub(crate) fn new(folder: &Path) -> Self {
        std::fs::write(folder.join("asound.conf"), SETUP.replace("@FOLDER@", &folder.display().to_string()))
            .expect("a file");
        let open = |name: &str| {
            let path = folder.join(name);
            assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
            OpenOptions::new().read(true).write(true).open(path).expect("a pipe")
        };
        Self { mic: open("mic"), speaker: open("speaker") }
    }
}

/// Writes samples as the card has them.
pub(crate) fn speak(mut mic: &File, samples: &[i16]) {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    mic.write_all(&bytes).expect("a pipe");
}

/// Reads samples as the card has them.
pub(crate) fn hear(mut speaker: &File, samples: usize) -> Vec<i16> {
    let mut bytes = vec![0; samples * 2];
    speaker.read_exact(&mut bytes).expect("a pipe");
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}
