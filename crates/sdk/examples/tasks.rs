//! A model that works on many requests at a time, each as an asynchronous task. It waits, sends
//! chunks or panics as its inputs say.

use std::time::Duration;

use ai_integration::{Model, Outcome, json};
use tokio::time::sleep;

/// Prints a line if the future of its request is dropped before the end.
struct Unfinished {
    text: String,
    has_ended: bool,
}

impl Drop for Unfinished {
    #[expect(clippy::disallowed_macros, reason = "nobody closes the output before the model ends")]
    fn drop(&mut self) {
        if !self.has_ended {
            println!("cancelled {}", self.text);
        }
    }
}

fn main() {
    let schema = json!({
        "text": {"type": "text"},
        "wait_ms": {"type": "integer", "default": 0},
        "chunks": {"type": "integer", "default": 0},
    });
    Model::new(schema).concurrency(64).run_async(async |job| {
        let wait = Duration::from_millis(job.get_as("wait_ms")?);
        let chunks: usize = job.get_as("chunks")?;
        let text = job.text("text");
        assert!(text != "panic", "asked to");
        for _ in 0..chunks {
            job.send_chunk("text/plain", text).await?;
            sleep(wait).await;
        }
        if chunks > 0 {
            return Ok(Outcome::text(""));
        }
        let mut unfinished = Unfinished { text: text.to_owned(), has_ended: false };
        sleep(wait).await;
        unfinished.has_ended = true;
        Ok(Outcome::text(text))
    })
}
