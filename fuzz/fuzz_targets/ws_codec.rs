#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| realtime_testkit::fuzz::ws_codec::run(data));
