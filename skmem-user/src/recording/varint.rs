//! Numbers of seven bits a byte, lowest first; signed ones zigzag.

/// Most bytes that a number of 64 bits takes.
const LONGEST: usize = 10;

/// Appends a number.
pub(super) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a signed number.
#[cfg(test)]
pub(super) fn put_signed(out: &mut Vec<u8>, n: i64) {
    put(out, ((n << 1) ^ (n >> 63)).cast_unsigned());
}

/// Takes a number off the front; None where there is none, or one of more than
/// 64 bits.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    // Most are of one byte.
    match **bytes {
        [byte, ref rest @ ..] if byte < 0x80 => {
            *bytes = rest;
            Some(byte.into())
        }
        _ => take_long(bytes),
    }
}

fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for (place, byte) in bytes.iter().take(LONGEST).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if place == LONGEST - 1 && bits > 1 {
            return None;
        }
        n |= bits << (7 * place);
        if byte & 0x80 == 0 {
            *bytes = &bytes[place + 1..];
            return Some(n);
        }
    }
    None
}

/// Takes a signed number off the front.
#[inline]
pub(super) fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let n = take(bytes)?;
    Some((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for n in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put(&mut out, n);
            let mut bytes = &out[..];
            assert_eq!((take(&mut bytes), bytes.len()), (Some(n), 0));
        }
        for n in [0, -1, 1, 63, -64, 64, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_signed(&mut out, n);
            assert_eq!(take_signed(&mut &out[..]), Some(n));
        }
    }

    #[test]
    fn numbers_without_an_end_are_none() {
        assert_eq!(take(&mut &[][..]), None);
        assert_eq!(take(&mut &[0x80][..]), None);
        assert_eq!(take(&mut &[0xff; 4096][..]), None);
        let mut too_large = [0x80u8; 10];
        too_large[9] = 2;
        assert_eq!(take(&mut &too_large[..]), None);
    }
}
