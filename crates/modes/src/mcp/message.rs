//! Messages of JSON-RPC 2.0, as the Model Context Protocol uses them: requests and responses have an
//! id, notifications have none, and there are no batches.

use std::borrow::Cow;

use serde_json::{Map, Value as Json, json};

/// The version of JSON-RPC.
const JSONRPC: &str = "2.0";

/// A message from a client.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    Request(Request),
    Notification {
        method: String,
        params: Map<String, Json>,
    },
    /// A response. The server sends no requests, so it expects none.
    Response,
    /// JSON that is not a message, with the id of the request if it has one, or `null`.
    Invalid {
        id: Json,
        error: RpcError,
    },
}

/// A message that must be answered.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    /// A text or an integer.
    pub(crate) id: Json,
    pub(crate) method: String,
    pub(crate) params: Map<String, Json>,
}

/// The kinds of errors, with their codes in JSON-RPC and in the Model Context Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The text is not JSON.
    Unreadable = -32700,
    /// The JSON is not a message.
    InvalidRequest = -32600,
    UnknownMethod = -32601,
    InvalidParams = -32602,
    /// The server cannot answer.
    Internal = -32603,
    /// A header of HTTP and the message disagree.
    HeaderMismatch = -32020,
    UnsupportedVersion = -32022,
}

/// The error with which a request is answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RpcError {
    pub(crate) code: Code,
    pub(crate) message: Cow<'static, str>,
    pub(crate) data: Option<Json>,
}

impl RpcError {
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        RpcError { code, message: message.into(), data: None }
    }

    /// Writes the response to the request with this id; `null` if the id is not known.
    pub(crate) fn response(&self, id: &Json) -> String {
        let mut error = json!({"code": self.code as i32, "message": self.message});
        if let Some(data) = &self.data {
            error["data"] = data.clone();
        }
        json!({"jsonrpc": JSONRPC, "id": id, "error": error}).to_string()
    }
}

impl Message {
    /// Reads a message.
    pub(crate) fn read(json: Json) -> Self {
        let invalid = |id: Json, message: &'static str| {
            let error = RpcError::new(Code::InvalidRequest, message);
            Message::Invalid { id, error }
        };
        let Json::Object(mut members) = json else {
            return invalid(Json::Null, "send one message of JSON-RPC at a time: an object");
        };
        let is_id = |id: &Json| id.is_string() || id.is_i64() || id.is_u64();
        let given = members.remove("id");
        let id = given.clone().filter(is_id).unwrap_or_default();
        if members.get("jsonrpc").and_then(Json::as_str) != Some(JSONRPC) {
            return invalid(id, "the message's jsonrpc is not \"2.0\"");
        }
        let method = match members.remove("method") {
            Some(Json::String(method)) => method,
            Some(_) => return invalid(id, "the message's method is not a text"),
            None if members.contains_key("result") || members.contains_key("error") => {
                return Message::Response;
            }
            None => return invalid(id, "the message has no method"),
        };
        let params = match members.remove("params") {
            None => Map::new(),
            Some(Json::Object(params)) => params,
            Some(_) => return invalid(id, "the message's params are not an object"),
        };
        match given {
            None => Message::Notification { method, params },
            Some(given) if is_id(&given) => Message::Request(Request { id: given, method, params }),
            Some(_) => invalid(Json::Null, "the message's id is neither a text nor an integer"),
        }
    }
}

/// Writes the response with this result, which is JSON without line breaks.
pub(crate) fn response(id: &Json, result: &str) -> String {
    format!(r#"{{"jsonrpc":"{JSONRPC}","id":{id},"result":{result}}}"#)
}

/// Writes a notification to the client.
pub(crate) fn notification(method: &str, params: &Json) -> String {
    json!({"jsonrpc": JSONRPC, "method": method, "params": params}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_request_a_notification_or_a_response() {
        let params = Map::from_iter([("a".to_owned(), json!(1))]);
        let method = || "m".to_owned();
        for (id, read) in [(json!(1), json!(1)), (json!("x"), json!("x")), (json!(-7), json!(-7))] {
            let message = json!({"jsonrpc": "2.0", "id": id, "method": "m", "params": {"a": 1}});
            let request = Request { id: read, method: method(), params: params.clone() };
            assert_eq!(Message::read(message), Message::Request(request));
        }
        let notification = Message::Notification { method: method(), params: Map::new() };
        assert_eq!(Message::read(json!({"jsonrpc": "2.0", "method": "m"})), notification);
        for response in [json!({"result": {}}), json!({"error": {"code": 1, "message": "m"}})] {
            let mut message = json!({"jsonrpc": "2.0", "id": 1});
            message.as_object_mut().unwrap().extend(response.as_object().unwrap().clone());
            assert_eq!(Message::read(message), Message::Response);
        }
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_id() {
        let whole = |change: Json| {
            let mut message = json!({"jsonrpc": "2.0", "id": 5, "method": "m"});
            message.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            message
        };
        for (message, id) in [
            (json!([]), json!(null)),
            (json!([whole(json!({}))]), json!(null)),
            (json!("m"), json!(null)),
            (json!({}), json!(null)),
            (whole(json!({"jsonrpc": "1.0"})), json!(5)),
            (whole(json!({"jsonrpc": 2})), json!(5)),
            (whole(json!({"method": 1})), json!(5)),
            (whole(json!({"params": [1]})), json!(5)),
            (whole(json!({"params": null})), json!(5)),
            (whole(json!({"id": null})), json!(null)),
            (whole(json!({"id": 1.5})), json!(null)),
            (whole(json!({"id": [1]})), json!(null)),
            (json!({"jsonrpc": "2.0", "id": 5}), json!(5)),
        ] {
            let read = Message::read(message.clone());
            let Message::Invalid { id: found, error } = read else { panic!("{message}: {read:?}") };
            assert_eq!((found, error.code), (id, Code::InvalidRequest), "{message}");
        }
    }

    #[test]
    fn responses_have_the_id_of_their_request() {
        assert_eq!(response(&json!("a\"b"), "{}"), r#"{"jsonrpc":"2.0","id":"a\"b","result":{}}"#);
        let error = RpcError::new(Code::UnknownMethod, "no");
        assert_eq!(
            error.response(&json!(7)),
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}"#
        );
    }
}
