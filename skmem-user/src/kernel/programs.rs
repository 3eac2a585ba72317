//! The eBPF programs, as this crate's build script leaves them: packed, for nine tenths of an ELF
//! object are zeros and repetitions, and they would be the largest part of the binary.

use std::ops::Deref;

use zerocopy::IntoBytes as _;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/skmem-programs.lz4"));

/// The object file.
pub(super) struct Programs {
    /// In words of 8 bytes, as the headers of ELF must be aligned.
    words: Vec<u64>,
    length: usize,
}

impl Programs {
    /// Unpacks them, in a millisecond or two.
    pub(super) fn unpack() -> Self {
        let packed = "the build script has packed them";
        let (length, bytes) = lz4_flex::block::uncompressed_size(PACKED).expect(packed);
        let mut words = vec![0_u64; length.div_ceil(8)];
        let into = &mut words.as_mut_bytes()[..length];
        let unpacked = lz4_flex::block::decompress_into(bytes, into).expect(packed);
        assert_eq!(unpacked, length, "{packed}");
        Self { words, length }
    }

    /// Leaves out which line of source each instruction comes from, which the verifier's log shows.
    /// aya first copies the lines of a whole section for each program in it, 11 MB, and keeps 3 MB
    /// of them for as long as programs are attached; the kernel keeps them, too.
    pub(super) fn without_lines(mut self) -> Self {
        if let Some(at) = length_of_lines(&self) {
            self.words.as_mut_bytes()[at..at + 4].fill(0);
        }
        self
    }
}

/// Where `line_info_len` of `struct btf_ext_header` is in an ELF file of 64 bits, in this machine's
/// byte order, as the build script has checked.
fn length_of_lines(file: &[u8]) -> Option<usize> {
    let short = |at: usize| Some(usize::from(u16::from_ne_bytes(bytes(file, at)?)));
    let long = |at: usize| usize::try_from(u64::from_ne_bytes(bytes(file, at)?)).ok();
    // e_shoff, e_shentsize, e_shnum, e_shstrndx; then of a section sh_name and sh_offset.
    let (table, size, count, names) = (long(40)?, short(58)?, short(60)?, short(62)?);
    let header = |n: usize| table.checked_add(n.checked_mul(size)?);
    let offset = |n: usize| long(header(n)?.checked_add(24)?);
    let names = offset(names)?;
    let is_wanted = |n: &usize| -> Option<bool> {
        let name = u32::from_ne_bytes(bytes(file, header(*n)?)?) as usize;
        let name = file.get(names.checked_add(name)?..)?;
        Some(name.starts_with(b".BTF.ext\0"))
    };
    let found = (0..count).find(|n| is_wanted(n) == Some(true))?;
    let at = offset(found)?.checked_add(20)?;
    bytes::<4>(file, at).map(|_| at)
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..)?.first_chunk().copied()
}

impl Deref for Programs {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.words.as_bytes()[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use aya_obj::{Map, Object};

    use super::*;

    /// Room for lines in all programs, as aya keeps it, and the programs' instructions.
    fn lines_and_instructions(programs: &Programs) -> (usize, usize) {
        let mut object = Object::parse(programs).unwrap();
        let sections: HashSet<usize> = object.functions.keys().map(|(index, _)| *index).collect();
        let maps: Vec<(String, Map)> = object.maps.clone().into_iter().collect();
        let described = maps.iter().map(|(name, map)| (name.as_str(), 9, map));
        object.relocate_maps(described, &sections).unwrap();
        object.relocate_calls(&sections).unwrap();
        let of = |program: &aya_obj::Program| {
            let function = &object.functions[&program.function_key()];
            assert!(!function.func_info.func_info.is_empty());
            let lines = function.line_info.line_info.capacity();
            (lines, function.instructions.len())
        };
        let all = object.programs.values().map(of);
        all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    #[test]
    fn lines_of_source_are_all_that_is_left_out() {
        let (lines, instructions) = lines_and_instructions(&Programs::unpack());
        assert!(lines > 100_000, "{lines}");
        let without = lines_and_instructions(&Programs::unpack().without_lines());
        assert_eq!(without, (0, instructions));
    }

    #[test]
    fn files_without_lines_are_left_as_they_are() {
        let whole = Programs::unpack();
        assert!(length_of_lines(&whole).is_some());
        for end in (0..4096).step_by(7).chain([whole.len() / 2]) {
            assert_eq!(length_of_lines(&whole[..end]), None, "{end}");
        }
        assert_eq!(length_of_lines(&[0xff; 4096]), None);
        assert_eq!(length_of_lines(&[0; 4096]), None);
    }
}
