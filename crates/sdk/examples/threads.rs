//! A model that works on many requests at a time, each on its own thread. It waits, sends chunks or
//! panics, as its inputs say.

use std::thread::sleep;
use std::time::Duration;

use ai_integration::{Model, Outcome, json};

#[expect(clippy::disallowed_methods, reason = "each request has its own thread, which may wait")]
#[expect(clippy::disallowed_macros, reason = "nobody closes the output before the model ends")]
fn main() {
    let schema = json!({
        "text": {"type": "text"},
        "wait_ms": {"type": "integer", "default": 0},
        "chunks": {"type": "integer", "default": 0},
    });
    Model::new(schema).concurrency(64).run(|job| {
        let wait: u64 = job.get_as("wait_ms")?;
        let chunks: usize = job.get_as("chunks")?;
        let text = job.text("text");
        assert!(text != "panic", "asked to");
        for _ in 0..chunks {
            job.send_chunk("text/plain", text)?;
            sleep(Duration::from_millis(wait));
        }
        if chunks > 0 {
            return Ok(Outcome::text(""));
        }
        for _ in 0..wait / 10 {
            if job.cancelled() {
                println!("cancelled {text}");
                return Ok(Outcome::failure("cancelled"));
            }
            sleep(Duration::from_millis(10));
        }
        Ok(Outcome::text(text))
    })
}
