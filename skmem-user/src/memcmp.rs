//! Comparing bytes, eight at a time: musl's `memcmp` takes them one by one, and writing a Parquet
//! file spent an eighth of its instructions there.

#[cfg(target_env = "musl")]
use std::{
    ffi::{c_int, c_void},
    slice::from_raw_parts,
};

/// As `memcmp` says it: negative, 0 or positive. The slices are of one length.
#[inline(always)]
fn order(a: &[u8], b: &[u8]) -> i32 {
    let ((words, rest), (others, other)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in words.iter().zip(others) {
        // The first byte decides.
        let (a, b) = (u64::from_be_bytes(*a), u64::from_be_bytes(*b));
        if a != b {
            return if a < b { -1 } else { 1 };
        }
    }
    for (a, b) in rest.iter().zip(other) {
        if a != b {
            return i32::from(*a) - i32::from(*b);
        }
    }
    0
}

/// In the place of musl's.
///
/// # Safety
/// As in C: `len` bytes can be read at both.
#[cfg(target_env = "musl")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const c_void, b: *const c_void, len: usize) -> c_int {
    // What has no bytes may be anywhere.
    if len == 0 {
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe { order(from_raw_parts(a.cast(), len), from_raw_parts(b.cast(), len)) }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn bytes_are_ordered_as_slices_are() {
        let text: Vec<u8> = (0..40_u8).map(|n| n.wrapping_mul(37)).collect();
        for len in 0..text.len() {
            let text = &text[..len];
            assert_eq!(order(text, text), 0);
            for at in 0..len {
                for by in [1, 127, 128, 255] {
                    let mut other = text.to_vec();
                    other[at] = other[at].wrapping_add(by);
                    // What comes after the first difference does not count.
                    other[at + 1..].reverse();
                    assert_eq!(order(text, &other).signum(), text.cmp(&other) as i32);
                    assert_eq!(
                        order(&other, text).signum(),
                        other.as_slice().cmp(text) as i32
                    );
                }
            }
        }
    }
}
