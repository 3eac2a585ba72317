//! Blocks: what a recording consists of after its first bytes. Each says its
//! kind, its length and its checksum, so that a file that was cut off is good
//! up to its last whole block.
//!
//! ```text
//! byte  0      kind
//! byte  1      compression: 0 none, 1 LZ4
//! bytes 2..4   zero
//! bytes 4..8   length of the payload as it lies in the file
//! bytes 8..12  length of the payload when decompressed
//! bytes 12..16 CRC-32 (IEEE) of bytes 0..12 and of the payload as it lies there
//! bytes 16..   payload
//! ```

use std::io::Read;

use super::{error::FormatError, packed};

/// Length of a block's header, in bytes.
pub(super) const HEADER: usize = 16;

/// Most bytes of a block's payload, compressed or not. Writers stay far below.
pub(super) const LARGEST: usize = 8 << 20;

/// The same for a block of JSON, which takes several times its length when read.
pub(super) const LARGEST_JSON: usize = 4 << 20;

/// Payloads shorter than this are not worth compressing.
const WORTH: usize = 64;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// What the recording is of; the first block.
    Meta = 1,
    /// Records, as formats 1 and 2 hold them.
    Events = 2,
    /// Accounts.
    Accounts = 3,
    /// The totals; the last block.
    End = 4,
    /// Records, as format 3 holds them.
    Packed = 5,
}

impl Kind {
    fn from_u8(n: u8) -> Option<Self> {
        [
            Self::Meta,
            Self::Events,
            Self::Accounts,
            Self::End,
            Self::Packed,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == n)
    }

    /// Whether it holds JSON.
    fn is_json(self) -> bool {
        matches!(self, Self::Meta | Self::Accounts | Self::End)
    }
}

const STORED: u8 = 0;
const LZ4: u8 = 1;

/// A block as it goes into a file.
#[must_use]
pub(super) fn sealed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    // What is packed has compressed in it what is worth it.
    let compressed = match kind {
        Kind::Packed => None,
        _ => compressed(payload),
    };
    let (codec, bytes) = match &compressed {
        Some(bytes) => (LZ4, &bytes[..]),
        None => (STORED, payload),
    };
    let mut block = vec![0; HEADER];
    block.extend_from_slice(bytes);
    let stored = (block.len() - HEADER) as u32;
    block[0] = kind as u8;
    block[1] = codec;
    block[4..8].copy_from_slice(&stored.to_le_bytes());
    block[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    let sum = checksum(&block[..12], &block[HEADER..]);
    block[12..16].copy_from_slice(&sum.to_le_bytes());
    block
}

/// A payload by LZ4; None where that is no shorter.
pub(super) fn compressed(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() < WORTH {
        return None;
    }
    let mut out = vec![0; lz4_flex::block::get_maximum_output_size(payload.len())];
    let length = lz4_flex::block::compress_into(payload, &mut out).ok()?;
    out.truncate(length);
    (length < payload.len()).then_some(out)
}

/// A block that was read.
pub(super) struct Block {
    pub kind: Kind,
    /// Its length in the file, in bytes.
    pub length: u64,
    codec: u8,
    /// As it lies in the file.
    stored: Vec<u8>,
    /// Length of the payload, in bytes.
    plain: usize,
}

impl Block {
    /// Its payload.
    ///
    /// # Errors
    /// Where it cannot be decompressed.
    pub fn payload(self) -> Result<Vec<u8>, FormatError> {
        match self.codec {
            STORED => Ok(self.stored),
            _ => decompress(&self.stored, self.plain),
        }
    }

    /// What of its payload can be had for nothing: the first bytes, how many differs.
    pub fn front(&self) -> &[u8] {
        match self.codec {
            STORED => &self.stored,
            _ => literals(&self.stored),
        }
    }
}

/// The bytes that an LZ4 block begins with as they are: nothing comes before them that they could
/// be a copy of.
fn literals(block: &[u8]) -> &[u8] {
    let Some((token, mut rest)) = block.split_first() else {
        return &[];
    };
    let mut length = usize::from(token >> 4);
    // 15, and what the bytes that follow add: all but the last are 255.
    while length >= 15
        && let Some((more, behind)) = rest.split_first()
    {
        (length, rest) = (length + usize::from(*more), behind);
        if *more != 255 {
            break;
        }
    }
    rest.get(..length).unwrap_or(rest)
}

/// Reads the next block; None at the end of the file.
///
/// # Errors
/// Where what follows is not a block.
pub(super) fn read(input: &mut impl Read) -> Result<Option<Block>, FormatError> {
    let header = up_to(input, HEADER)?;
    if header.is_empty() {
        return Ok(None);
    }
    let Ok(header) = <[u8; HEADER]>::try_from(header) else {
        return Err(FormatError::Short);
    };
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (stored, length, sum) = (word(4) as usize, word(8) as usize, word(12));
    if stored.max(length) > LARGEST {
        return Err(FormatError::Length(stored.max(length) as u64));
    }
    let bytes = up_to(input, stored)?;
    if bytes.len() != stored {
        return Err(FormatError::Short);
    }
    if checksum(&header[..12], &bytes) != sum {
        return Err(FormatError::Checksum);
    }
    let kind = Kind::from_u8(header[0]).ok_or(FormatError::Kind(header[0]))?;
    if kind.is_json() && length > LARGEST_JSON {
        return Err(FormatError::Length(length as u64));
    }
    let codec = header[1];
    match codec {
        STORED if stored != length => return Err(FormatError::Decompress),
        STORED | LZ4 => {}
        other => return Err(FormatError::Codec(other)),
    }
    Ok(Some(Block {
        kind,
        length: (HEADER + stored) as u64,
        codec,
        stored: bytes,
        plain: length,
    }))
}

/// Largest ratio of LZ4: bytes out for each byte in.
const LZ4_MOST: usize = 255;

/// `length` bytes out of `bytes`.
///
/// # Errors
/// Where they do not come out.
pub(super) fn decompress(bytes: &[u8], length: usize) -> Result<Vec<u8>, FormatError> {
    // Before there is memory for it.
    if length > LZ4_MOST * bytes.len() {
        return Err(FormatError::Decompress);
    }
    let mut out = vec![0; length];
    match lz4_flex::block::decompress_into(bytes, &mut out) {
        Ok(n) if n == length => Ok(out),
        _ => Err(FormatError::Decompress),
    }
}

/// At most `n` bytes; memory grows with what is there, not with what is
/// claimed.
fn up_to(input: &mut impl Read, n: usize) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::with_capacity(n.min(64 << 10));
    input
        .take(n as u64)
        .read_to_end(&mut bytes)
        .map_err(|e| FormatError::Io(e.to_string()))?;
    Ok(bytes)
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(header);
    sum.update(payload);
    sum.finalize()
}

/// `bytes` as a recording whose blocks have the right lengths and checksums:
/// damage that is behind those, for tests. `flat`: blocks are decompressed.
pub(crate) fn mended(bytes: &[u8], flat: bool) -> Vec<u8> {
    const START: usize = super::MAGIC.len() + 8;
    let (start, mut rest) = bytes.split_at(bytes.len().min(START));
    let mut whole = start.to_vec();
    while rest.len() > HEADER {
        let (header, more) = rest.split_at(HEADER);
        let stored = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let (payload, more) = more.split_at(more.len().min(stored));
        let mut header = header.to_vec();
        let mut payload = payload.to_vec();
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        if flat
            && header[1] == LZ4
            && length <= LARGEST
            && let Ok(plain) = decompress(&payload, length)
        {
            header[1] = STORED;
            payload = plain;
        }
        if flat
            && header[..2] == [Kind::Packed as u8, STORED]
            && let Some(plain) = packed::flat(&payload)
        {
            payload = plain;
        }
        header[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        if header[1] == STORED {
            header[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        }
        let sum = checksum(&header[..12], &payload);
        header[12..16].copy_from_slice(&sum.to_le_bytes());
        whole.extend(header);
        whole.extend(payload);
        rest = more;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_is_how_the_payload_begins() {
        // Bytes that repeat only after `novel` of them, which are literals.
        for novel in [1, 2, 14, 15, 16, 200, 269, 270, 271, 2_000] {
            let mut random = 1_u32;
            let begin = std::iter::repeat_with(|| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 24) as u8
            });
            let mut payload: Vec<u8> = begin.take(novel).collect();
            payload.resize(novel + 4_000, 7);
            let sealed = sealed(Kind::Events, &payload);
            let block = read(&mut &sealed[..]).unwrap().unwrap();
            assert_eq!(block.codec, LZ4);
            let front = block.front().to_vec();
            assert!(
                front.len() >= novel && payload.starts_with(&front),
                "{novel}"
            );
            assert_eq!(block.payload().unwrap(), payload);
        }
    }

    #[test]
    fn a_block_that_is_cut_has_a_front_all_the_same() {
        for block in [
            &[][..],
            &[0xf0],
            &[0xf0, 255],
            &[0xf0, 255, 0],
            &[0x50, 1, 2],
        ] {
            assert!(literals(block).len() <= block.len());
        }
    }
}
