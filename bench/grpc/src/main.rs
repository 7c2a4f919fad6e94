//! Puts a server under load by `ModelInfer` of the Open Inference Protocol.
//!
//!     grpc PORT MODEL INPUT TEXT CLIENTS SECONDS
//!
//! Each client sends one request after another over a connection of its own, at least one. It prints
//! JSON: the figures of the time until the last response, in seconds, and the first response's text.
//! A response with another text is an error.

mod messages;

use std::cell::OnceCell;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::LocalSet;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use messages::{InferRequest, InferResponse};

const METHOD: PathAndQuery =
    PathAndQuery::from_static("/inference.GRPCInferenceService/ModelInfer");
/// The timeout of a connection and of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause of a client after a failed request.
const PAUSE: Duration = Duration::from_millis(10);

/// The figures of one client.
#[derive(Default)]
struct Found {
    /// The durations of the successful requests.
    times: Vec<Duration>,
    errors: u64,
    /// The reason of the first error.
    reason: Option<String>,
}

struct Client {
    connection: Grpc<Channel>,
    request: InferRequest,
    end: Instant,
    /// The text of the first response of all clients.
    answer: Rc<OnceCell<String>>,
}

impl Client {
    async fn run(mut self) -> Found {
        let mut found = Found::default();
        loop {
            let begin = Instant::now();
            match self.ask().await {
                Ok(()) => found.times.push(begin.elapsed()),
                Err(reason) => {
                    found.errors += 1;
                    found.reason.get_or_insert(reason);
                    tokio::time::sleep(PAUSE).await;
                }
            }
            if Instant::now() >= self.end {
                return found;
            }
        }
    }

    async fn ask(&mut self) -> Result<(), String> {
        self.connection.ready().await.map_err(|failure| failure.to_string())?;
        let request = Request::new(self.request.clone());
        let codec = ProstCodec::<InferRequest, InferResponse>::default();
        let response = self.connection.unary(request, METHOD, codec).await;
        let response =
            response.map_err(|status| format!("{:?}: {}", status.code(), status.message()))?;
        let text = response.into_inner().into_text().ok_or("a response that is not one text")?;
        if *self.answer.get_or_init(|| text.clone()) == text {
            Ok(())
        } else {
            Err(format!("a text that differs from that of the first response: {text}"))
        }
    }
}

/// Returns a percentile in seconds, or `None` if there are no times.
fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    Some(sorted.get(rank.checked_sub(1)?)?.as_secs_f64())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, model, input, text, clients, seconds] = arguments.as_slice() else {
        return Err("usage: grpc PORT MODEL INPUT TEXT CLIENTS SECONDS".into());
    };
    let server = Endpoint::try_from(format!("http://127.0.0.1:{port}"))?
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE);
    let answer = Rc::default();
    let begin = Instant::now();
    let end = begin + Duration::try_from_secs_f64(seconds.parse()?)?;

    let tasks = LocalSet::new();
    let running: Vec<_> = (0..clients.parse()?)
        .map(|_| Client {
            connection: Grpc::new(server.connect_lazy()),
            request: InferRequest::new(model, input, text),
            end,
            answer: Rc::clone(&answer),
        })
        .map(|client| tasks.spawn_local(client.run()))
        .collect();
    tasks.await;
    let seconds = begin.elapsed().as_secs_f64();

    let (mut times, mut errors, mut reason) = (Vec::new(), 0, None);
    for client in running {
        let found = client.await?;
        times.extend(found.times);
        errors += found.errors;
        reason = reason.or(found.reason);
    }
    times.sort_unstable();
    let figures = json!({
        "requests": times.len(),
        "errors": errors,
        "seconds": seconds,
        "p50": percentile(&times, 50),
        "p99": percentile(&times, 99),
        "answer": answer.get(),
        "reason": reason,
    });
    serde_json::to_writer(io::stdout(), &figures)?;
    Ok(())
}
