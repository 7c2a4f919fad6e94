//! The dialects: each has a file here and a line in the table.

use crate::http::dialect::Dialect;

macro_rules! dialects {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        $(pub(crate) mod $module;)+
        /// Every dialect of this build. If several could word the failure of a request for an unknown
        /// address, the first of them does.
        pub(crate) const DIALECTS: &[&dyn Dialect] = &[$(&$module::$name),+];
    };
}

dialects! {
    native::Native,
    classic::Classic,
}
