//! The `charset` in the content type of a response (RFC 9110, section 8.3.2).

use std::borrow::Cow;

use ai_integration_contract::Data;

/// Returns a model's content type with the charset in which the data is sent. Text is sent in UTF-8,
/// whatever charset the model names. Bytes stay in the charset that the model names.
pub(crate) fn with_charset<'a>(media: &'a str, data: &Data) -> Cow<'a, str> {
    let is_text = matches!(data, Data::Text(_) | Data::Json(_));
    let mut named = parameters(media).filter_map(charset).peekable();
    let is_right = if named.peek().is_none() {
        !media.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"))
    } else {
        !is_text || named.all(|charset| charset.eq_ignore_ascii_case("utf-8"))
    };
    if is_right {
        return media.into();
    }
    let others = parameters(media).filter(|parameter| charset(parameter).is_none());
    let kept: Vec<&str> = others.map(str::trim_end).filter(|other| !other.is_empty()).collect();
    format!("{}; charset=utf-8", kept.join(";")).into()
}

/// Splits a content type into the media type and its parameters. A semicolon in a quoted string does
/// not split.
fn parameters(media: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    media.split(move |character| {
        let escapes = is_quoted && !is_escaped && character == '\\';
        if character == '"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = escapes;
        character == ';' && !is_quoted
    })
}

/// Returns the charset that a parameter names.
fn charset(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    let is_charset = name.trim().eq_ignore_ascii_case("charset");
    is_charset.then(|| value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utf_8_and_bytes_are_as_the_model_says() {
        for (media, of_text, of_bytes) in [
            ("text/html", "text/html; charset=utf-8", "text/html; charset=utf-8"),
            ("Text/HTML;", "Text/HTML; charset=utf-8", "Text/HTML; charset=utf-8"),
            ("text/a; Charset = \"Latin1\"; b=c", "text/a; b=c; charset=utf-8", "="),
            ("a/b;charset=latin1;charset=utf-8", "a/b; charset=utf-8", "="),
            ("text/a;charset=UTF-8", "=", "="),
            ("image/svg+xml", "=", "="),
            (
                "text/a; b=\"\\\";charset=c\"",
                "text/a; b=\"\\\";charset=c\"; charset=utf-8",
                "text/a; b=\"\\\";charset=c\"; charset=utf-8",
            ),
            ("é", "=", "="),
        ] {
            for (data, expected) in [(Data::from("a"), of_text), (vec![0xe9].into(), of_bytes)] {
                let expected = if expected == "=" { media } else { expected };
                assert_eq!(with_charset(media, &data), expected);
            }
        }
    }
}
