//! Drive, test and observe LiveKit voice agents.
//!
//! [`Session::start`] starts an agent file, unmodified, as a process and drives it: say things, see replies, tool calls and
//! handoffs. It needs no LiveKit credential. The futures run on any executor.
//!
//! ```no_run
//! # async fn f() -> Result<(), greenroom::Error> {
//! use greenroom::{AgentSpec, Session, StartOptions};
//!
//! let mut agent = AgentSpec::new(".");
//! agent.entry = Some("agent.py".into());
//! let session = Session::start(StartOptions::new(agent))?;
//! session.ready(None).await?;
//! let turn = session.say("What is the weather in Tokyo?", None).await?;
//! assert!(turn.reply.contains("Sunny"));
//! session.end().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`Session::join`] drives an agent in a LiveKit room instead, and [`Room::connect`] is the room itself: participants, data, streams, audio tracks.
//!
//! [`credentials`] makes the tokens for that.
//!
//! A session that starts an agent needs `/bin/sh`: a small guard process of it ends the agent if this process is gone, however it went.
//!
//! With the feature `audio`, the module of that name records and plays: real devices and virtual ones, behind one way of use. The feature `echo`
//! adds echo control to it (`audio::EchoControl`).
//!
//! # Patches
//!
//! Greenroom's packages for Python and Node and its command are built with two replacements of dependencies. Cargo does not pass patches on, so
//! a program that depends on this crate gets the originals:
//!
//! - `alsa-sys`, with the feature `audio` on Linux, links ALSA's library: it needs `libasound2-dev` (Fedora: `alsa-lib-devel`) to build,
//!   and `libasound2` to start. The replacement looks the library up when a device is first asked for.
//! - `os_info` starts two programs at each [`Session::join`] and [`Room::connect`]. The replacement reads a file.
//!
//! To have the replacements, put into the program's own `Cargo.toml`:
//!
//! ```toml
//! [patch.crates-io]
//! alsa-sys = { git = "https://github.com/greenroom-dev/greenroom" }
//! os_info = { git = "https://github.com/greenroom-dev/greenroom" }
//! ```

#![forbid(unsafe_code)]

pub use greenroom_control::credentials::{self, Credentials, CredentialsRequest, Grants};
pub use greenroom_engine::launch::{AgentSpec, ParticipantStandIn, RoomStandIn, StandIn};
pub use greenroom_engine::voice;
pub use greenroom_engine::{
    AttachOptions, AudioOptions, Driver, Events, JoinOptions, LogTarget, Session, StartOptions, Status,
};
pub use greenroom_protocol::message::{
    AgentInfo, AgentState, Answer, ChatMessage, CloseReason, ConfigUpdate, Event, EventKind, FrameworkInfo,
    Handoff, IoUpdate, Item, Metrics, ModelUsage, Operation, Role, RtcStats, SessionState, SpokenTurn,
    Started, StateChange, ToolCall, ToolUpdate, Used, UserState, Verdict,
};
pub use greenroom_protocol::session::Config;
pub use greenroom_protocol::time::Timestamp;
pub use greenroom_protocol::turn::{Turn, Voice};
pub use greenroom_protocol::voice::Speech;
pub use greenroom_protocol::{Code, Error, Limits};
pub use greenroom_room::{Room, RoomOptions};

pub use greenroom_protocol as protocol;
pub use greenroom_room as room;

/// Microphones, loudspeakers and virtual devices, and what audio needs besides: frames, rates, levels, speech, noise, WAV files.
#[cfg(feature = "audio")]
pub mod audio {
    pub use greenroom_audio::*;
    pub use greenroom_capture::*;
}
