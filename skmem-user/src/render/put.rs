//! Objects of JSON as text, each field in a few instructions: a stream has
//! millions of lines, and a serialiser for any type took most of their time.

/// Something that JSON has a value for.
pub(super) trait Put {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);

    /// Its member is left out.
    fn is_left_out(&self) -> bool {
        false
    }
}

macro_rules! numbers {
    ($($number:ty)+) => {$(
        impl Put for $number {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }
        }
    )+};
}

numbers!(u8 u16 u32 u64 i32);

impl Put for &str {
    fn put(&self, out: &mut Vec<u8>) {
        let plain = |b: &u8| *b >= b' ' && *b != b'"' && *b != b'\\';
        if self.bytes().all(|b| plain(&b)) {
            out.push(b'"');
            out.extend_from_slice(self.as_bytes());
            out.push(b'"');
        } else {
            // A Vec takes everything.
            let _ = serde_json::to_writer(out, self);
        }
    }
}

impl<T: Put> Put for Option<T> {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.put(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

/// A member that is left out where it is not known.
pub(super) struct IfKnown<T>(pub Option<T>);

impl<T: Put> Put for IfKnown<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn is_left_out(&self) -> bool {
        self.0.is_none()
    }
}

/// A list.
pub(super) fn list(items: impl Iterator<Item = impl Put>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (n, item) in items.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        item.put(out);
    }
    out.push(b']');
}

/// A struct that is printed as an object, its members in their order, each with
/// the name that it has in JSON. Its schema is made of the same.
macro_rules! object {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(<$life:lifetime>)? {
            $($(#[$doc:meta])* $key:literal $field:ident: $type:ty,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(schemars::JsonSchema)]
        $vis struct $name $(<$life>)? {
            $($(#[$doc])* #[schemars(rename = $key)] $field: $type,)+
        }

        impl $(<$life>)? $crate::render::put::Put for $name $(<$life>)? {
            fn put(&self, out: &mut Vec<u8>) {
                let mut sign = b'{';
                $(
                    if !self.$field.is_left_out() {
                        out.push(sign);
                        out.extend_from_slice(concat!("\"", $key, "\":").as_bytes());
                        self.$field.put(out);
                        sign = b',';
                    }
                )+
                let _ = sign;
                out.push(b'}');
            }
        }
    };
}
pub(super) use object;
