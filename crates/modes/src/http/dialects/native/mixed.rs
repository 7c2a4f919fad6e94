//! Writes several pictures or other files as the parts of one body: `multipart/mixed` (RFC 2046,
//! section 5.1.3).

use ai_integration_contract::Format;
use axum::http::HeaderValue;
use bytes::Bytes;
use memchr::memmem;
use uuid::Uuid;

use crate::http::inputs::call::MIXED;

/// Returns the content type and the body of a list whose members have this content type.
pub(crate) fn mixed(content_type: &HeaderValue, media: &str, list: &[Bytes]) -> (String, Vec<u8>) {
    let boundary = boundary(list);
    let extension = extension(media);
    let mut body = Vec::with_capacity(list.iter().map(|part| part.len() + 256).sum());
    for (number, part) in (1..).zip(list) {
        body.extend_from_slice(format!("--{boundary}\r\nContent-Type: ").as_bytes());
        body.extend_from_slice(content_type.as_bytes());
        let name = format!("out-{number}.{extension}");
        let disposition = format!("Content-Disposition: attachment; filename=\"{name}\"");
        body.extend_from_slice(format!("\r\n{disposition}\r\n\r\n").as_bytes());
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("{MIXED}; boundary={boundary}"), body)
}

/// Makes a boundary that occurs in no part.
fn boundary(list: &[Bytes]) -> String {
    loop {
        let boundary = Uuid::new_v4().simple().to_string();
        let finder = memmem::Finder::new(&boundary);
        if list.iter().all(|part| finder.find(part).is_none()) {
            return boundary;
        }
    }
}

/// Returns the usual extension of files with this media type.
fn extension(media: &str) -> &'static str {
    match Format::find(media).map(Format::name) {
        Some("jpeg") => "jpg",
        Some(name) => name,
        None => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_is_a_part_with_its_type_and_its_name() {
        let list = [Bytes::from_static(b"--one\r\n"), Bytes::new(), Bytes::from_static(b"\0\xff")];
        let (kind, body) = mixed(&HeaderValue::from_static("image/jpeg"), "image/jpeg", &list);
        let boundary = kind.strip_prefix("multipart/mixed; boundary=").unwrap();
        let head = |number| {
            format!(
                "--{boundary}\r\nContent-Type: image/jpeg\r\nContent-Disposition: attachment; \
                 filename=\"out-{number}.jpg\"\r\n\r\n"
            )
        };
        let mut expected = Vec::new();
        for (number, part) in (1..).zip(&list) {
            expected.extend_from_slice(head(number).as_bytes());
            expected.extend_from_slice(part);
            expected.extend_from_slice(b"\r\n");
        }
        expected.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        assert_eq!(body, expected);
    }

    #[test]
    fn a_file_has_the_usual_extension() {
        for (media, ending) in [
            ("image/png", "png"),
            ("image/jpeg", "jpg"),
            ("image/x-png", "png"),
            ("image/svg+xml", "svg"),
            ("audio/mpeg", "mp3"),
            ("video/mpeg", "mpeg"),
            ("video/quicktime", "mov"),
            ("audio/mp4", "m4a"),
            ("application/pdf", "pdf"),
            ("application/octet-stream", "bin"),
            ("image/\"", "bin"),
            ("image", "bin"),
        ] {
            assert_eq!(extension(media), ending, "{media}");
        }
    }
}
