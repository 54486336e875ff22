//! Text of an agent, made so that it cannot drive the terminal that shows it.

use unicode_segmentation::UnicodeSegmentation;

/// The text with line breaks and tabs, and every other control character made visible: one that
/// moves the cursor, changes colours or titles, or turns the direction of writing would let an
/// agent forge what is on the screen.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => clean.push(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\0'..='\x1f' => clean.push(picture(c)),
            '\x7f' => clean.push('␡'),
            c if c.is_control() || turns_direction(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    clean
}

/// The same in one line.
pub(crate) fn line(text: &str) -> String {
    clean(text).replace('\n', "⏎").replace('\t', " ")
}

/// At most `most` characters as people count them; what is cut off is counted.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.grapheme_indices(true).nth(most) {
        None => text.to_owned(),
        Some((end, _)) => {
            let rest = text[end..].graphemes(true).count();
            format!("{}… ({rest} more characters; --full shows them)", &text[..end])
        }
    }
}

/// The picture that Unicode has for a control character.
fn picture(c: char) -> char {
    char::from_u32(0x2400 + c as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Whether the character changes the direction in which its surroundings are written, or ends a
/// line where none ends.
const fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{clean, cut, line};

    #[test]
    fn control_characters_are_shown_and_do_nothing() {
        assert_eq!(clean("\x1b[2Jgone\x07\x08\x7f"), "␛[2Jgone␇␈␡");
        assert_eq!(clean("\u{9b}31mred"), "\\u{9b}31mred");
        assert_eq!(clean("a\r\nb\rc\td"), "a\nb␍c\td");
        assert_eq!(clean("\u{202e}evil\u{2069}"), "\\u{202e}evil\\u{2069}");
        assert_eq!(line("a\nb\tc"), "a⏎b c");
    }

    #[test]
    fn ordinary_text_of_any_script_stays() {
        let text = "שלום, नमस्ते, 👩‍👩‍👧 e\u{301} — 日本語";
        assert_eq!(clean(text), text);
    }

    #[test]
    fn text_is_cut_on_characters() {
        assert_eq!(cut("👩‍👩‍👧👩‍👩‍👧", 2), "👩‍👩‍👧👩‍👩‍👧");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 1), "e\u{301}… (2 more characters; --full shows them)");
        assert_eq!(cut("", 0), "");
    }
}
