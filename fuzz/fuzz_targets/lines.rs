#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ai_integration_modes::fuzzing::lines(bytes));
