//! The methods of a deserializer that read integers.

/// Implements these methods by one function, which gets the deserializer and the visitor. The
/// visitor of a type checks the range of that type.
macro_rules! integers {
    ($read:path) => {
        integers! {
            @methods $read;
            deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        }
    };
    (@methods $read:path; $($method:ident)+) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                $read(self, visitor)
            }
        )+
    };
}

pub(super) use integers;
