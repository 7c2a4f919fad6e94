//! The dialects: each has a file here and a line in the table.

use crate::http::dialect::Dialect;

macro_rules! dialects {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        $(pub(crate) mod $module;)+
        /// Every dialect of this build. For an unknown address that could belong to several
        /// dialects, the first one makes the error response.
        pub(crate) const DIALECTS: &[&dyn Dialect] = &[$(&$module::$name),+];
    };
}

dialects! {
    native::Native,
    oip::Oip,
    classic::Classic,
}
