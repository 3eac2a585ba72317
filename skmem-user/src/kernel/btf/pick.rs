//! A function's number and the places of a few fields, in one pass over BTF that keeps nothing: what
//! one small program needs, in a fraction of the time that [`super::KernelBtf`] takes.

use super::raw::{Raw, kind};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Picked<const N: usize> {
    /// The function's number.
    pub(in super::super) function: u32,
    /// Where each field begins, in bytes.
    pub(in super::super) fields: [u32; N],
}

/// Looks for a function, and for fields (structure, member) that are members of their structure
/// themselves and no bit-fields. None: one is missing, or `bytes` are not BTF.
pub(in super::super) fn pick<const N: usize>(
    bytes: &[u8],
    function: &str,
    fields: &[(&str, &str); N],
) -> Option<Picked<N>> {
    let raw = Raw::new(bytes).ok()?;
    let mut number = None;
    let mut places = [None; N];
    for (id, ty) in (1..).zip(raw.types()) {
        let ty = ty.ok()?;
        match ty.kind {
            kind::FUNC if number.is_none() && raw.is_named(ty.name, function.as_bytes()) => {
                number = Some(id);
            }
            kind::STRUCT => {
                let missing = places.iter_mut().zip(fields).filter(|(at, _)| at.is_none());
                for (at, (structure, member)) in missing {
                    if raw.is_named(ty.name, structure.as_bytes()) {
                        let mut members = ty.members();
                        let found = members.find(|m| raw.is_named(m.name, member.as_bytes()));
                        *at = found
                            .filter(|found| found.width == 0 && found.bit.is_multiple_of(8))
                            .map(|found| found.bit / 8);
                    }
                }
            }
            _ => continue,
        }
        if let Some(function) = number
            && places.iter().all(Option::is_some)
        {
            let fields = places.map(Option::unwrap_or_default);
            return Some(Picked { function, fields });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{
        super::raw::tests::{STRUCT, UNION, btf},
        *,
    };

    const FUNC: u32 = 12 << 24;

    #[test]
    fn a_function_and_members_are_found_wherever_they_are() {
        let names = b"\0file\0inode\0mode\0walk\0";
        let types = [
            // A structure of that name without the member, a union of that name with it.
            &[1, STRUCT | 1, 8, 12, 9, 0][..],
            &[1, UNION | 1, 8, 6, 9, 64],
            &[1, STRUCT | 2, 24, 12, 9, 0, 6, 9, 128],
            &[17, STRUCT, 0],
            &[17, FUNC, 0],
            // struct inode { u32 mode : 3 at bit 8; }, and the same with a whole one.
            &[6, STRUCT | 1 | 1 << 31, 8, 12, 9, 0x0300_0008],
            &[6, STRUCT | 1, 8, 12, 9, 32],
        ]
        .concat();
        let bytes = btf(&types, names);
        let fields = [("file", "inode"), ("inode", "mode"), ("file", "mode")];
        let found = Picked {
            function: 5,
            fields: [16, 4, 0],
        };
        assert_eq!(pick(&bytes, "walk", &fields), Some(found));
        assert_eq!(pick(&bytes, "wal", &fields), None);
        assert_eq!(pick(&bytes, "walk", &[("file", "walk")]), None);
        for cut in 0..bytes.len() {
            assert_eq!(pick(&bytes[..cut], "walk", &fields), None, "{cut}");
        }
    }
}
