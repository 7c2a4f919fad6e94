//! Reads the headers `Accept` and `Accept-Encoding`: lists whose entries have weights (RFC 9110,
//! sections 12.4.2 and 12.5).
//!
//! Clients send more than the RFC allows. Java sends `*; q=.2`, and many clients add parameters to a
//! type. So `*` means `*/*`, a weight is any number, and other parameters are ignored.

use axum::http::header::{ACCEPT, ACCEPT_ENCODING};
use axum::http::{HeaderMap, HeaderName};

/// Returns true if the client names this media type as acceptable. A range such as `*/*` does not
/// count.
pub(crate) fn accepts(headers: &HeaderMap, media: &str) -> bool {
    weight(headers, &ACCEPT, media).is_some_and(|weight| weight > 0.0)
}

/// Returns true if a browser will show the response as a page, because the user opened an address
/// or sent a form. Browsers report this in `Sec-Fetch-Mode`. Old browsers do not send this header,
/// and no browser sends it over plain HTTP to another machine. Without that header, the client
/// counts as a browser if it accepts HTML but not JSON, or if it names HTML and XHTML but not JSON.
pub(crate) fn awaits_page(headers: &HeaderMap) -> bool {
    if media_weight(headers, "text/html") <= 0.0 {
        return false;
    }
    if let Some(mode) = headers.get("sec-fetch-mode") {
        return mode == "navigate";
    }
    let takes_json = media_weight(headers, "application/json") > 0.0;
    let is_browser = accepts(headers, "application/xhtml+xml")
        && !accepts(headers, "application/json")
        && accepts(headers, "text/html");
    is_browser || !takes_json
}

/// Returns true if the client names `media` as acceptable, with a weight no lower than that of
/// `other`. A range such as `*/*` counts only for `other`.
pub(crate) fn prefers(headers: &HeaderMap, media: &str, other: &str) -> bool {
    let named = weight(headers, &ACCEPT, media);
    named.is_some_and(|weight| weight > 0.0 && weight >= media_weight(headers, other))
}

/// Returns true if the client accepts responses in this content coding.
pub(crate) fn accepts_coding(headers: &HeaderMap, coding: &str) -> bool {
    let weight_of = |name| weight(headers, &ACCEPT_ENCODING, name);
    weight_of(coding).or_else(|| weight_of("*")).is_some_and(|weight| weight > 0.0)
}

/// Returns the weight of a media type, from the most specific range that contains it. A client
/// without the header `Accept` accepts anything.
fn media_weight(headers: &HeaderMap, media: &str) -> f32 {
    if !headers.contains_key(ACCEPT) {
        return 1.0;
    }
    let family = format!("{}/*", media.split('/').next().unwrap_or_default());
    let ranges = [media, &family, "*/*", "*"];
    ranges.iter().find_map(|range| weight(headers, &ACCEPT, range)).unwrap_or(0.0)
}

/// Returns the weight of the entry with this name; the greatest weight if several entries have it.
fn weight(headers: &HeaderMap, list: &HeaderName, name: &str) -> Option<f32> {
    let values = headers.get_all(list).into_iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| unquoted(value, ','))
        .filter_map(|entry| {
            let mut parts = unquoted(entry, ';').map(str::trim);
            let is_named = parts.next().is_some_and(|named| named.eq_ignore_ascii_case(name));
            is_named.then(|| parts.find_map(read_weight).unwrap_or(1.0))
        })
        .max_by(f32::total_cmp)
}

/// Reads the parameter `q` as a weight from 0 to 1; `None` if it is not a number.
fn read_weight(parameter: &str) -> Option<f32> {
    let (name, value) = parameter.split_once('=')?;
    let weight: f32 = value.trim().parse().ok()?;
    (name.trim_end().eq_ignore_ascii_case("q") && !weight.is_nan()).then(|| weight.clamp(0.0, 1.0))
}

/// Splits text at each separator that is outside quotes.
pub(crate) fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |letter| {
        let is_literal = std::mem::take(&mut is_escaped);
        match letter {
            '\\' if is_quoted => is_escaped = !is_literal,
            '"' if !is_literal => is_quoted = !is_quoted,
            _ => {}
        }
        letter == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |&(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        given.iter().map(header).collect()
    }

    #[test]
    fn events_are_for_clients_that_name_them() {
        for (accept, wants) in [
            ("text/event-stream", true),
            ("application/json, Text/Event-Stream;q=0.9", true),
            ("text/event-stream; charset=utf-8", true),
            ("text/event-stream; q=0", false),
            ("text/event-stream;Q=0.000, */*", false),
            ("text/event-stream;q=0, text/event-stream;x=1;q=.1", true),
            ("text/event-stream;q=high", true),
            ("text/event-stream;q=-1", false),
            ("text/plain;x=\"a, text/event-stream\"", false),
            ("text/plain;x=\"a\\\", text/event-stream\"", false),
            ("*/*", false),
            ("text/*", false),
            ("text/event-streams", false),
            ("", false),
        ] {
            let headers = headers(&[("accept", accept)]);
            assert_eq!(accepts(&headers, "text/event-stream"), wants, "{accept}");
        }
        let mut twice = headers(&[("accept", "a/b")]);
        twice.append(ACCEPT, "text/event-stream".parse().unwrap());
        assert!(accepts(&twice, "text/event-stream"));
    }

    #[test]
    fn parts_are_for_clients_that_prefer_them_to_json() {
        for (accept, wants) in [
            ("multipart/mixed", true),
            ("Multipart/Mixed; boundary=x", true),
            ("application/json, multipart/mixed", true),
            ("*/*;q=0.1, multipart/mixed ; Q=0.2", true),
            ("multipart/mixed;q=0.5, application/json;q=0.4", true),
            ("multipart/mixed;q=0.5, application/json;q=0, */*", true),
            ("multipart/mixed;q=0.5, application/json", false),
            ("multipart/mixed;q=0.5, application/*", false),
            ("multipart/mixed;q=0.5, */*", false),
            ("multipart/mixed;q=0", false),
            ("multipart/mixed;q=much", true),
            ("multipart/*", false),
            ("*/*", false),
            ("multipart/form-data", false),
            ("", false),
        ] {
            let headers = headers(&[("accept", accept)]);
            assert_eq!(prefers(&headers, "multipart/mixed", "application/json"), wants, "{accept}");
        }
    }

    #[test]
    fn pages_are_for_browsers() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, mode, awaits) in [
            (chromium, Some("navigate"), true),
            (chromium, None, true),
            ("text/html, application/xhtml+xml, image/jxr, */*", None, true),
            ("text/html", None, true),
            ("text/html, image/*;q=0.5", None, true),
            ("text/html", Some("cors"), false),
            (chromium, Some("no-cors"), false),
            ("*/*", Some("navigate"), true),
            ("application/json", Some("navigate"), false),
            // Java's HttpURLConnection, old and new.
            ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", None, false),
            ("text/html, image/gif, image/jpeg, */*; q=0.2", None, false),
            ("text/html;q=0, application/json", None, false),
            ("text/html;q=0", None, false),
            ("text/html, application/json", None, false),
            ("application/json, text/html, application/xhtml+xml", None, false),
            ("text/html, application/*;q=0.1", None, false),
            ("text/html, application/*;q=0", None, true),
            ("application/xhtml+xml;q=0, text/html, */*", None, false),
            ("image/png", None, false),
            ("*/*", None, false),
        ] {
            let mut given = vec![("accept", accept)];
            given.extend(mode.map(|mode| ("sec-fetch-mode", mode)));
            assert_eq!(awaits_page(&headers(&given)), awaits, "{accept} {mode:?}");
        }
        assert!(!awaits_page(&HeaderMap::new()));
        assert!(awaits_page(&headers(&[("sec-fetch-mode", "navigate")])));
    }

    #[test]
    fn codings() {
        for (accepted, takes) in [
            ("gzip, deflate, br", true),
            ("gzip;q=0", false),
            ("gzip;q=0.5", true),
            ("*", true),
            ("*, gzip;q=0", false),
            ("identity", false),
        ] {
            let headers = headers(&[("accept-encoding", accepted)]);
            assert_eq!(accepts_coding(&headers, "gzip"), takes, "{accepted}");
        }
    }
}
