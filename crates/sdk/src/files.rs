//! Types for the file inputs in a model's own structs.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// The struct name by which a type asks the deserializer for the bytes of a file.
pub(crate) const HANDLE: &str = "$ai_integration::file";

thread_local! {
    /// The file that [`hand_over`] passes to the visitor. Serde itself can pass borrowed bytes and
    /// vectors, but no shared bytes, and a large file should not be copied.
    static HANDED_OVER: Cell<Option<Bytes>> = const { Cell::new(None) };
}

/// Gives the bytes of a file to a visitor that has asked for [`HANDLE`], without copying them.
pub(crate) fn hand_over<'de, E: Error, V: Visitor<'de>>(
    file: &Bytes,
    visitor: V,
) -> Result<V::Value, E> {
    HANDED_OVER.set(Some(file.clone()));
    visitor.visit_unit()
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = Bytes;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a file")
    }

    fn visit_unit<E: Error>(self) -> Result<Bytes, E> {
        HANDED_OVER.take().ok_or_else(|| E::invalid_type(Unexpected::Unit, &self))
    }

    /// Reads plain bytes if the deserializer does not know [`HANDLE`], such as the deserializer of
    /// a flattened struct.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, other: D) -> Result<Bytes, D::Error> {
        other.deserialize_byte_buf(self)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(bytes.into())
    }
}

macro_rules! files {
    ($($(#[$doc:meta])+ $name:ident),+ $(,)?) => {
        $(
            $(#[$doc])+
            ///
            /// It dereferences to a slice of bytes. A clone is cheap, because the bytes are shared.
            #[derive(Clone, PartialEq, Eq)]
            pub struct $name(Bytes);

            impl Deref for $name {
                type Target = [u8];

                fn deref(&self) -> &[u8] {
                    &self.0
                }
            }

            impl AsRef<[u8]> for $name {
                fn as_ref(&self) -> &[u8] {
                    &self.0
                }
            }

            impl From<$name> for Bytes {
                fn from(file: $name) -> Bytes {
                    file.0
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(out, "{}({} bytes)", stringify!($name), self.0.len())
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(inputs: D) -> Result<Self, D::Error> {
                    inputs.deserialize_newtype_struct(HANDLE, FileVisitor).map($name)
                }
            }
        )+
    };
}

files! {
    /// The bytes of a picture.
    ///
    /// ```
    /// use ai_integration::Image;
    ///
    /// fn is_png(image: &Image) -> bool {
    ///     image.starts_with(b"\x89PNG")
    /// }
    /// ```
    Image,
    /// The bytes of a sound.
    Audio,
    /// The bytes of a video.
    Video,
    /// The bytes of any file.
    File,
}
