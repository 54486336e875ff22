#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greenroom_engine::room::fuzz::relay(data));
