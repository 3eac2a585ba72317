//! BTF as it lies in the file: one type after the other, each within its bounds
//! (`include/uapi/linux/btf.h`).

use std::ops::Range;

/// `BTF_MAGIC`, on a machine of this byte order.
pub(super) const MAGIC: u16 = 0xeb9f;
/// `struct btf_header`, in bytes.
pub(super) const HEADER: usize = 24;
/// `struct btf_type`, in bytes.
const TYPE: usize = 12;
/// Longest name, in bytes: the kernel's own end at 512 (`KSYM_NAME_LEN`).
const LONGEST_NAME: usize = 4096;

/// `BTF_KIND_*`, those that matter here. Between TYPEDEF and RESTRICT are the others that stand for
/// one type.
pub(super) mod kind {
    pub(in super::super) const PTR: u32 = 2;
    pub(in super::super) const ARRAY: u32 = 3;
    pub(in super::super) const STRUCT: u32 = 4;
    pub(in super::super) const UNION: u32 = 5;
    pub(in super::super) const TYPEDEF: u32 = 8;
    pub(in super::super) const RESTRICT: u32 = 11;
    pub(in super::super) const FUNC: u32 = 12;
    pub(in super::super) const FUNC_PROTO: u32 = 13;
    pub(in super::super) const VAR: u32 = 14;
    pub(in super::super) const DECL_TAG: u32 = 17;
    pub(in super::super) const TYPE_TAG: u32 = 18;
}

pub(super) const CUT_OFF: &str = "its last type is cut off";

/// The two sections.
pub(super) struct Raw<'a> {
    types: &'a [u8],
    pub(super) strings: &'a [u8],
}

/// One type.
#[derive(Clone, Copy)]
pub(super) struct Type<'a> {
    /// All of it.
    pub(super) bytes: &'a [u8],
    /// Where its name starts; 0 where it has none.
    pub(super) name: u32,
    pub(super) kind: u32,
    /// `kind_flag`: members may be bit-fields.
    bit_fields: bool,
    /// Its size, or the type that it stands for.
    pub(super) target: u32,
    /// Bytes of one part: a member, a value, a parameter.
    part: usize,
}

/// One member of a structure or union.
pub(super) struct Member {
    pub(super) name: u32,
    pub(super) target: u32,
    /// Bits from the start of the structure.
    pub(super) bit: u32,
    /// Bits of a bit-field; 0: not a bit-field.
    pub(super) width: u32,
}

impl<'a> Raw<'a> {
    /// # Errors
    /// Where the header makes no sense.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, &'static str> {
        if bytes.get(..2) != Some(&MAGIC.to_ne_bytes()) {
            return Err("it does not start as BTF of this byte order does");
        }
        let header = word(bytes, 4).ok_or("it ends within its header")? as usize;
        if header < HEADER {
            return Err("its header is too short");
        }
        let types = section(bytes, header, 8).ok_or("its types lie outside of it")?;
        let strings = section(bytes, header, 16).ok_or("its names lie outside of it")?;
        Ok(Self {
            types: &bytes[types],
            strings: &bytes[strings],
        })
    }

    /// All types, from number 1 on; the first that makes no sense is the last.
    pub(super) fn types(&self) -> impl Iterator<Item = Result<Type<'a>, &'static str>> + use<'a> {
        let mut rest = self.types;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let next = first(rest);
            rest = next.map_or(&[], |found| &rest[found.bytes.len()..]);
            Some(next)
        })
    }

    /// The bytes of a name, of one that is too long the first of them; None where it lies outside.
    pub(super) fn name(&self, at: u32) -> Option<&'a [u8]> {
        let rest = self.strings.get(at as usize..)?;
        let rest = &rest[..rest.len().min(LONGEST_NAME)];
        rest.split(|b| *b == 0).next()
    }

    /// Whether the name at `at` is `name`.
    pub(super) fn is_named(&self, at: u32, name: &[u8]) -> bool {
        let rest = self.strings.get(at as usize..).unwrap_or_default();
        rest.starts_with(name) && rest.get(name.len()) == Some(&0)
    }
}

impl Type<'_> {
    /// Where the names of its parts start: members, values, parameters.
    pub(super) fn names(&self) -> impl Iterator<Item = u32> {
        self.parts().filter_map(|part| word(part, 0))
    }

    /// Its members, where it is a structure or union.
    pub(super) fn members(&self) -> impl Iterator<Item = Member> {
        let has = matches!(self.kind, kind::STRUCT | kind::UNION);
        let parts = self.parts().filter(move |_| has);
        parts.filter_map(|part| {
            let offset = word(part, 8)?;
            let (bit, width) = match self.bit_fields {
                true => (offset & 0x00ff_ffff, offset >> 24),
                false => (offset, 0),
            };
            Some(Member {
                name: word(part, 0)?,
                target: word(part, 4)?,
                bit,
                width,
            })
        })
    }

    /// The type that it only renames or qualifies.
    pub(super) fn stands_for(&self) -> Option<u32> {
        matches!(self.kind, kind::TYPEDEF..=kind::RESTRICT | kind::TYPE_TAG).then_some(self.target)
    }

    /// A function or a definition, of which the reference to another type is one to void.
    pub(super) fn alone(&self) -> Vec<u8> {
        let mut bytes = self.bytes[..TYPE].to_vec();
        bytes[8..].fill(0);
        bytes
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let named = self.part > 0;
        self.bytes[TYPE..]
            .chunks_exact(self.part.max(1))
            .filter(move |_| named)
    }
}

/// The first type in `rest`.
pub(super) fn first(rest: &[u8]) -> Result<Type<'_>, &'static str> {
    let name = word(rest, 0).ok_or(CUT_OFF)?;
    let info = word(rest, 4).ok_or(CUT_OFF)?;
    let target = word(rest, 8).ok_or(CUT_OFF)?;
    let count = (info & 0xffff) as usize;
    let kind = info >> 24 & 0x1f;
    // Bytes beyond `struct btf_type`, and of each named part of them.
    let (more, part) = match kind {
        1 | kind::VAR | kind::DECL_TAG => (4, 0),
        kind::ARRAY => (12, 0),
        kind::STRUCT | kind::UNION | 19 => (12 * count, 12),
        6 | kind::FUNC_PROTO => (8 * count, 8),
        15 => (12 * count, 0),
        kind::PTR | 7..=kind::FUNC | 16 | kind::TYPE_TAG => (0, 0),
        _ => return Err("it has a type of an unknown kind"),
    };
    Ok(Type {
        bit_fields: info >> 31 != 0,
        bytes: rest.get(..TYPE + more).ok_or(CUT_OFF)?,
        name,
        kind,
        target,
        part,
    })
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

/// The section whose offset and length stand at `at`.
fn section(bytes: &[u8], header: usize, at: usize) -> Option<Range<usize>> {
    let from = header.checked_add(word(bytes, at)? as usize)?;
    let to = from.checked_add(word(bytes, at + 4)? as usize)?;
    (to <= bytes.len()).then_some(from..to)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::targets;

    /// BTF of these types' words, and these names.
    pub(crate) fn btf(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|w| w.to_ne_bytes()).collect();
        targets::whole(&types, strings)
    }

    pub(crate) const STRUCT: u32 = 4 << 24;
    pub(crate) const UNION: u32 = 5 << 24;
    pub(crate) const TYPEDEF: u32 = 8 << 24;
}
