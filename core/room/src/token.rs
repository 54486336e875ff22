//! What a token of LiveKit's says, as leniently as the server reads it.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

/// Base64 as all makers of tokens write it, padded or not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Returns the claims of a token; `None` of text that is none. No signature is checked.
pub fn token_claims(token: &str) -> Option<Value> {
    let token: String = token.chars().filter(|c| !c.is_whitespace()).collect();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return None };
    let object = |part: &str| {
        let text = LENIENT.decode(part).ok()?;
        serde_json::from_slice::<Value>(&text).ok().filter(Value::is_object)
    };
    object(header).filter(|_| !signature.is_empty()).and_then(|_| object(claims))
}

/// Returns a time in seconds since 1970, with fractions or without, that a claim has as a number or as text.
pub fn token_time(claim: &Value) -> Option<f64> {
    claim.as_f64().or_else(|| claim.as_str()?.trim().parse().ok())
}
