//! A sound card of ALSA's plugins: what comes from its microphone, and what goes to its loudspeaker, are pipes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use super::compiled::library;

/// 48 kHz mono, 16 bits, and nothing else, both ways.
const SETUP: &str = "\
pcm.mic_pipe { type file slave.pcm { type null } file \"/dev/null\" infile \"@FOLDER@/mic\" format \"raw\" }
pcm.mic { type plug slave { pcm \"mic_pipe\" format S16_LE rate 48000 channels 1 } hint { show on description \"Pipe microphone\" } }
pcm.speaker_pipe { type file slave.pcm { type null } file \"@FOLDER@/speaker\" format \"raw\" perm 0644 }
pcm.speaker { type plug slave { pcm \"speaker_pipe\" format S16_LE rate 48000 channels 1 } hint { show on description \"Pipe loudspeaker\" } }
pcm.!default { type asym capture.pcm \"mic\" playback.pcm \"speaker\" hint { show on description \"Default\" } }
";

/// A device of a type of its own, which is the microphone unless somebody else has it.
const SHARED: &str = "\
pcm_type.shared { lib \"@FOLDER@/libshared.so\" }
pcm.shared { type shared hint { show on description \"Shared microphone\" } }
";

/// What ALSA calls to open it. Somebody else has it as long as the file `taken` is there; who is refused is counted in the file `refused`.
const OPEN: &str = r#"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

char __snd_pcm_shared_open_dlsym_pcm_001;

int _snd_pcm_shared_open(void **pcm, const char *name, void *root, void *setup, int stream, int mode) {
    if (access(FOLDER "/taken", F_OK) == 0) {
        int refused = open(FOLDER "/refused", O_WRONLY | O_CREAT | O_APPEND, 0644);
        int counted = write(refused, ".", 1) == 1;
        close(refused);
        return counted ? -EBUSY : -EIO;
    }
    void *alsa = dlopen("libasound.so.2", RTLD_LAZY | RTLD_NOLOAD);
    int (*open_pcm)(void **, const char *, int, int) = dlsym(alsa, "snd_pcm_open");
    return open_pcm(pcm, "mic", stream, mode);
}
"#;

/// Adds the device `shared` to the card.
pub(crate) fn share(folder: &Path) {
    let setup = folder.join("asound.conf");
    let card = std::fs::read_to_string(&setup).expect("a card");
    let place = folder.display().to_string();
    std::fs::write(&setup, card + &SHARED.replace("@FOLDER@", &place)).expect("a file");
    library(&folder.join("libshared.so"), OPEN, &[&format!("-DFOLDER=\"{place}\""), "-ldl"]);
}

/// How often somebody was refused it.
pub(crate) fn refused(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("refused")).map_or(0, |file| file.len())
}

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
