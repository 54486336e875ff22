//! The `greenroom` command: start an agent, talk to it, end it, from a terminal or a script.
//!
//! | module | what it is for |
//! |---|---|
//! | [`args`] | what can be said on the command line |
//! | `bar` | a level for people |
//! | `command` | what each subcommand does |
//! | `document` | what `--json` prints |
//! | `interrupt` | Ctrl-C |
//! | `output` | data to standard output, the rest to standard error |
//! | `render` | events and turns for people |
//! | `text` | text that cannot drive a terminal |

#![forbid(unsafe_code)]

pub mod args;
mod bar;
mod command;
mod document;
mod interrupt;
mod output;
mod render;
mod text;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::output::Output;

/// Runs the command with this process' arguments.
pub fn main() -> ExitCode {
    let args = match Args::try_parse_from(args::with_text_marked(std::env::args_os())) {
        Ok(args) => args,
        Err(error) => return output::usage(args::suggest(error)),
    };
    let mut out = Output::new(args.json, args.quiet);
    match command::run(args, &mut out) {
        Ok(code) => code,
        Err(error) => out.fail(&error),
    }
}
