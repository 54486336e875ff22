//! Env files, `.env.local` and `.env`: read as leniently as the most used readers do.
//!
//! Where python-dotenv, npm's dotenv and `node --env-file` agree, a value is what they say. Where
//! they differ, it is the bytes as they stand in the file: nothing is substituted (`$`), a `#`
//! begins a comment only after a blank, and a backslash is a backslash, but for `\n` and `\r` in
//! double quotes. `tests/env_cases.json` has the table, and the suites hold all three readers to
//! it.
//!
//! A line that cannot be read is passed over, and known by its number alone.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use greenroom_os::read_fifo;
use greenroom_protocol::Secret;

/// The most bytes of a file that are read.
const LARGEST: u64 = 1 << 20;

/// What an env file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EnvFile {
    /// The variables, in the file's order.
    entries: Vec<Entry>,
    /// The lines that were passed over.
    pub(super) passed_over: Vec<PassedOver>,
}

/// A variable of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    name: String,
    pub(super) value: Secret,
    /// The first line of it, from 1 on.
    pub(super) line: usize,
    /// The last line of it.
    pub(super) last_line: usize,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PassedOver {
    /// From 1 on.
    pub(super) line: usize,
    pub(super) why: &'static str,
    /// The variable that the line starts with, if it can be recognized; it may be part of a secret.
    name: Secret,
}

impl PassedOver {
    /// Whether the line would have given this variable a value.
    pub(super) fn is_of(&self, variable: &str) -> bool {
        self.name.reveal() == variable
    }
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) why: String,
    /// Whether it cannot be a file of variables at all, such as a folder.
    pub(super) is_no_file: bool,
}

impl Unreadable {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_no_file: false }
    }
}

impl EnvFile {
    /// Reads a file; `None` where there is none. A named pipe is waited for.
    ///
    /// # Errors
    /// Why it cannot be read, in words that quote nothing of it.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Unreadable> {
        let failed = |error: io::Error| Unreadable::new(format!("it cannot be read ({error})"));
        match fs::symlink_metadata(path) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        }
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unreadable::new("it is a link to a file that is not there"),
            _ => failed(error),
        })?;
        let kind = metadata.file_type();
        let bytes = if kind.is_file() {
            let mut bytes = Vec::new();
            let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
            read.map_err(failed)?;
            bytes
        } else if kind.is_dir() {
            return Err(Unreadable { why: "it is a folder".to_owned(), is_no_file: true });
        } else if let Some(read) = read_fifo(path, kind, LARGEST + 1) {
            read.map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => Unreadable::new(error.to_string()),
                _ => failed(error),
            })?
        } else {
            return Err(Unreadable { why: "it is no file".to_owned(), is_no_file: true });
        };
        if bytes.len() as u64 > LARGEST {
            return Err(Unreadable::new(format!("it is larger than {} MiB", LARGEST >> 20)));
        }
        Self::from_bytes(&bytes).map(Some)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let zeros = bytes.iter().filter(|byte| **byte == 0).count();
        // Text in UTF-16 has a zero in nearly each of its units.
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || zeros > bytes.len() / 4 {
            return Err(Unreadable::new("it is UTF-16; save it as UTF-8"));
        }
        Ok(Self::parse(&String::from_utf8_lossy(bytes)))
    }

    /// Reads a text.
    pub(super) fn parse(text: &str) -> Self {
        let mut file = Self::default();
        let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
        loop {
            reader.skip(|c| c.is_whitespace() || c == '\u{feff}');
            if reader.rest.is_empty() {
                return file;
            }
            let (begin, line) = (reader.rest, reader.line);
            match reader.statement() {
                Ok(Some((name, value))) if value.contains(char::REPLACEMENT_CHARACTER) => {
                    file.passed_over.push(PassedOver { line, why: "it is not UTF-8", name: name.into() });
                }
                Ok(Some((name, value))) => file.entries.push(Entry {
                    name: name.to_owned(),
                    value: value.into(),
                    line,
                    last_line: reader.line,
                }),
                Ok(None) => {}
                Err((name, why)) => {
                    // No further than its line: what follows may concern us.
                    reader = Reader { rest: begin, line };
                    file.passed_over.push(PassedOver { line, why, name: name.into() });
                }
            }
            reader.skip(|c| !is_line_end(c));
        }
    }

    /// The value of a variable; the last one counts.
    pub(super) fn get(&self, variable: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.name == variable)
    }

    /// The lines of a quoted value inside of which there is a line that seems to be of this
    /// variable.
    pub(super) fn swallowing(&self, variable: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            entry.line < entry.last_line
                && entry.value.reveal().split(is_line_end).skip(1).any(|line| {
                    let line = line.trim_start();
                    let line = line.strip_prefix("export ").unwrap_or(line);
                    line.strip_prefix(variable).is_some_and(|after| after.trim_start().starts_with('='))
                })
        })
    }
}

/// What cannot be read: the variable as far as it is known, and why.
type Refusal<'a> = (&'a str, &'static str);

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    /// Takes so many bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += line_ends(taken);
        taken
    }

    /// Takes all up to the first character that is none of these.
    fn skip(&mut self, is_one: impl Fn(char) -> bool) -> &'a str {
        self.take(self.rest.find(|c| !is_one(c)).unwrap_or(self.rest.len()))
    }

    /// The variable that a line sets, or several lines if its value is quoted.
    fn statement(&mut self) -> Result<Option<(&'a str, String)>, Refusal<'a>> {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(is_blank)
        {
            self.take("export".len());
            self.skip(is_blank);
        }
        let name = self.name()?;
        // `NAME: value`, as npm's dotenv has it too.
        let (name, has_colon) = match name.strip_suffix(':') {
            Some(before) if self.rest.starts_with(is_blank) => (before, true),
            _ => (name, false),
        };
        self.skip(is_blank);
        if self.rest.starts_with('=') {
            self.take(1);
        } else if !has_colon {
            let is_over = self.rest.is_empty() || self.rest.starts_with(is_line_end);
            // A name alone has no value.
            return if is_over || self.rest.starts_with('#') {
                Ok(None)
            } else {
                Err((name, "it is no NAME=value"))
            };
        }
        if name.is_empty() {
            return Err((name, "it names no variable"));
        }
        let blanks = self.skip(is_blank);
        match self.rest.chars().next() {
            Some(quote @ ('\'' | '"' | '`')) => Ok(Some((name, self.quoted(name, quote)?))),
            _ => Ok(Some((name, self.unquoted(!blanks.is_empty())))),
        }
    }

    fn name(&mut self) -> Result<&'a str, Refusal<'a>> {
        if !self.rest.starts_with('\'') {
            return Ok(self.skip(|c| !c.is_whitespace() && c != '=' && c != '#'));
        }
        self.take(1);
        let name = self.skip(|c| c != '\'' && !is_line_end(c));
        if !self.rest.starts_with('\'') {
            return Err(("", "the quote of its name is not closed"));
        }
        self.take(1);
        Ok(name)
    }

    /// What is left of the line but for a comment and blanks around it.
    fn unquoted(&mut self, follows_blank: bool) -> String {
        let text = self.skip(|c| !is_line_end(c));
        let mut after_blank = follows_blank;
        let comment = text.find(|c: char| {
            let is_comment = c == '#' && after_blank;
            after_blank = c.is_whitespace();
            is_comment
        });
        text[..comment.unwrap_or(text.len())].trim().to_owned()
    }

    /// What stands between quotes, on several lines too.
    fn quoted(&mut self, name: &'a str, quote: char) -> Result<String, Refusal<'a>> {
        let inside = &self.rest[1..];
        // Where it may end: at the first quote that no backslash precedes; else at one that a
        // backslash does, as in "C:\folder\".
        let mut ends = Vec::new();
        let mut escaped = false;
        for (at, c) in inside.char_indices() {
            if c == quote {
                ends.push(at);
                if !escaped {
                    break;
                }
            }
            escaped = c == '\\' && !escaped;
        }
        let Some(end) = ends.iter().rev().copied().find(|end| ends_there(&inside[end + 1..])) else {
            let is_closed = inside
                .find(|c| c == quote || is_line_end(c))
                .is_some_and(|at| inside[at..].starts_with(quote));
            return Err((
                name,
                if is_closed {
                    "text follows the quote that closes its value"
                } else {
                    "its quote is not closed"
                },
            ));
        };
        let value = &inside[..end];
        self.take(end + 2);
        Ok(if quote == '"' { value.replace("\\n", "\n").replace("\\r", "\r") } else { value.to_owned() })
    }
}

/// Whether a value may end before this: nothing follows in its line but blanks and a comment.
fn ends_there(after: &str) -> bool {
    let after = after.trim_start_matches(is_blank);
    after.is_empty() || after.starts_with('#') || after.starts_with(is_line_end)
}

const fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() && !is_line_end(c)
}

/// How many lines end in a text, by `\n`, `\r` or both.
fn line_ends(text: &str) -> usize {
    let returns = text.matches('\r').count();
    text.matches('\n').count() + returns - text.matches("\r\n").count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::EnvFile;

    /// A row of `tests/env_cases.json`.
    #[derive(Deserialize)]
    struct Case {
        text: String,
        expected: BTreeMap<String, Option<String>>,
        #[serde(default)]
        passed_over: Vec<usize>,
    }

    fn value(file: &EnvFile, name: &str) -> Option<String> {
        file.get(name).map(|entry| entry.value.reveal().to_owned())
    }

    #[test]
    fn env_file_has_the_values_of_the_table() {
        let table = include_str!("../../../../tests/env_cases.json");
        let cases: BTreeMap<String, Case> = serde_json::from_str(table).expect("a table");
        assert!(cases.len() > 30);
        for (what, case) in cases {
            let file = EnvFile::parse(&case.text);
            for (name, expected) in case.expected {
                assert_eq!(value(&file, &name), expected, "{what}: {name}");
            }
            let lines: Vec<usize> = file.passed_over.iter().map(|line| line.line).collect();
            assert_eq!(lines, case.passed_over, "{what}");
        }
    }

    #[test]
    fn env_file_that_ends_anywhere_is_read() {
        let table = include_str!("../../../../tests/env_cases.json");
        let cases: BTreeMap<String, Case> = serde_json::from_str(table).expect("a table");
        for (what, case) in cases {
            for (at, _) in case.text.char_indices() {
                for part in [&case.text[..at], &case.text[at..]] {
                    let lines = part.lines().count() + part.matches('\r').count();
                    let file = EnvFile::parse(part);
                    let last = file.entries.iter().map(|entry| entry.last_line);
                    assert!(
                        last.chain(file.passed_over.iter().map(|over| over.line)).all(|line| line <= lines),
                        "{what}"
                    );
                }
            }
        }
    }

    #[test]
    fn env_file_lines_are_counted_by_any_line_end() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["A=1", "B=\"x", "y\"", "two words", "C=3", "D='"].join(end);
            let file = EnvFile::parse(&text);
            let of = |name| file.get(name).map(|entry| (entry.line, entry.last_line));
            assert_eq!((of("A"), of("B"), of("C")), (Some((1, 1)), Some((2, 3)), Some((5, 5))), "{end:?}");
            let lines: Vec<usize> = file.passed_over.iter().map(|line| line.line).collect();
            assert_eq!(lines, [4, 6], "{end:?}");
        }
    }

    #[test]
    fn env_file_debug_form_shows_no_value() {
        let file = EnvFile::parse("A=hunter2\nB=\"hunter2\nhunter2 hunter2\n");
        assert!(!format!("{file:?}").contains("hunter2"));
    }

    #[test]
    fn env_file_of_another_encoding_is_named() {
        let utf16: Vec<u8> = "A=1\nB=2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let with_mark: Vec<u8> = [&[0xff, 0xfe], utf16.as_slice()].concat();
        for bytes in [utf16, with_mark] {
            assert!(EnvFile::from_bytes(&bytes).expect_err("no UTF-8").why.contains("UTF-16"));
        }
        // Latin-1 is ignored in a comment, but not in a value.
        let file = EnvFile::from_bytes(b"# caf\xe9\nA=1\nB=caf\xe9\n").expect("text");
        assert_eq!((value(&file, "A").as_deref(), value(&file, "B")), (Some("1"), None));
        assert_eq!(file.passed_over[0].line, 3);
    }

    #[test]
    fn env_file_quote_that_swallows_a_variable_is_found() {
        let file = EnvFile::parse("GREETING=\"hi\nexport SECRET = x\nSECRETS=1\"\n");
        assert_eq!(file.swallowing("SECRET").map(|entry| (entry.line, entry.last_line)), Some((1, 3)));
        assert_eq!(file.swallowing("OTHER"), None);
    }
}
