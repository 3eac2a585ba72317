//! A kernel's BTF without what skmem does not ask for. A kernel has 130,000 types, of which a few hundred
//! matter; to have two libraries read all of them, and look each program's function up among them, was most
//! of what starting costs in user space.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use super::raw::{HEADER, MAGIC, Raw, Type, kind};

/// What is left.
pub(super) struct Cut {
    /// The structures and functions asked for and what lies within them,
    /// numbered anew.
    pub(super) asked_for: Vec<u8>,
    /// The functions and definitions asked for, under the numbers that they
    /// have in the kernel; the types between them are pointers to void.
    pub(super) targets: Vec<u8>,
}

/// Leaves out what `names` does not name.
///
/// # Errors
/// Where `bytes` are no BTF.
pub(super) fn cut(bytes: &[u8], names: &HashSet<&[u8]>) -> Result<Cut, &'static str> {
    let raw = Raw::new(bytes)?;
    let types: Vec<Type<'_>> = raw.types().collect::<Result<_, _>>()?;
    let named: Vec<usize> = (0..types.len())
        .filter(|n| matches!(types[*n].kind, kind::STRUCT | kind::FUNC | kind::TYPEDEF))
        .filter(|n| raw.name(types[*n].name).is_some_and(|s| names.contains(s)))
        .collect();
    let mut targets = Vec::new();
    let mut last = 0;
    for n in named.iter().filter(|n| types[**n].kind != kind::STRUCT) {
        let stub = [0, kind::PTR << 24, 0].map(u32::to_ne_bytes);
        targets.extend_from_slice(stub.as_flattened().repeat(n - last).as_slice());
        targets.extend(types[*n].renumbered(|_| 0));
        last = n + 1;
    }
    // New numbers, in the order in which they are found; type 0 is void.
    let mut numbers = HashMap::from([(0, 0)]);
    let mut found = Vec::new();
    let mut next: Vec<u32> = named.iter().rev().map(|n| *n as u32 + 1).collect();
    while let Some(id) = next.pop() {
        // One that does not exist is as good as void.
        let ty = (id as usize).checked_sub(1).and_then(|n| types.get(n));
        if let (Some(ty), Entry::Vacant(new)) = (ty, numbers.entry(id)) {
            found.push(ty);
            new.insert(found.len() as u32);
            next.extend(within(ty));
        }
    }
    let asked_for = found
        .iter()
        .flat_map(|ty| ty.renumbered(|id| numbers.get(&id).copied().unwrap_or(0)));
    Ok(Cut {
        asked_for: whole(&asked_for.collect::<Vec<u8>>(), raw.strings),
        targets: whole(&targets, raw.strings),
    })
}

/// BTF of these types and names.
pub(super) fn whole(types: &[u8], strings: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    for word in [HEADER, 0, types.len(), types.len(), strings.len()] {
        bytes.extend((word as u32).to_ne_bytes());
    }
    bytes.extend(types);
    bytes.extend(strings);
    bytes
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
    fn what_is_not_asked_for_is_left_out_and_targets_keep_their_numbers() {
        const INT: u32 = 1 << 24;
        const PTR: u32 = 2 << 24;
        const FUNC: u32 = 12 << 24;
        let names = b"\0int\0abc\0sock\0ack\0";
        let types = [
            &[1, INT, 4, 32][..],
            &[5, STRUCT | 1, 4, 1, 1, 0],
            &[9, STRUCT | 3, 8, 1, 4, 0, 1, 5, 32, 0, 99, 64],
            &[5, TYPEDEF, 1],
            &[0, PTR, 2],
            &[14, FUNC, 0],
            &[5, STRUCT | 1, 4, 1, 1, 0],
        ];
        let bytes = btf(&types.concat(), names);
        let got = cut(&bytes, &HashSet::from([&b"sock"[..], b"ack"])).unwrap();
        let asked_for = [
            &[9, STRUCT | 3, 8, 1, 3, 0, 1, 2, 32, 0, 0, 64][..],
            &[0, PTR, 0],
            &[5, TYPEDEF, 4],
            &[1, INT, 4, 32],
            &[14, FUNC, 0],
        ];
        assert_eq!(got.asked_for, btf(&asked_for.concat(), names));
        let stub = [0, PTR, 0];
        let targets = [&stub.repeat(5)[..], &[14, FUNC, 0]];
        assert_eq!(got.targets, btf(&targets.concat(), names));
    }
}
