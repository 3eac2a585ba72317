//! Bytes as they are given: which encoding they are in, and what is not text at all.

/// The text in `bytes`.
///
/// # Errors
/// Where it is something else: what it is, and what reads it.
pub fn text(bytes: &[u8]) -> Result<String, &'static str> {
    const MAGIC: [(&[u8], &str); 7] = [
        (b"\x1f\x8b", "compressed by gzip: give it `zcat FILE`"),
        (
            b"\x28\xb5\x2f\xfd",
            "compressed by zstd: give it `zstdcat FILE`",
        ),
        (b"\xfd7zXZ", "compressed by xz: give it `xzcat FILE`"),
        (
            b"\xd4\xc3\xb2\xa1",
            "a packet capture, which holds nothing of a socket's memory",
        ),
        (
            b"\x4d\x3c\xb2\xa1",
            "a packet capture, which holds nothing of a socket's memory",
        ),
        (
            b"\x0a\x0d\x0d\x0a",
            "a packet capture, which holds nothing of a socket's memory",
        ),
        (b"\x7fELF", "a program"),
    ];
    if bytes.starts_with(&crate::recording::MAGIC) {
        return Err("a recording of skmem: `skmem report FILE` reads it");
    }
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(what);
    }
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ if zeros(bytes, 1) => utf16(bytes, u16::from_le_bytes),
        _ if zeros(bytes, 0) => utf16(bytes, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    Ok(text)
}

/// Whether every second byte, from `first`, of the beginning is mostly 0: UTF-16 of mostly ASCII.
fn zeros(bytes: &[u8], first: usize) -> bool {
    let start = &bytes[..bytes.len().min(512)];
    let zero = start.iter().skip(first).step_by(2).filter(|b| **b == 0);
    start.len() >= 8 && zero.count() * 4 > start.len() / 2 * 3
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_is_read_with_and_without_its_mark() {
        let said = "ESTAB 0 0 a:1 b:2\r\n";
        let le: Vec<u8> = said.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = said.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(text(&le).as_deref(), Ok(said));
        assert_eq!(text(&be).as_deref(), Ok(said));
        assert_eq!(
            text(&[&[0xff, 0xfe], &le[..]].concat()).as_deref(),
            Ok(said)
        );
        assert_eq!(
            text(&[&[0xfe, 0xff], &be[..]].concat()).as_deref(),
            Ok(said)
        );
        assert_eq!(text(said.as_bytes()).as_deref(), Ok(said));
    }

    #[test]
    fn what_is_no_text_is_named() {
        assert!(text(b"\x1f\x8b\x08\0").unwrap_err().contains("gzip"));
        assert!(
            text(&crate::recording::MAGIC)
                .unwrap_err()
                .contains("report")
        );
    }
}
