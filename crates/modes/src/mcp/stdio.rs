//! The transport over standard input and output: each message is one line. Standard output has nothing
//! but messages. The mode ends when its client closes standard input.

use std::io::{self, BufRead, Read, Write};
use std::thread;
use std::time::Duration;

use ai_integration_contract::{SettingError, json as strict};
use ai_integration_engine::{Engine, Reservation};
use axum::http::HeaderMap;
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::console::eprint;
use crate::exit::ExitStatus;
use crate::http::app::App;
use crate::http::config::HttpSettings;
use crate::http::headless;
use crate::http::inputs::call::Call;
use crate::http::inputs::intake::Intake;
use crate::http::large::work_on;
use crate::http::limits::ClientLimits;
use crate::http::request_context::{RequestContext, RequestId};
use crate::http::start_failure::start_failure;
use crate::mcp::message::{Code, Message, Request, RpcError, response};
use crate::mcp::server::{CANCELLED, Exchange, answer};
use crate::mcp::version::{self, Era};
use crate::mode::Context;
use crate::running::Running;

/// The label of the requests in the log.
const ROUTE: &str = "stdio";
/// The number of messages that may wait until the client reads them.
const WAITING: usize = 16;
/// The time that the client has to read the last messages.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// A line of standard input.
enum Line {
    Message(Vec<u8>),
    TooLong,
}

/// The client and its running requests.
struct Session {
    app: App,
    engine: Engine,
    intake: Intake,
    logs_for_people: bool,
    running: Running,
    answers: JoinSet<()>,
    output: mpsc::Sender<String>,
}

/// Serves the client until it closes standard input, or the mode must stop.
pub(crate) async fn serve(context: Context) -> ExitStatus {
    let (app, limits, stop_timeout) = match read(&context) {
        Ok(read) => read,
        Err(error) => {
            eprint(format_args!("error: {error}"));
            return ExitStatus::Usage;
        }
    };
    let (output, writer) = start_writing();
    let mut lines = start_reading(limits.max_body);
    let mut session = Session {
        intake: axum::extract::FromRef::from_ref(&app),
        app,
        engine: context.engine.clone(),
        logs_for_people: context.logs_for_people,
        running: Running::default(),
        answers: JoinSet::new(),
        output,
    };
    let mut state = context.engine.state();
    let failed = start_failure(&mut state, context.config.reload, context.logs_for_people);
    let status = tokio::select! {
        () = session.take_all(&mut lines) => ExitStatus::Done,
        () = context.stop.cancelled() => ExitStatus::Done,
        () = failed => ExitStatus::ModelUnavailable,
    };
    let times = (stop_timeout, LAST_OUTPUT);
    headless::finish(&mut session.answers, &context.engine, times, "requests").await;
    // The writer ends when nobody can send to it any more.
    drop(session);
    let _ = timeout(LAST_OUTPUT, writer).await;
    status
}

fn read(context: &Context) -> Result<(App, ClientLimits, Duration), SettingError> {
    let limits = ClientLimits::read(&context.environment)?;
    let stop_timeout = HttpSettings::read(&context.environment)?.stop_timeout;
    Ok((headless::app(context, limits)?, limits, stop_timeout))
}

/// Starts the thread that reads standard input. Its lines have at most `limit` bytes.
fn start_reading(limit: usize) -> mpsc::Receiver<Line> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Ok(Some(line)) = next_line(&mut input, limit) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Reads the next line; `None` at the end.
fn next_line(input: &mut impl BufRead, limit: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let length = input.take(limit as u64 + 1).read_until(b'\n', &mut line)?;
    if length == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') && length > limit {
        input.skip_until(b'\n')?;
        return Ok(Some(Line::TooLong));
    }
    Ok(Some(Line::Message(line)))
}

/// Starts the thread that writes messages to standard output. The future ends once all of them are
/// written, or the client has closed its end.
fn start_writing() -> (mpsc::Sender<String>, impl Future<Output = ()>) {
    let (sender, mut messages) = mpsc::channel::<String>(WAITING);
    let (written, all_written) = tokio::sync::oneshot::channel::<()>();
    thread::spawn(move || {
        while let Some(mut message) = messages.blocking_recv() {
            message.push('\n');
            let mut output = io::stdout().lock();
            if output.write_all(message.as_bytes()).and_then(|()| output.flush()).is_err() {
                break;
            }
        }
        drop(written);
    });
    (sender, async move { all_written.await.unwrap_or_default() })
}

impl Session {
    /// Takes messages until the client closes standard input or output.
    async fn take_all(&mut self, lines: &mut mpsc::Receiver<Line>) {
        loop {
            let line = tokio::select! {
                line = lines.recv() => line,
                Some(_) = self.answers.join_next() => continue,
                () = self.output.closed() => None,
            };
            match line {
                None => return,
                Some(Line::Message(line)) => self.take(line).await,
                Some(Line::TooLong) => {
                    let message = "the message is longer than AI_INTEGRATION_MAX_BODY allows";
                    self.refuse(&Json::Null, RpcError::new(Code::InvalidRequest, message)).await;
                }
            }
        }
    }

    async fn take(&mut self, line: Vec<u8>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let length = line.len();
        let parsed = work_on(length, move || {
            let json = strict::parse(&line);
            json.map(|json| (strict::footprint(&json), Message::read(json)))
        });
        match parsed.await {
            Ok(Ok((footprint, message))) => self.receive(message, length + footprint).await,
            Ok(Err(fault)) => {
                let message = format!("the message is not JSON: {fault}");
                self.refuse(&Json::Null, RpcError::new(Code::Unreadable, message)).await;
            }
            // The mode ends.
            Err(_) => {}
        }
    }

    /// Receives a message that takes up this memory.
    async fn receive(&mut self, message: Message, memory: usize) {
        match message {
            Message::Response => {}
            Message::Invalid { id, error } => self.refuse(&id, error).await,
            Message::Notification { method, params } => {
                if method == CANCELLED
                    && let Some(id) = params.get("requestId")
                {
                    self.running.cancel(&id.to_string());
                }
            }
            Message::Request(request) => {
                let id = request.id.clone();
                if let Err(error) = self.start(request, memory) {
                    self.refuse(&id, error).await;
                }
            }
        }
    }

    /// Starts to answer a request.
    fn start(&mut self, request: Request, memory: usize) -> Result<(), RpcError> {
        let era = Era::of(&request.params, None);
        if era == Era::Stateless {
            version::check(version::named(&request.params)?)?;
        }
        let mut reservation: Reservation = self.intake.reader().reserve_for(None);
        if !reservation.add(memory) {
            let message = "the memory for requests is in use; try again later";
            return Err(RpcError::new(Code::Internal, message));
        }
        let Some(registration) = self.running.register(request.id.to_string()) else {
            let message = "a request with this id is still running";
            return Err(RpcError::new(Code::InvalidRequest, message));
        };
        let (app, output, id) = (self.app.clone(), self.output.clone(), request.id.clone());
        let (call, notify) = (self.call(), Some(output.clone()));
        let exchange = Exchange { request, era, call, reservation, notify };
        self.answers.spawn(async move {
            let answered = registration.unless_cancelled(answer(&app, exchange)).await;
            drop(registration);
            // A client that has left reads nothing.
            let _ = match answered {
                // Nothing may be sent for a cancelled request.
                None => return,
                Some(Ok(result)) => output.send(response(&id, &result)).await,
                Some(Err(error)) => output.send(error.response(&id)).await,
            };
        });
        Ok(())
    }

    fn call(&self) -> Call {
        let context = RequestContext {
            id: RequestId::of(&HeaderMap::new()),
            client: None,
            route: ROUTE,
            traceparent: None,
            timing: None,
            is_logged_for_people: self.logs_for_people,
        };
        Call::plain(context, None, self.engine.announce())
    }

    async fn refuse(&self, id: &Json, error: RpcError) {
        tracing::debug!(route = ROUTE, "refused: {}", error.message);
        let _ = self.output.send(error.response(id)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        let mut input: &[u8] = b"abc\nabcd\nabcde\nabcdefgh\n\nab";
        let mut read = Vec::new();
        while let Some(line) = next_line(&mut input, 4).unwrap() {
            read.push(match line {
                Line::Message(line) => String::from_utf8(line).unwrap(),
                Line::TooLong => "too long".to_owned(),
            });
        }
        assert_eq!(read, ["abc\n", "abcd\n", "too long", "too long", "\n", "ab"]);
    }
}
