//! What a conversation looks like in a terminal: what happens scrolls by, under it the meters,
//! under them the line that is typed.

use greenroom_audio::Level;

use crate::bar;

/// To the line of the meters; all from there on goes.
const TO_METERS: &str = "\x1b[1A\r\x1b[J";
/// The same after Enter, which is one line farther down.
const TO_METERS_AFTER_ENTER: &str = "\x1b[2A\r\x1b[J";

/// The meters, and the line below for what is typed.
pub(super) fn meters(user: &Level, agent: &Level) -> String {
    format!("  You {}  Agent {}\n", bar::short(user), bar::short(agent))
}

/// Draws the meters anew, and leaves what is typed where it is.
pub(super) fn redrawn(meters: &str) -> String {
    format!("\x1b7\x1b[1A\r\x1b[2K{}\x1b8", meters.trim_end())
}

/// Puts `text` above the meters.
pub(super) fn above(text: &str, meters: &str, after_enter: bool) -> String {
    let to_meters = if after_enter { TO_METERS_AFTER_ENTER } else { TO_METERS };
    format!("{to_meters}{text}{meters}")
}

/// Takes the meters away.
pub(super) const fn gone() -> &'static str {
    TO_METERS
}

#[cfg(test)]
mod tests {
    use greenroom_audio::Level;

    use super::{above, meters, redrawn};

    #[test]
    fn both_sides_have_a_meter_of_their_own_on_one_line() {
        let level = |rms: f32| Level { at: 0, rms, peak: rms, held: rms, clipped: 0 };
        let shown = meters(&level(0.0), &level(f32::NEG_INFINITY));
        let (user, agent) = shown.split_once("Agent").expect("both are there");
        assert!(user.contains('█') && !agent.contains('█'), "{shown}");
        assert_eq!(shown.lines().count(), 1);
        assert!(!redrawn(&shown).contains('\n'), "the cursor stays on the line that is typed");
    }

    #[test]
    fn what_happens_goes_above_the_meters() {
        assert_eq!(above("hello\n", "meters\n", false), "\x1b[1A\r\x1b[Jhello\nmeters\n");
        assert_eq!(above("hello\n", "meters\n", true), "\x1b[2A\r\x1b[Jhello\nmeters\n");
    }
}
