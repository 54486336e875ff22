//! Libraries that a test makes for itself, in C.

use std::env::{consts::ARCH, vars};
use std::path::Path;
use std::process::Command;

/// Compiles C into a shared library, by the compiler that cargo builds with (`CC_<target>`), or the machine's `cc`.
pub(crate) fn library(path: &Path, source: &str, arguments: &[&str]) {
    let text = path.with_extension("c");
    std::fs::write(&text, source).expect("a file");
    let given = vars().find(|(name, _)| name.starts_with(&format!("CC_{ARCH}_")));
    let compiler = given.map_or_else(|| "cc".to_owned(), |(_, compiler)| compiler);
    let output = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([path, &text])
        .args(arguments)
        // The test's is not the one in which the compiler's parts are.
        .env_remove("HOME")
        .output()
        .unwrap_or_else(|error| {
            panic!("a C compiler is needed, by CC_<target> or as cc: {compiler}: {error}")
        });
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler}: {}\n{told}", output.status);
}
