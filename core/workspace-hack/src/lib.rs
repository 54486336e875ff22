//! No code: the features of shared dependencies, so that cargo compiles each of them once.
//!
//! Cargo unifies features per invocation. Without this crate the wheel, the addon with the command, and
//! the tests each ask for other features of the same dependencies, and each compiles its own copy.
//! Crates that are published don't depend on it. `.ci/one-build` fails if two copies differ again.
