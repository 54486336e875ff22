//! Gives a target's entry function what the target begins with (`seeds`) and whatever it found (`crashers`), file by file.

use std::path::Path;

pub(crate) fn replay(target: &str, entry: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut count = 0;
    for folder in ["seeds", "crashers"] {
        let Ok(files) = std::fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        for file in files {
            let file = file.unwrap().path();
            // Shown where the test fails.
            println!("{}", file.display());
            entry(&std::fs::read(file).unwrap());
            count += 1;
        }
    }
    assert!(count > 0, "{target} has no seeds");
}
