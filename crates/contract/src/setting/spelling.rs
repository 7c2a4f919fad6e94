//! Makes the names of a setting's variable and flag from its field, at compile time. Only the macro
//! `settings!` calls this.

/// Returns the text in capitals. `N` is its length.
#[must_use]
pub const fn upper_case<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = copied(text);
    let mut position = 0;
    while position < N {
        bytes[position] = bytes[position].to_ascii_uppercase();
        position += 1;
    }
    bytes
}

/// Returns the text with dashes instead of underscores. `N` is its length.
#[must_use]
pub const fn kebab_case<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = copied(text);
    let mut position = 0;
    while position < N {
        if bytes[position] == b'_' {
            bytes[position] = b'-';
        }
        position += 1;
    }
    bytes
}

/// Returns the bytes as text.
///
/// # Panics
///
/// Never panics for the results of the functions above, because they replace ASCII by ASCII.
#[must_use]
pub const fn text(bytes: &'static [u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("a field's name is UTF-8"),
    }
}

const fn copied<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_as_variables_and_as_flags() {
        assert_eq!(&upper_case::<8>("max_body"), b"MAX_BODY");
        assert_eq!(&kebab_case::<8>("max_body"), b"max-body");
    }
}
