//! Settings: environment variables, most of which are also flags of `ai-integration run`.
//!
//! A part of the program declares its settings beside its code with [`settings!`](crate::settings):
//! one line and a doc comment for each. The macro makes the typed field, the code that reads and
//! checks it, the default, the flag, the help and the reference page. The values come from an
//! [`Environment`], which is filled once when the program starts.

mod declaration;
mod environment;
mod error;
mod quantity;
mod secret;
#[doc(hidden)]
pub mod spelling;
mod table;
mod text;

pub use declaration::{Absent, Setting, SettingType};
pub use environment::Environment;
pub use error::SettingError;
pub use quantity::{Bytes, Count, Mebibytes, Seconds};
pub use secret::Secret;
pub use text::{FilePath, List, Lowercase, Switch, Text};
