//! An HTTP client for one request to a server on this machine.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::check::interruption;
use crate::check::verdict::summary;

/// The maximum length of a response in bytes.
const LONGEST: usize = 256 << 20;
/// The interval at which a wait looks for an interruption.
const PULSE: Duration = Duration::from_millis(100);
const HEADERS: usize = 64;

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The content type without its parameters, in lower case; empty if the response has none.
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Returns a short reason: from a problem document (RFC 9457), or from the body.
    pub(crate) fn reason(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let detail = problem["detail"].as_str().or_else(|| problem["title"].as_str());
        detail.map_or_else(|| summary(&String::from_utf8_lossy(&self.body)), summary)
    }
}

/// Returns a free port of the loopback interface.
pub(crate) fn free_port() -> Option<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    Some(listener.local_addr().ok()?.port())
}

/// Sends a GET request.
pub(crate) fn get(port: u16, path: &str, limit: Duration) -> Result<Response, String> {
    send(port, &head("GET", path, port, ""), b"", limit)
}

/// Sends a POST request with a JSON body.
pub(crate) fn post(port: u16, path: &str, json: &str, limit: Duration) -> Result<Response, String> {
    let more = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", json.len());
    send(port, &head("POST", path, port, &more), json.as_bytes(), limit)
}

/// Returns the head of a request in HTTP/1.0. Its response ends with the connection and has no
/// chunks.
fn head(method: &str, path: &str, port: u16, more: &str) -> String {
    format!("{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n")
}

fn send(port: u16, head: &str, body: &[u8], limit: Duration) -> Result<Response, String> {
    let deadline = Instant::now() + limit;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let broken = |error: std::io::Error| format!("the connection was lost: {error}");
    let mut stream = TcpStream::connect_timeout(&address, limit).map_err(broken)?;
    stream.set_read_timeout(Some(PULSE)).map_err(broken)?;
    stream.set_write_timeout(Some(limit)).map_err(broken)?;
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).map_err(broken)?;
    let mut answer = Vec::new();
    let mut part = vec![0; 1 << 16];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return parse(&answer),
            Ok(length) => answer.extend_from_slice(&part[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
        if answer.len() > LONGEST {
            return Err(format!("the response is longer than {} MiB", LONGEST >> 20));
        }
        if Instant::now() >= deadline || interruption::signal().is_some() {
            return Err(format!("there was no response within {} s", limit.as_secs()));
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Response, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = response.parse(bytes) else {
        return Err("the response is not HTTP, or is cut off".to_owned());
    };
    let status = response.code.unwrap_or_default();
    let named =
        |name: &str| response.headers.iter().find(|one| one.name.eq_ignore_ascii_case(name));
    let value = named("content-type").map(|one| String::from_utf8_lossy(one.value));
    let content_type = value.as_deref().unwrap_or_default().split(';').next().unwrap_or_default();
    Ok(Response {
        status,
        content_type: content_type.trim().to_ascii_lowercase(),
        body: bytes[length..].to_vec(),
    })
}
