//! Decodes base64 (RFC 4648, either alphabet, optional padding, whitespace ignored), alone or in a
//! `data:` URL (RFC 2397).

use base64::decoded_len_estimate;
use base64::engine::general_purpose::GeneralPurposeConfig;
use base64::engine::{DecodePaddingMode, Engine};
use bytes::Bytes;

/// The engines with SIMD instructions. They exist for these processors only.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod engines {
    use super::{Engine, GeneralPurposeConfig};
    use base64::engine::Simd;

    pub(super) fn standard(config: GeneralPurposeConfig) -> impl Engine {
        Simd::standard(config)
    }

    pub(super) fn url_safe(config: GeneralPurposeConfig) -> impl Engine {
        Simd::url_safe(config)
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod engines {
    use super::{Engine, GeneralPurposeConfig};
    use base64::alphabet::{STANDARD, URL_SAFE};
    use base64::engine::GeneralPurpose;

    pub(super) fn standard(config: GeneralPurposeConfig) -> impl Engine {
        GeneralPurpose::new(&STANDARD, config)
    }

    pub(super) fn url_safe(config: GeneralPurposeConfig) -> impl Engine {
        GeneralPurpose::new(&URL_SAFE, config)
    }
}

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Decodes base64. Returns `None` for other text.
#[must_use]
pub fn decode_base64(text: &str) -> Option<Bytes> {
    let mut decoded = vec![0; most_decoded(text)];
    let length = decode_base64_into(text, &mut decoded)?;
    decoded.truncate(length);
    Some(decoded.into())
}

/// Returns the maximum number of bytes that this text has after decoding.
#[must_use]
pub fn most_decoded(text: &str) -> usize {
    data(text).map_or(0, |data| decoded_len_estimate(data.len()))
}

/// Decodes base64 into the beginning of `room`, which must have at least [`most_decoded`] bytes.
/// Returns the number of decoded bytes, or `None` for other text.
#[must_use]
pub fn decode_base64_into(text: &str, room: &mut [u8]) -> Option<usize> {
    let data = data(text)?.as_bytes();
    decode(data, room).or_else(|| {
        let parts = || data.split(u8::is_ascii_whitespace);
        let has_whitespace = parts().nth(1).is_some();
        has_whitespace
            .then(|| parts().collect::<Vec<_>>().concat())
            .and_then(|data| decode(&data, room))
    })
}

/// Returns the base64 in a text: all of it, or the data of a `data:` URL.
fn data(text: &str) -> Option<&str> {
    let Some(url) = text.strip_prefix("data:") else { return Some(text) };
    let (head, data) = url.split_once(',')?;
    head.ends_with(";base64").then_some(data)
}

/// Decodes base64 without whitespace. Text with characters of both alphabets is not base64.
fn decode(data: &[u8], room: &mut [u8]) -> Option<usize> {
    let decoded = engines::standard(ANY_PADDING).decode_slice(data, room);
    decoded.or_else(|_| engines::url_safe(ANY_PADDING).decode_slice(data, room)).ok()
}

#[cfg(test)]
mod tests {
    use base64::alphabet;
    use base64::engine::GeneralPurpose;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    /// Decodes base64 step by step, as the rules are written.
    fn plainly(text: &str) -> Option<Vec<u8>> {
        let encoded = match text.strip_prefix("data:") {
            Some(url) => {
                let (head, data) = url.split_once(',')?;
                if !head.ends_with(";base64") {
                    return None;
                }
                data
            }
            None => text,
        };
        let compact: Vec<u8> = encoded.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let is_url_safe = compact.iter().any(|byte| matches!(byte, b'-' | b'_'));
        let alphabet = if is_url_safe { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
        GeneralPurpose::new(alphabet, ANY_PADDING).decode(compact).ok()
    }

    #[test]
    fn base64_is_read_in_every_usual_spelling() {
        for text in ["/+8=", "/+8", "_-8", "/+\n8=", "data:image/png;base64,/+8="] {
            assert_eq!(decode_base64(text).as_deref(), Some(&[0xff, 0xef][..]), "{text:?}");
        }
        assert_eq!(decode_base64(""), Some(Bytes::new()));
        for refused in
            ["not base64!", "data:text/plain,hello", "data:;base64", "/_8=", "/+8==", "/+9="]
        {
            assert_eq!(decode_base64(refused), None, "{refused:?}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_decoded_as_the_rules_say(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            start in prop::sample::select(vec!["", "data:;base64,", "data:image/png;base64,", "data:a,"]),
            spelling in 0..3,
            changes in prop::collection::vec((any::<prop::sample::Index>(), "[-_+/=A \\n\\r\\t\x0b\x0cé]{0,2}"), 0..4),
        ) {
            let mut text = match spelling {
                0 => BASE64_STANDARD.encode(&bytes),
                1 => BASE64_URL_SAFE.encode(&bytes),
                _ => BASE64_URL_SAFE_NO_PAD.encode(&bytes),
            };
            for (at, added) in changes {
                text.insert_str(text.floor_char_boundary(at.index(text.len() + 1)), &added);
            }
            let text = format!("{start}{text}");
            prop_assert_eq!(decode_base64(&text).map(Vec::from), plainly(&text));
        }
    }
}
