//! The number of items that a list can have.

use std::fmt;

/// The bounds on the number of items of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemCount {
    /// The minimum number of items.
    pub min: u64,
    /// The maximum number of items; `None` if there is no limit.
    pub max: Option<u64>,
}

impl ItemCount {
    /// Returns true if a list can have this many items.
    #[must_use]
    pub fn has(&self, items: usize) -> bool {
        let items = items as u64;
        items >= self.min && self.max.is_none_or(|max| items <= max)
    }
}

/// Writes the bounds in words, such as "a list of 1 to 4 items".
impl fmt::Display for ItemCount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = |count: u64| if count == 1 { "item" } else { "items" };
        match (self.min, self.max) {
            (0, None) => out.write_str("a list"),
            (min, None) => write!(out, "a list of at least {min} {}", noun(min)),
            (0, Some(max)) => write!(out, "a list of at most {max} {}", noun(max)),
            (min, Some(max)) if min == max => write!(out, "a list of {min} {}", noun(min)),
            (min, Some(max)) => write!(out, "a list of {min} to {max} items"),
        }
    }
}
