//! Objects of JSON as text, each field in a few instructions: a stream has
//! millions of lines, and a serialiser for any type took most of their time.

use std::borrow::Cow;

use super::line_buffer::LineBuffer;

/// Something that JSON has a value for.
pub(super) trait Put {
    /// Appends it.
    fn put(&self, out: &mut LineBuffer);

    /// Its member is left out.
    #[inline]
    fn is_left_out(&self) -> bool {
        false
    }
}

macro_rules! numbers {
    ($($number:ty)+) => {$(
        impl Put for $number {
            #[inline]
            fn put(&self, out: &mut LineBuffer) {
                out.number(*self);
            }
        }
    )+};
}

numbers!(u8 u16 u32 u64 i32);

impl Put for &str {
    fn put(&self, out: &mut LineBuffer) {
        let plain = |b: u8| b >= b' ' && b != b'"' && b != b'\\';
        if self.bytes().all(plain) {
            Word(self).put(out);
        } else {
            // A buffer takes everything.
            let _ = serde_json::to_writer(out, self);
        }
    }
}

/// A name of the kernel's or of ours: nothing in it needs a backslash.
#[cfg_attr(test, derive(serde::Serialize))]
pub(super) struct Word<'a>(pub &'a str);

impl schemars::JsonSchema for Word<'_> {
    fn schema_name() -> Cow<'static, str> {
        str::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        str::json_schema(generator)
    }
}

impl Put for Word<'_> {
    #[inline]
    fn put(&self, out: &mut LineBuffer) {
        out.literal(b"\"");
        out.text(self.0);
        out.literal(b"\"");
    }
}

impl<T: Put> Put for Option<T> {
    #[inline]
    fn put(&self, out: &mut LineBuffer) {
        match self {
            Some(value) => value.put(out),
            None => out.literal(b"null"),
        }
    }
}

/// A member that is left out where it is not known.
#[cfg_attr(test, derive(serde::Serialize))]
pub(super) struct IfKnown<T>(pub Option<T>);

impl<T: Put> Put for IfKnown<T> {
    fn put(&self, out: &mut LineBuffer) {
        self.0.put(out);
    }

    #[inline]
    fn is_left_out(&self) -> bool {
        self.0.is_none()
    }
}

/// Text as an array of its bytes.
pub(super) const fn piece<const N: usize>(text: &str) -> [u8; N] {
    match text.as_bytes().first_chunk() {
        Some(bytes) => *bytes,
        None => panic!("the array is longer than the text"),
    }
}

/// A list.
pub(super) fn list(items: impl Iterator<Item = impl Put>, out: &mut LineBuffer) {
    out.literal(b"[");
    for (n, item) in items.enumerate() {
        if n > 0 {
            out.literal(b",");
        }
        item.put(out);
    }
    out.literal(b"]");
}

/// A struct that is printed as an object, its members in their order, each with
/// the name that it has in JSON; the first is never left out. Its schema is made
/// of the same, and in tests what serde writes of it, which is to be equal.
macro_rules! object {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(<$life:lifetime>)? {
            $($(#[$doc:meta])* $key:literal $field:ident: $type:ty,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(schemars::JsonSchema)]
        #[cfg_attr(test, derive(serde::Serialize))]
        $vis struct $name $(<$life>)? {
            $(
                $(#[$doc])*
                #[schemars(rename = $key)]
                #[cfg_attr(test, serde(
                    rename(serialize = $key),
                    skip_serializing_if = "crate::render::put::Put::is_left_out"
                ))]
                $field: $type,
            )+
        }

        impl $(<$life>)? $crate::render::put::Put for $name $(<$life>)? {
            fn put(&self, out: &mut $crate::render::LineBuffer) {
                let begin = out.len();
                $(
                    if !self.$field.is_left_out() {
                        const NAME: &str = concat!(",\"", $key, "\":");
                        const PIECE: [u8; NAME.len()] = $crate::render::put::piece(NAME);
                        out.literal(&PIECE);
                        self.$field.put(out);
                    }
                )+
                // The first comma begins the object.
                out.as_mut_bytes()[begin] = b'{';
                out.literal(b"}");
            }
        }
    };
}
pub(super) use object;
