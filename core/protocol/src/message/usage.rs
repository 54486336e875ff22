//! What a session has used of its models so far.

use serde::{Deserialize, Serialize};

use super::value::number;
use crate::wire;

/// The use of one model since the session began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelUsage {
    /// Who serves the model.
    pub provider: String,
    /// The model.
    pub model: String,
    /// What was used, by the kind of model.
    #[serde(flatten)]
    pub used: Used,
}

/// What was used, by the kind of model. Tokens are counts, durations seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named as on the wire")]
pub enum Used {
    /// A language model.
    Llm {
        input_tokens: i32,
        input_cached_tokens: i32,
        input_audio_tokens: i32,
        input_cached_audio_tokens: i32,
        input_text_tokens: i32,
        input_cached_text_tokens: i32,
        input_image_tokens: i32,
        input_cached_image_tokens: i32,
        output_tokens: i32,
        output_audio_tokens: i32,
        output_text_tokens: i32,
        session_duration: f64,
    },
    /// A speech synthesis.
    Tts { input_tokens: i32, output_tokens: i32, characters_count: i32, audio_duration: f64 },
    /// A speech recognition.
    Stt { input_tokens: i32, output_tokens: i32, audio_duration: f64 },
    /// An interruption detector.
    Interruption { total_requests: i32 },
    /// An end-of-turn detector.
    Eot { total_requests: i32 },
}

pub(crate) fn from_wire(usage: Option<wire::AgentSessionUsage>) -> Vec<ModelUsage> {
    usage.map(|usage| usage.model_usage.into_iter().filter_map(model).collect()).unwrap_or_default()
}

fn model(usage: wire::ModelUsage) -> Option<ModelUsage> {
    use wire::model_usage::Usage as Wire;
    Some(match usage.usage? {
        Wire::Llm(u) => ModelUsage {
            provider: u.provider,
            model: u.model,
            used: Used::Llm {
                input_tokens: u.input_tokens,
                input_cached_tokens: u.input_cached_tokens,
                input_audio_tokens: u.input_audio_tokens,
                input_cached_audio_tokens: u.input_cached_audio_tokens,
                input_text_tokens: u.input_text_tokens,
                input_cached_text_tokens: u.input_cached_text_tokens,
                input_image_tokens: u.input_image_tokens,
                input_cached_image_tokens: u.input_cached_image_tokens,
                output_tokens: u.output_tokens,
                output_audio_tokens: u.output_audio_tokens,
                output_text_tokens: u.output_text_tokens,
                session_duration: number(u.session_duration),
            },
        },
        Wire::Tts(u) => ModelUsage {
            provider: u.provider,
            model: u.model,
            used: Used::Tts {
                input_tokens: u.input_tokens,
                output_tokens: u.output_tokens,
                characters_count: u.characters_count,
                audio_duration: number(u.audio_duration),
            },
        },
        Wire::Stt(u) => ModelUsage {
            provider: u.provider,
            model: u.model,
            used: Used::Stt {
                input_tokens: u.input_tokens,
                output_tokens: u.output_tokens,
                audio_duration: number(u.audio_duration),
            },
        },
        Wire::Interruption(u) => ModelUsage {
            provider: u.provider,
            model: u.model,
            used: Used::Interruption { total_requests: u.total_requests },
        },
        Wire::Eot(u) => ModelUsage {
            provider: u.provider,
            model: u.model,
            used: Used::Eot { total_requests: u.total_requests },
        },
    })
}
