//! Where a field lies within a structure. BTF comes from a file that anyone may have written: types
//! may be part of themselves, so a search gives up where it goes too deep or looks at too much.

use super::raw::{Raw, Type, kind};

/// Longest chain of names for one type, and of anonymous members within each other.
const DEEPEST: u32 = 32;
/// Most members and names that one search looks at; the largest structure of a kernel has some
/// hundreds.
const WIDEST: u32 = 1 << 16;

/// Where a field lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Bits from the start of the structure.
    pub(super) bit: u32,
    /// Bits of a bit-field; 0: not a bit-field.
    pub(super) width: u32,
}

/// The types of a kernel.
pub(super) struct Types<'a> {
    pub(super) raw: Raw<'a>,
    pub(super) list: Vec<Type<'a>>,
}

impl<'a> Types<'a> {
    /// # Errors
    /// Where `bytes` are not BTF.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let raw = Raw::new(bytes)?;
        let list = raw.types().collect::<Result<_, _>>()?;
        Ok(Self { raw, list })
    }

    /// The type of that number; None for void, and where there is none.
    pub(super) fn get(&self, id: u32) -> Option<&Type<'a>> {
        self.list.get((id as usize).checked_sub(1)?)
    }

    /// The field at `path`, names with a dot between them, from structure `id` on. What an
    /// anonymous member holds counts as the structure's own, as in C.
    pub(super) fn field(&self, id: u32, path: &str) -> Option<Place> {
        let mut looks = 0;
        let mut place = Place { bit: 0, width: 0 };
        let mut within = id;
        for name in path.split('.') {
            let (found, ty) = self.member(within, name.as_bytes(), 0, &mut looks)?;
            place = Place {
                bit: place.bit.checked_add(found.bit)?,
                ..found
            };
            within = ty;
        }
        Some(place)
    }

    /// A member, and the number of its type.
    fn member(&self, id: u32, name: &[u8], depth: u32, looks: &mut u32) -> Option<(Place, u32)> {
        let structure = self.meant(id, looks)?;
        for member in structure.members() {
            *looks += 1;
            if *looks > WIDEST {
                return None;
            }
            let place = Place {
                bit: member.bit,
                width: member.width,
            };
            if member.name != 0 {
                if self.raw.is_named(member.name, name) {
                    return Some((place, member.target));
                }
            } else if depth < DEEPEST
                && let Some((found, ty)) = self.member(member.target, name, depth + 1, looks)
            {
                let bit = place.bit.checked_add(found.bit)?;
                return Some((Place { bit, ..found }, ty));
            }
        }
        None
    }

    /// The type behind other names and qualifiers.
    fn meant(&self, mut id: u32, looks: &mut u32) -> Option<&Type<'a>> {
        for _ in 0..DEEPEST {
            *looks += 1;
            let ty = self.get(id)?;
            match ty.stands_for() {
                Some(next) => id = next,
                None => return Some(ty),
            }
        }
        None
    }

    /// How many parameters a function has.
    pub(super) fn parameters(&self, function: &Type<'_>) -> Option<usize> {
        let prototype = self.get(function.target)?;
        (prototype.kind == kind::FUNC_PROTO).then(|| prototype.names().count())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::raw::tests::{STRUCT, TYPEDEF, UNION, btf},
        *,
    };

    /// Of BTF with those types and names: where `path` is in the first type.
    fn place(types: &[u32], names: &[u8], path: &str) -> Option<(u32, u32)> {
        let bytes = btf(types, names);
        let types = Types::new(&bytes).unwrap();
        types.field(1, path).map(|place| (place.bit, place.width))
    }

    #[test]
    fn a_field_is_found_through_names_and_anonymous_members() {
        let names = b"\0sock\0a\0ab\0b\0";
        let types = [
            // struct sock { u32 ab; typedef_of_3 a; union { … }; }
            &[1, STRUCT | 3, 24, 8, 9, 0, 6, 2, 64, 0, 4, 128][..],
            &[1, TYPEDEF, 3],
            // struct { u32 b; u32 ab : 3 at bit 37; }
            &[0, STRUCT | 2 | 1 << 31, 8, 11, 9, 0, 8, 9, 0x0300_0025],
            // union { struct { .. } }
            &[0, UNION | 1, 8, 0, 5, 0],
            &[0, STRUCT | 2, 8, 6, 9, 0, 11, 9, 32],
        ]
        .concat();
        assert_eq!(place(&types, names, "ab"), Some((0, 0)));
        assert_eq!(place(&types, names, "a"), Some((64, 0)));
        assert_eq!(place(&types, names, "a.b"), Some((64, 0)));
        assert_eq!(place(&types, names, "a.ab"), Some((101, 3)));
        assert_eq!(place(&types, names, "b"), Some((160, 0)));
        for path in ["", "so", "a.", "a.a", "ab.b", "a.b.c"] {
            assert_eq!(place(&types, names, path), None, "{path}");
        }
    }

    #[test]
    fn a_search_ends_in_types_that_are_part_of_themselves() {
        let names = b"\0sock\0";
        // struct sock { struct sock; }, and a type that is another name for itself.
        assert_eq!(place(&[1, STRUCT | 1, 8, 0, 1, 0], names, "b"), None);
        assert_eq!(place(&[1, TYPEDEF, 1], names, "b"), None);
        // By name it may be: the path says how deep.
        let types = [1, STRUCT | 1, 8, 1, 1, 8];
        assert_eq!(place(&types, names, "sock.sock.sock"), Some((24, 0)));
        // Each has the next one twice: 2^30 ways.
        let wide: Vec<u32> = (1..=30)
            .flat_map(|n| [0, STRUCT | 2, 8, 0, n + 1, 0, 0, n + 1, 0])
            .collect();
        assert_eq!(place(&wide, names, "b"), None);
    }

    #[test]
    fn places_beyond_all_bounds_are_none() {
        let types = [1, STRUCT | 1, 8, 1, 1, u32::MAX];
        assert_eq!(place(&types, b"\0sock\0", "sock.sock"), None);
    }
}
