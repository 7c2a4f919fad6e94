//! Asks the server that these settings describe for its health, on this machine.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ai_integration_contract::{Environment, SettingError};

use crate::http::config::HttpSettings;
use crate::http::wire::tls;

/// The number of bytes of a response that are read. The status is at its start.
const MAX_ANSWER: u64 = 16 * 1024;

/// The question of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Asks if the server is alive.
    IsAlive,
    /// Asks if the model is ready.
    IsReady,
}

impl Question {
    fn address(self) -> &'static str {
        match self {
            Question::IsAlive => "/healthz",
            Question::IsReady => "/readyz",
        }
    }
}

/// Asks the server that these settings describe. It must answer within `limit`.
///
/// # Errors
/// The reason why the server is not healthy, or cannot be asked.
pub fn healthcheck(
    environment: &Environment,
    question: Question,
    limit: Duration,
) -> Result<(), String> {
    let server = Server::read(environment).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + limit;
    let (stream, address) = server.connect(deadline)?;
    let scheme = if server.has_tls { "https" } else { "http" };
    let url = format!("{scheme}://{address}{}", question.address());
    let answer = ask(stream, &server, question.address(), deadline);
    let answer = answer.map_err(|error| format!("{url} does not answer: {error}"))?;
    match status(&answer) {
        Some(200) => Ok(()),
        Some(status) => {
            let reason = reason(&answer).map(|reason| format!(": {reason}")).unwrap_or_default();
            Err(format!("{url} answers with status {status}{reason}"))
        }
        None => Err(format!("{url} does not answer with HTTP")),
    }
}

/// The server that is asked.
struct Server {
    /// The addresses to try, in this order.
    addresses: Vec<IpAddr>,
    port: u16,
    has_tls: bool,
}

impl Server {
    fn read(environment: &Environment) -> Result<Self, SettingError> {
        let settings = HttpSettings::read(environment)?;
        let addresses = match settings.address() {
            Some(address) if !address.is_unspecified() => vec![address],
            _ => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        };
        Ok(Server { addresses, port: settings.port, has_tls: tls::is_set(environment)? })
    }

    fn connect(&self, deadline: Instant) -> Result<(TcpStream, SocketAddr), String> {
        let mut problems = Vec::new();
        for address in &self.addresses {
            let address = SocketAddr::new(*address, self.port);
            match TcpStream::connect_timeout(&address, left(deadline)) {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => problems.push(format!("nothing listens on {address}: {error}")),
            }
        }
        Err(problems.swap_remove(0))
    }
}

/// Returns the time until the deadline. The system accepts no time of zero.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// Sends the request, and returns the start of the response.
fn ask(
    stream: TcpStream,
    server: &Server,
    address: &str,
    deadline: Instant,
) -> std::io::Result<Vec<u8>> {
    // The response in HTTP/1.0 ends with the connection, and the host is always accepted.
    let request = format!("GET {address} HTTP/1.0\r\nHost: localhost:{}\r\n\r\n", server.port);
    let timed = Timed { stream, deadline };
    let mut answer = Vec::new();
    if server.has_tls {
        let mut secure = tls::connect(timed)?;
        secure.write_all(request.as_bytes())?;
        read(&mut secure, &mut answer)?;
    } else {
        let mut plain = timed;
        plain.write_all(request.as_bytes())?;
        read(&mut plain, &mut answer)?;
    }
    Ok(answer)
}

/// Reads a response. A server may end the connection without a notice of TLS, so an error counts only
/// if the response has not begun.
fn read(stream: impl Read, answer: &mut Vec<u8>) -> std::io::Result<()> {
    match stream.take(MAX_ANSWER).read_to_end(answer) {
        Err(error) if status(answer).is_none() => Err(error),
        _ => Ok(()),
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(answer).ok()?;
    response.code
}

/// Returns the reason in the body of `/readyz`.
fn reason(answer: &[u8]) -> Option<String> {
    let start = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let body: serde_json::Value = serde_json::from_slice(&answer[start..]).ok()?;
    Some(body["reason"].as_str()?.to_owned())
}

/// A connection whose reads and writes all end at the deadline.
pub(crate) struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.check()?;
        self.stream.set_read_timeout(Some(left(self.deadline)))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.check()?;
        self.stream.set_write_timeout(Some(left(self.deadline)))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

impl Timed {
    fn check(&self) -> std::io::Result<()> {
        let is_late = Instant::now() >= self.deadline;
        if is_late { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}
