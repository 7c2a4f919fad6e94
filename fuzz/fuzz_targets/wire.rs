#![no_main]
//! Reads self-contained messages. A message that was read can be written and read again.

use ai_integration_contract::wire::Message;
use ai_integration_contract::{Error, Inputs, Outcome};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    read_twice::<Inputs>(bytes);
    read_twice::<Result<Outcome, Error>>(bytes);
});

fn read_twice<M: Message>(bytes: &[u8]) {
    if let Ok(message) = M::from_bytes(bytes.to_vec().into()) {
        let written = message.to_bytes().expect("what was read fits a frame");
        assert!(M::from_bytes(written).is_ok());
    }
}
