//! A kernel's BTF without what skmem does not ask for. A kernel has 130,000 types, of which a few hundred
//! matter; to have two libraries read all of them, and look each program's function up among them, was most
//! of what starting costs in user space.

use std::collections::HashSet;

use super::raw::{HEADER, MAGIC, Raw, Type, kind};

/// The types that `wanted` names (structures, functions, definitions), and what
/// lies within them, under the numbers that they have in `bytes`. The others
/// are pointers to void.
///
/// # Errors
/// Where `bytes` are no BTF.
pub(super) fn cut(bytes: &[u8], wanted: &HashSet<&[u8]>) -> Result<Vec<u8>, &'static str> {
    let raw = Raw::new(bytes)?;
    let types: Vec<Type<'_>> = raw.types().collect::<Result<_, _>>()?;
    let mut keep = vec![false; types.len()];
    let mut found: Vec<usize> = (0..types.len())
        .filter(|n| matches!(types[*n].kind, kind::STRUCT | kind::FUNC | kind::TYPEDEF))
        .filter(|n| raw.name(types[*n].name).is_some_and(|s| wanted.contains(s)))
        .collect();
    while let Some(n) = found.pop() {
        // Type 0 is void; one that does not exist is the parser's to find.
        let new = keep.get_mut(n).is_some_and(|k| !std::mem::replace(k, true));
        if new {
            let within = within(&types[n]);
            found.extend(within.map(|id| (id as usize).wrapping_sub(1)));
        }
    }
    let last = keep.iter().rposition(|k| *k).map_or(0, |n| n + 1);
    let mut kept = Vec::new();
    for (ty, keep) in types.iter().zip(keep).take(last) {
        if keep {
            kept.extend_from_slice(ty.bytes);
        } else {
            kept.extend([0, kind::PTR << 24, 0].map(u32::to_ne_bytes).as_flattened());
        }
    }
    let mut cut = MAGIC.to_ne_bytes().to_vec();
    cut.extend([1, 0]);
    for word in [HEADER, 0, kept.len(), kept.len(), raw.strings.len()] {
        cut.extend((word as u32).to_ne_bytes());
    }
    cut.extend(kept);
    cut.extend(raw.strings);
    Ok(cut)
}

/// The types that one consists of; not those that it points to.
fn within(ty: &Type<'_>) -> impl Iterator<Item = u32> {
    let prototype = (ty.kind == kind::FUNC).then_some(ty.target);
    let members = ty.members().map(|member| member.target);
    members
        .chain(ty.element())
        .chain(ty.stands_for())
        .chain(prototype)
}

#[cfg(test)]
mod tests {
    use super::{
        super::vet::tests::{STRUCT, TYPEDEF, btf},
        *,
    };

    #[test]
    fn what_is_asked_for_keeps_its_number_and_the_rest_is_stubs() {
        const INT: u32 = 1 << 24;
        const PTR: u32 = 2 << 24;
        let int = [1, INT, 4, 32];
        let not_wanted = [5, STRUCT | 1, 4, 1, 1, 0];
        let wanted = [9, STRUCT | 2, 8, 1, 4, 0, 1, 5, 32];
        let types = [
            &int[..],
            &not_wanted,
            &wanted,
            &[5, TYPEDEF, 1],
            &[0, PTR, 2],
            &not_wanted,
        ];
        let bytes = btf(&types.concat(), b"\0int\0abc\0sock\0");
        let got = cut(&bytes, &HashSet::from([&b"sock"[..]])).unwrap();
        let stub = [0, PTR, 0];
        let types = [&int[..], &stub, &wanted, &[5, TYPEDEF, 1], &[0, PTR, 2]];
        assert_eq!(got, btf(&types.concat(), b"\0int\0abc\0sock\0"));
    }
}
