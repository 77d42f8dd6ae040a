#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| realtime_testkit::fuzz::last_event_id::run(data));
