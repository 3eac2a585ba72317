//! A function's number and the places of a few fields: what one small program needs, in a fraction
//! of the time that [`super::KernelBtf`] takes. BTF is read in pieces: memory for all of it costs
//! more than a second look at each piece (4.0 ms of CPU time against 5.8, 5.5 MB, Linux 6.18).

use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Take};

use super::raw::{CUT_OFF, HEADER, MAGIC, Type, first, kind, word};

/// Bytes that are read at once, at first.
const PIECE: usize = 16 << 10;
/// Most of them: the largest type has 65,535 parts of 12 bytes each.
const LARGEST_PIECE: usize = 1 << 20;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Picked<const N: usize> {
    /// The function's number.
    pub(in super::super) function: u32,
    /// Where each field begins, in bytes.
    pub(in super::super) fields: [u32; N],
}

/// Looks for a function, and for fields (structure, member) that are members of their structure
/// themselves and no bit-fields. None: one is missing.
///
/// # Errors
/// Where it cannot be read, or is not BTF.
pub(in super::super) fn pick<const N: usize>(
    btf: &mut (impl Read + Seek),
    function: &str,
    fields: &[(&str, &str); N],
) -> io::Result<Option<Picked<N>>> {
    let mut header = [0; HEADER];
    btf.read_exact(&mut header)?;
    if !header.starts_with(&MAGIC.to_ne_bytes()) {
        return Err(bad("it does not start as BTF of this byte order does"));
    }
    let mut wanted = vec![function];
    wanted.extend(
        fields
            .iter()
            .flat_map(|(structure, member)| [*structure, *member]),
    );
    let names = Names::find(section(btf, &header, 16)?, &wanted)?;
    let mut search = Search {
        names,
        next: 1,
        function: None,
        fields: [None; N],
    };
    in_pieces(section(btf, &header, 8)?, |bytes| search.go_over(bytes))?;
    Ok(search.found())
}

/// The section whose offset from the end of the header, and whose length, stand at `at`.
fn section<'a, B: Read + Seek>(
    btf: &'a mut B,
    header: &[u8; HEADER],
    at: usize,
) -> io::Result<Take<&'a mut B>> {
    let number = |at| u64::from(word(header, at).unwrap_or_default());
    btf.seek(SeekFrom::Start(number(4) + number(at)))?;
    Ok(btf.take(number(at + 4)))
}

fn bad(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

/// Where the names that are looked for are, each in one place or several.
struct Names(Vec<Vec<u32>>);

impl Names {
    fn find(strings: impl Read, wanted: &[&str]) -> io::Result<Self> {
        let lengths = wanted
            .iter()
            .fold(0_u64, |all, name| all | 1 << (name.len() & 63));
        let mut places = vec![Vec::new(); wanted.len()];
        let mut at = 0;
        in_pieces(strings, |bytes| {
            let mut rest = bytes;
            while let Ok(name) = std::ffi::CStr::from_bytes_until_nul(rest) {
                let name = name.to_bytes();
                if lengths >> (name.len() & 63) & 1 != 0 {
                    let same = wanted.iter().zip(&mut places);
                    same.filter(|(wanted, _)| wanted.as_bytes() == name)
                        .for_each(|(_, places)| places.push(at));
                }
                at += name.len() as u32 + 1;
                rest = &rest[name.len() + 1..];
            }
            Ok(Some(bytes.len() - rest.len()))
        })?;
        Ok(Self(places))
    }

    /// Whether that is the name that was the nth to be asked for.
    fn is(&self, at: u32, nth: usize) -> bool {
        self.0[nth].contains(&at)
    }
}

/// A pass over the types.
struct Search<const N: usize> {
    names: Names,
    /// The number of the next type.
    next: u32,
    function: Option<u32>,
    fields: [Option<u32>; N],
}

impl<const N: usize> Search<N> {
    /// Goes over whole types: how many bytes they are; None where all is found.
    fn go_over(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let ty = match first(rest) {
                Ok(ty) => ty,
                Err(CUT_OFF) => break,
                Err(reason) => return Err(bad(reason)),
            };
            self.look_at(&ty);
            if self.found().is_some() {
                return Ok(None);
            }
            self.next += 1;
            rest = &rest[ty.bytes.len()..];
        }
        Ok(Some(bytes.len() - rest.len()))
    }

    fn look_at(&mut self, ty: &Type<'_>) {
        match ty.kind {
            kind::FUNC if self.names.is(ty.name, 0) => {
                self.function.get_or_insert(self.next);
            }
            kind::STRUCT => {
                for (n, at) in self.fields.iter_mut().enumerate() {
                    if at.is_none() && self.names.is(ty.name, 1 + 2 * n) {
                        let mut members = ty.members();
                        let found = members.find(|m| self.names.is(m.name, 2 + 2 * n));
                        *at = found
                            .filter(|found| found.width == 0 && found.bit.is_multiple_of(8))
                            .map(|found| found.bit / 8);
                    }
                }
            }
            _ => {}
        }
    }

    fn found(&self) -> Option<Picked<N>> {
        let function = self.function?;
        let all = self.fields.iter().all(Option::is_some);
        all.then(|| Picked {
            function,
            fields: self.fields.map(Option::unwrap_or_default),
        })
    }
}

/// Hands on what comes, a piece after the other. `take` says how many bytes it has used, and is
/// given the others again with more behind them; None: that was enough.
fn in_pieces(
    mut from: impl Read,
    mut take: impl FnMut(&[u8]) -> io::Result<Option<usize>>,
) -> io::Result<()> {
    let mut room = vec![0; PIECE];
    let mut held = 0;
    loop {
        if held == room.len() {
            if held == LARGEST_PIECE {
                return Err(bad("a part of it is too long"));
            }
            room.resize(2 * held, 0);
        }
        match from.read(&mut room[held..]) {
            Ok(0) => return Ok(()),
            Ok(length) => held += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        let Some(used) = take(&room[..held])? else {
            return Ok(());
        };
        room.copy_within(used..held, 0);
        held -= used;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::{
        super::raw::tests::{STRUCT, UNION, btf},
        *,
    };

    const FUNC: u32 = 12 << 24;
    const FIELDS: [(&str, &str); 3] = [("file", "inode"), ("inode", "mode"), ("file", "mode")];

    fn picked<const N: usize>(
        bytes: &[u8],
        function: &str,
        fields: &[(&str, &str); N],
    ) -> Option<Picked<N>> {
        pick(&mut Cursor::new(bytes), function, fields).ok()?
    }

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
        let found = Picked {
            function: 5,
            fields: [16, 4, 0],
        };
        assert_eq!(picked(&bytes, "walk", &FIELDS), Some(found));
        assert_eq!(picked(&bytes, "wal", &FIELDS), None);
        assert_eq!(picked(&bytes, "walk", &[("file", "walk")]), None);
        // The last name has been found by then.
        for cut in 0..bytes.len() {
            assert_eq!(picked(&bytes[..cut], "walk", &FIELDS), None, "{cut}");
        }
    }

    #[test]
    fn what_does_not_fit_into_a_piece_is_found() {
        let mut names = vec![0];
        names.resize(3 * PIECE, b'n');
        names.extend(b"\0file\0inode\0mode\0walk\0");
        let at = 3 * PIECE as u32 + 1;
        let many = 20_000;
        let mut types = vec![at, STRUCT | many, 8];
        types.extend([0, 9, 0].repeat(many as usize - 2));
        types.extend([at + 5, 9, 64, at + 11, 9, 128]);
        types.extend([at + 5, STRUCT | 1, 8, at + 11, 9, 8, at + 16, FUNC, 0]);
        let found = Picked {
            function: 3,
            fields: [8, 1, 16],
        };
        let bytes = btf(&types, &names);
        assert_eq!(picked(&bytes, "walk", &FIELDS), Some(found));
        names.resize(2 * LARGEST_PIECE, b'n');
        let long = pick(&mut Cursor::new(btf(&types, &names)), "walk", &FIELDS);
        assert!(long.is_err());
    }
}
