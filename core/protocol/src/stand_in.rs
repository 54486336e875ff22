//! What the SDKs put in place of a room where there is none, as in console mode, and how to tell that an
//! agent stumbled over it.

/// Returns what to say behind a text that comes of a stand-in for a room; `None` if it does not.
///
/// livekit-agents puts mocks of `unittest` there, whose text or type is in what the agent says or in its
/// errors. @livekit/agents puts a room there that is not connected.
pub fn hint(text: &str) -> Option<&'static str> {
    if text.contains("<MagicMock ") || text.contains("not MagicMock") || text.contains("'MagicMock' object") {
        Some(
            "the agent read what only a room has: without a room the SDK puts a stand-in, a MagicMock, in its place. \
             Give the values to the start (`--participant-name`, `--participant-metadata`, `--participant-attribute`, \
             `--room-name`, `--room-metadata`, `--job-metadata`; in a program `participant=`, `room=`, `job_metadata=`), or drive the agent in a room with \
             `greenroom attach`",
        )
    } else if text.contains("room is not connected") {
        Some(
            "the agent waits for what only a room has: without a room the SDK's stand-in for it is never connected. \
             Ask for it only where `ctx.isFakeJob` is false, or drive the agent in a room with `greenroom attach`",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn texts_of_stand_ins_are_told_from_others() {
        for text in [
            "Hello <MagicMock name='mock.name' id='1405'>!",
            "TypeError: the JSON object must be str, bytes or bytearray, not MagicMock",
            "TypeError: 'MagicMock' object is not iterable",
            "Error: room is not connected",
        ] {
            assert!(hint(text).is_some(), "{text}");
        }
        for text in ["MagicMock is a class of unittest", "the room is connected", ""] {
            assert_eq!(hint(text), None, "{text}");
        }
    }
}
