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
}

impl Deref for Programs {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.words.as_bytes()[..self.length]
    }
}
