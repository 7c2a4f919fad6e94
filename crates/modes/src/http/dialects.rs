//! The dialects: a file and a line in the table for each.

use crate::http::dialect::Dialect;

macro_rules! dialects {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        $(pub(crate) mod $module;)+
        /// Every dialect. Where two have words for an address that nobody has, the first one's count.
        pub(crate) const DIALECTS: &[&dyn Dialect] = &[$(&$module::$name),+];
    };
}

dialects! {
    native::Native,
    classic::Classic,
}
