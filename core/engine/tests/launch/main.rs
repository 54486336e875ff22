//! Finding and running agents, with made-up projects, made-up interpreters and real processes.
#![cfg(unix)]

mod detect;
mod environments;
mod process;
mod real;
mod runners;
mod stage;
