//! The key and secret that sign tokens, and the audit of their reads.

use greenroom_protocol::{Code, Error, Secret};

use super::sources::{Found, Source, Sources};
use crate::audit::{AuditLog, Audited};

/// The variables, as all of LiveKit's tools have them.
pub(super) const KEY_VARIABLE: &str = "LIVEKIT_API_KEY";
pub(super) const SECRET_VARIABLE: &str = "LIVEKIT_API_SECRET";

/// What `livekit-server --dev` takes.
const DEV_KEY: &str = "devkey";
const DEV_SECRET: &str = "secret";

/// What signs tokens.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) key: Secret,
    pub(super) secret: Secret,
    /// Whether it is the public development pair.
    pub(super) is_dev: bool,
    /// What looks like a mistake in them.
    pub(super) doubts: Vec<String>,
}

/// The requester of secrets, and the audit log.
pub(super) struct Asker<'a> {
    pub(super) requested_by: &'a str,
    pub(super) log: &'a AuditLog,
}

impl Keys {
    /// The pair that is given, or that the sources have, or for a server on this machine the one
    /// for development.
    pub(super) fn find(
        given: (Option<&Secret>, Option<&Secret>),
        sources: &Sources,
        asker: &Asker<'_>,
        is_loopback: bool,
    ) -> Result<Self, Error> {
        let find = |given: Option<&Secret>, variable| match given {
            Some(value) => Ok(Some(Found { value: value.clone(), source: Source::Argument })),
            None => sources.find(variable),
        };
        let key = find(given.0, KEY_VARIABLE)?;
        let secret = find(given.1, SECRET_VARIABLE)?;
        let invalid = |message: String| Err(Error::new(Code::InvalidArgument, message));
        let missing = |what: &str, beside: &str| {
            let (described, over) = (sources.described(), sources.passed_over(&[what]));
            invalid(format!("there is {beside} but no {what} in {described}; set {what}{over}"))
        };
        let both = [KEY_VARIABLE, SECRET_VARIABLE];
        let (key, secret) = match (key, secret) {
            (Some(key), Some(secret)) => (key, secret),
            (Some(_), None) => return missing(SECRET_VARIABLE, KEY_VARIABLE),
            (None, Some(_)) => return missing(KEY_VARIABLE, SECRET_VARIABLE),
            (None, None) if is_loopback && !sources.may_have(&both) => {
                let dev = |value: &str| Found { value: value.into(), source: Source::DevelopmentPair };
                (dev(DEV_KEY), dev(DEV_SECRET))
            }
            (None, None) => {
                return invalid(format!(
                    "there is no {KEY_VARIABLE} and no {SECRET_VARIABLE} in {}; set both, or pass them{}",
                    sources.described(),
                    sources.passed_over(&both)
                ));
            }
        };
        let is_dev = key.value.reveal() == DEV_KEY && secret.value.reveal() == DEV_SECRET;
        if is_dev && !is_loopback {
            return invalid(format!(
                "{DEV_KEY} and its secret are public and work only with a server on this machine; set {KEY_VARIABLE} and \
                 {SECRET_VARIABLE} to a pair of this server's"
            ));
        }
        let what = Audited::SecretRead { secret: SECRET_VARIABLE, source: &secret.source.to_string() };
        asker.log.write(asker.requested_by, &what)?;
        let doubts = [(KEY_VARIABLE, &key), (SECRET_VARIABLE, &secret)];
        let doubts =
            doubts.into_iter().filter_map(|(name, found)| doubt(&found.source.of(name), &found.value));
        Ok(Self { doubts: doubts.collect(), key: key.value, secret: secret.value, is_dev })
    }
}

/// Detects a likely copying mistake in a key or secret: a quote or blank at its ends, a line break,
/// a byte order mark. The result has `name`, the character and its position, and nothing of the
/// value.
pub fn doubt(name: &str, value: &Secret) -> Option<String> {
    let characters: Vec<char> = value.reveal().chars().collect();
    let last = characters.len().checked_sub(1)?;
    let (at, what) = characters.iter().enumerate().find_map(|(at, c)| {
        let is_at_an_end = at == 0 || at == last;
        let what = match c {
            '\n' => "a line break".to_owned(),
            '\r' => "a carriage return".to_owned(),
            '\t' => "a tab".to_owned(),
            '\u{feff}' => "a byte order mark".to_owned(),
            '"' if is_at_an_end => "a double quote".to_owned(),
            '\'' if is_at_an_end => "a single quote".to_owned(),
            '`' if is_at_an_end => "a backtick".to_owned(),
            ' ' if is_at_an_end => "a blank".to_owned(),
            ' ' => return None,
            // The quotes of word processors.
            '\u{2018}'..='\u{201f}' => format!("a curly quote (U+{:04X})", u32::from(*c)),
            c if c.is_control() => format!("the control character U+{:04X}", u32::from(*c)),
            // Such as zero width spaces and joiners.
            c if c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fffd}') => {
                format!("the invisible or broken character U+{:04X}", u32::from(*c))
            }
            _ => return None,
        };
        Some((at, what))
    })?;
    let of = characters.len();
    Some(format!(
        "character {} of {of} of {name} is {what}; was it copied along? A server whose secret is without it refuses the token (401)",
        at + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::doubt;

    #[test]
    fn doubt_names_the_character_and_not_the_value() {
        for (value, what) in [
            ("hunter2\n", "character 8 of 8 of S is a line break"),
            ("hunter2\r", "character 8 of 8 of S is a carriage return"),
            ("\"hunter2\"", "character 1 of 9 of S is a double quote"),
            ("hunter2'", "character 8 of 8 of S is a single quote"),
            (" hunter2", "character 1 of 8 of S is a blank"),
            ("\u{feff}hunter2", "character 1 of 8 of S is a byte order mark"),
            ("hunt\ner2", "character 5 of 8 of S is a line break"),
            ("hunter2\u{a0}", "U+00A0"),
            ("hunt\u{200b}er2", "U+200B"),
            ("\u{201c}hunter2\u{201d}", "a curly quote (U+201C)"),
            ("hunter2\0", "U+0000"),
        ] {
            let doubt = doubt("S", &value.into()).expect("a doubt");
            assert!(doubt.contains(what) && !doubt.contains("hunt"), "{doubt}");
        }
        for fine in ["hunter2", "a b", "a\"b", "it's", "a$b#c\\d", "grüße", ""] {
            assert_eq!(doubt("S", &fine.into()), None, "{fine}");
        }
    }
}
