//! Parses forms as `multipart/form-data` (RFC 7578 over RFC 2046) from a complete body. The parts
//! are slices of the body, so a large file is not copied. The available streaming parsers copy each
//! part twice, which costs more for a picture than the rest of its processing.

mod transfer_encoding;

use bytes::Bytes;
use memchr::memmem;

pub(crate) use self::transfer_encoding::TransferEncoding;

/// The maximum number of parts in a form.
const MAX_PARTS: usize = 1000;
/// The maximum number of headers in a part.
const MAX_HEADERS: usize = 16;
/// The maximum length of all headers of a part together.
const MAX_HEAD: usize = 8 * 1024;
/// The maximum length of the text before the first delimiter, and of the text after the last one.
const MAX_AROUND: usize = 1024;

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) head: Head,
    /// The content, not decoded.
    pub(crate) content: Bytes,
}

/// The values of a part's headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) name: Option<String>,
    /// True if the part has a file name.
    pub(crate) is_file: bool,
    /// True if the part has a content type.
    pub(crate) has_type: bool,
    /// The charset of the content type, if it has one.
    pub(crate) charset: Option<String>,
    pub(crate) transfer_encoding: TransferEncoding,
}

/// A syntax error in a form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the content type names no boundary of 1 to 70 characters")]
    Boundary,
    #[error("it does not begin with its boundary")]
    Start,
    #[error("more text follows after the last boundary")]
    End,
    #[error("a part has no headers, or too long ones")]
    Head,
    #[error("it ends in the middle of a part")]
    Incomplete,
    #[error("it has more than {MAX_PARTS} parts")]
    TooManyParts,
    #[error(
        "a part has the Content-Transfer-Encoding {0:?}; supported are base64, quoted-printable, 7bit, \
         8bit and binary; leave the header out"
    )]
    TransferEncoding(String),
}

/// Splits a body into its parts.
pub(crate) fn parse(body: &Bytes, boundary: &str) -> Result<Vec<Part>, Malformed> {
    if !(1..=70).contains(&boundary.len()) {
        return Err(Malformed::Boundary);
    }
    // A line break comes before each delimiter, except for one at the very beginning.
    let delimiter = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(&delimiter);
    let mut at = if body.starts_with(&delimiter.as_bytes()[2..]) {
        delimiter.len() - 2
    } else {
        let start = &body[..body.len().min(MAX_AROUND + delimiter.len())];
        finder.find(start).ok_or(Malformed::Start)? + delimiter.len()
    };
    let mut parts = Vec::new();
    loop {
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            let is_end = rest.len() <= MAX_AROUND;
            return if is_end { Ok(parts) } else { Err(Malformed::End) };
        }
        if parts.len() == MAX_PARTS {
            return Err(Malformed::TooManyParts);
        }
        // Spaces and tabs may follow a delimiter on its line.
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = rest[padding..].strip_prefix(b"\r\n").ok_or(Malformed::Incomplete)?;
        let (head_length, head) = head(rest)?;
        let content = &rest[head_length..];
        // In an empty part, the line break after the headers may also be the one before the
        // delimiter.
        let length = if content.starts_with(&delimiter.as_bytes()[2..]) {
            at = body.len() - content.len() + delimiter.len() - 2;
            0
        } else {
            let length = finder.find(content).ok_or(Malformed::Incomplete)?;
            at = body.len() - content.len() + length + delimiter.len();
            length
        };
        parts.push(Part { head, content: body.slice_ref(&content[..length]) });
    }
}

/// Reads a part's headers. Returns their length, with the empty line after them, and their values.
fn head(rest: &[u8]) -> Result<(usize, Head), Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let lines = &rest[..rest.len().min(MAX_HEAD)];
    let (length, headers) = match httparse::parse_headers(lines, &mut headers) {
        Ok(httparse::Status::Complete((length, headers))) => (length, headers),
        Ok(httparse::Status::Partial) if rest.len() < MAX_HEAD => {
            return Err(Malformed::Incomplete);
        }
        Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed::Head),
    };
    let value = |name: &str| {
        let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(header.value))
    };
    let mut head = Head::default();
    for (key, value) in value("content-disposition").iter().flat_map(|value| parameters(value)) {
        match key.as_str() {
            "name" => head.name = Some(value),
            "filename" | "filename*" => head.is_file = true,
            _ => {}
        }
    }
    let media = value("content-type");
    head.has_type = media.is_some();
    let mut of_media = media.iter().flat_map(|value| parameters(value));
    head.charset = of_media.find(|(key, _)| key == "charset").map(|(_, charset)| charset);
    if let Some(name) = value("content-transfer-encoding") {
        let unknown = || Malformed::TransferEncoding(name.trim().to_owned());
        head.transfer_encoding = TransferEncoding::named(&name).ok_or_else(unknown)?;
    }
    Ok((length, head))
}

/// Returns the parameters of a header's value, such as `form-data; name="a \"b\""; filename=c`.
fn parameters(value: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = value.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', '\t', ';']).to_ascii_lowercase();
        let after = after.trim_start();
        let value = if let Some(quoted) = after.strip_prefix('"') {
            let mut value = String::new();
            let mut characters = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((index, character)) = characters.next() {
                match character {
                    '"' => {
                        end = index + 1;
                        break;
                    }
                    // Only these two characters can be escaped, since file names of Windows contain
                    // backslashes.
                    '\\' if quoted[index + 1..].starts_with(['"', '\\']) => {
                        value.extend(characters.next().map(|(_, escaped)| escaped));
                    }
                    other => value.push(other),
                }
            }
            rest = &quoted[end..];
            value
        } else {
            let (value, after) = after.split_once(';').unwrap_or((after, ""));
            rest = after;
            value.trim_end().to_owned()
        };
        found.push((key, value));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(body: &str) -> Result<Vec<(Option<String>, bool, String)>, Malformed> {
        let body = Bytes::copy_from_slice(body.replace('\n', "\r\n").as_bytes());
        let text = |part: &Part| String::from_utf8_lossy(&part.content).into_owned();
        let parts = parse(&body, "b")?;
        let values = |part: &Part| (part.head.name.clone(), part.head.is_file, text(part));
        Ok(parts.iter().map(values).collect())
    }

    fn part(name: &str, is_file: bool, content: &str) -> (Option<String>, bool, String) {
        (Some(name.to_owned()), is_file, content.to_owned())
    }

    #[test]
    fn forms_of_common_clients_are_parsed() {
        let form = "preamble\n--b  \nContent-Disposition: form-data; name=\"a \\\"b\\\"\"\n\none\n\n\
                    two\n--b\ncontent-type: image/png\nCONTENT-DISPOSITION: form-data; \
                    filename=\"C:\\x;y.png\"; name=photo\n\n\u{1}\n--a\n\n--b\n\
                    Content-Disposition: form-data; name=empty\n\n\n--b--\nrest";
        let expected = vec![
            part("a \"b\"", false, "one\r\n\r\ntwo"),
            part("photo", true, "\u{1}\r\n--a\r\n"),
            part("empty", false, ""),
        ];
        assert_eq!(parts(form), Ok(expected));
    }

    #[test]
    fn an_invalid_form_is_refused() {
        for (body, why) in [
            ("", Malformed::Start),
            ("nothing", Malformed::Start),
            ("--b", Malformed::Incomplete),
            ("--b\n", Malformed::Incomplete),
            ("--b\nContent-Disposition: form-data; name=a\n\nno end", Malformed::Incomplete),
            ("--b\n\u{1}: x\n\nx\n--b--", Malformed::Head),
        ] {
            assert_eq!(parts(body), Err(why), "{body:?}");
        }
        assert_eq!(parts("--b--"), Ok(vec![]));
        let around = " ".repeat(2000);
        assert_eq!(parts(&format!("{around}\n--b--")), Err(Malformed::Start));
        assert_eq!(parts(&format!("--b--{around}")), Err(Malformed::End));
        let many = "--b\nContent-Disposition: form-data; name=a\n\nx\n".repeat(1001) + "--b--";
        assert_eq!(parts(&many), Err(Malformed::TooManyParts));
        assert_eq!(parse(&Bytes::new(), ""), Err(Malformed::Boundary));
    }

    proptest! {
        #[test]
        fn the_content_of_a_part_is_kept_exactly(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5),
        ) {
            let boundary = "a-boundary-that-does-not-occur";
            let mut body = Vec::new();
            for content in &contents {
                body.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=x\r\n\r\n").bytes());
                body.extend(content);
                body.extend(b"\r\n");
            }
            body.extend(format!("--{boundary}--\r\n").bytes());
            let parts = parse(&body.into(), boundary).unwrap();
            let seen: Vec<Vec<u8>> = parts.iter().map(|part| part.content.to_vec()).collect();
            prop_assert_eq!(seen, contents);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'b'), Just(b'"'), Just(b';'), any::<u8>()], 0..200,
        )) {
            let _ = parse(&Bytes::copy_from_slice(&bytes), "b");
            let mut form = b"--b\r\nContent-Disposition: form-data; name=\"".to_vec();
            form.extend(&bytes);
            let _ = parse(&form.into(), "b");
        }
    }
}
