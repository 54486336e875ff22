//! With the library there. Without it: `core/cli/tests/cli/audio.rs` and `tests/packaging/test_audio.py`.
#![cfg(target_os = "linux")]

#[test]
fn the_library_has_every_function_that_is_declared() {
    assert!(alsa_sys::is_available(), "libasound.so.2 is not installed: see .ci/audio");
    let missing: Vec<_> = alsa_sys::FUNCTIONS.iter().filter(|function| !alsa_sys::has(function)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(alsa_sys::FUNCTIONS.len() > 300);
}
