//! Wire values that have no meaning of their own: times, durations, structs, enums.

use std::time::Duration;

use prost_types::value::Kind;
use serde_json::Value;

use crate::time::Timestamp;

/// A wire timestamp; `None` when it is out of the years that RFC 3339 has.
pub(super) fn timestamp(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    let mut at = at?;
    at.normalize();
    Timestamp::since_1970(Duration::new(at.seconds.try_into().ok()?, at.nanos.try_into().ok()?))
}

/// A wire duration in seconds.
pub(super) fn seconds(duration: Option<prost_types::Duration>) -> Option<f64> {
    duration.map(|d| d.seconds as f64 + f64::from(d.nanos) / 1e9)
}

/// A number that JSON can write: what is none, or infinite, counts as not measured.
pub(super) fn measured(number: Option<f64>) -> Option<f64> {
    number.filter(|number| number.is_finite())
}

/// The same for a number that is always there: 0 stands for what JSON cannot write.
pub(super) fn number(number: f64) -> f64 {
    measured(Some(number)).unwrap_or_default()
}

/// A wire struct as JSON.
pub(super) fn json(fields: prost_types::Struct) -> Value {
    Value::Object(fields.fields.into_iter().map(|(name, value)| (name, json_value(value))).collect())
}

fn json_value(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(yes)) => yes.into(),
        Some(Kind::NumberValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::StructValue(fields)) => json(fields),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json_value).collect(),
    }
}

/// An enum of the wire: its names in JSON, and a place for values newer than our schema (`unknown_7`).
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A value newer than this schema.
            Unknown(i32),
        }

        impl From<i32> for $name {
            fn from(number: i32) -> Self {
                match number { $($number => Self::$variant,)* other => Self::Unknown(other) }
            }
        }

        impl From<$name> for i32 {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => $number,)* $name::Unknown(other) => other }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Unknown(number) => write!(f, "unknown_{number}"),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                match text.as_str() {
                    $($text => Ok(Self::$variant),)*
                    _ => text
                        .strip_prefix("unknown_")
                        .and_then(|number| number.parse().ok())
                        .map(Self::Unknown)
                        .ok_or_else(|| serde::de::Error::custom(format!("not a {}: {text}", stringify!($name)))),
                }
            }
        }
    };
}
pub(super) use wire_enum;
