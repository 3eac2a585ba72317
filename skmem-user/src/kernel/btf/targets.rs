//! The functions and definitions that programs attach to, alone. A kernel has 130,000 types; to
//! have aya read all of them, and look each program's function up among them, was most of what
//! starting costs in user space.

use std::collections::HashSet;

use super::{
    find::Types,
    raw::{HEADER, MAGIC, kind},
};

/// Those that `names` names, under the numbers that they have in the kernel; the types between them
/// are pointers to void.
pub(super) fn of(types: &Types<'_>, names: &HashSet<&[u8]>) -> Vec<u8> {
    let mut targets = Vec::new();
    let mut last = 0;
    for (n, ty) in types.list.iter().enumerate() {
        let is_kind = matches!(ty.kind, kind::FUNC | kind::TYPEDEF);
        let named = || types.raw.name(ty.name).is_some_and(|s| names.contains(s));
        if is_kind && named() {
            let stub = [0, kind::PTR << 24, 0].map(u32::to_ne_bytes);
            targets.extend_from_slice(stub.as_flattened().repeat(n - last).as_slice());
            targets.extend(ty.alone());
            last = n + 1;
        }
    }
    whole(&targets, types.raw.strings)
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

#[cfg(test)]
mod tests {
    use super::{
        super::raw::tests::{STRUCT, TYPEDEF, btf},
        *,
    };

    #[test]
    fn targets_keep_their_numbers_and_lose_what_they_refer_to() {
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
            &[14, FUNC, 3],
            &[5, STRUCT | 1, 4, 1, 1, 0],
        ];
        let bytes = btf(&types.concat(), names);
        let got = of(
            &Types::new(&bytes).unwrap(),
            &HashSet::from([&b"sock"[..], b"ack"]),
        );
        let targets = [&[0, PTR, 0].repeat(5)[..], &[14, FUNC, 0]];
        assert_eq!(got, btf(&targets.concat(), names));
    }
}
