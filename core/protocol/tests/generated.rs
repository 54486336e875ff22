//! The generated code that is committed is what the schema makes today. `GREENROOM_GEN=1` writes it instead of comparing.

use std::path::Path;

#[test]
fn generated_code_is_what_the_schema_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto = root.join("../../proto");
    let committed = root.join("src/generated.rs");
    let out = std::env::temp_dir().join(format!("greenroom-gen-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();

    let descriptors = protox::compile(["agent_session.proto"], [&proto]).unwrap();
    prost_build::Config::new()
        .out_dir(&out)
        .bytes([".livekit.agent.AgentSessionMessage.ConsoleIO.AudioFrame.data"])
        .btree_map(["."])
        .compile_fds(descriptors)
        .unwrap();
    let made = std::fs::read_to_string(out.join("livekit.agent.rs")).unwrap();
    std::fs::remove_dir_all(&out).unwrap();

    if std::env::var_os("GREENROOM_GEN").is_some() {
        std::fs::write(&committed, made).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(made == found, "core/protocol/src/generated.rs is stale: run `make gen`");
}
