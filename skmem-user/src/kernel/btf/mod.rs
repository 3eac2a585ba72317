//! The kernel's BTF: offsets of fields, number of parameters of functions, what
//! programs attach to.

mod cut;
mod raw;
mod vet;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use aya::{Btf, Endianness};
use btfparse::{Offset, Readable, TypeInformation, TypeVariant};
use skmem_common::layout::{ABSENT, FIELDS, Offsets};

use super::{KernelError, Result, errors::refused, plan, symbols};

/// Where the running kernel shows its BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Largest file that is read, in bytes: a kernel's own BTF has five to ten
/// million of them.
const LARGEST: u64 = 64 << 20;

/// Structures of one name that are searched for a field; a kernel has one or
/// two.
const SAME_NAME: usize = 16;

/// A kernel's type information, reduced to what skmem asks of it.
#[derive(Debug)]
pub struct KernelBtf {
    offsets: Offsets,
    missing: Vec<MissingField>,
    parameters: HashMap<String, usize>,
    /// BTF of what programs attach to.
    targets: Vec<u8>,
}

/// An optional field that this kernel lacks, or that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingField {
    /// `struct.field`.
    pub field: String,
    /// What that costs.
    pub cost: &'static str,
    /// The kernel has it; see [`KernelBtf::hide`].
    pub left_out: bool,
}

impl KernelBtf {
    /// The running kernel's.
    ///
    /// # Errors
    /// Where there is no BTF, it makes no sense, or lacks a field that skmem
    /// cannot do without.
    pub fn running() -> Result<Self> {
        Self::from_file(Path::new(VMLINUX))
    }

    /// The one in `path`.
    ///
    /// # Errors
    /// As for [`KernelBtf::running`].
    pub fn from_file(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        // One more than there may be, which the look at it finds.
        File::open(path)
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
            .map_err(|cause| KernelError::NoBtf {
                path: path.display().to_string(),
                cause,
                hint: match path == Path::new(VMLINUX) {
                    true => {
                        "; skmem needs a kernel (5.10 or newer) built with CONFIG_DEBUG_INFO_BTF=y"
                    }
                    false => "",
                },
            })?;
        Self::parse(path.to_path_buf(), bytes)
    }

    /// Those bytes, wherever they are from.
    ///
    /// # Errors
    /// As for [`KernelBtf::running`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::parse(PathBuf::from("(bytes)"), bytes)
    }

    fn parse(path: PathBuf, bytes: Vec<u8>) -> Result<Self> {
        let bad = |reason: String| KernelError::BadBtf {
            path: path.display().to_string(),
            reason,
        };
        if bytes.len() as u64 > LARGEST {
            return Err(bad(format!("it is larger than {LARGEST} bytes")));
        }
        let attached_to = plan::attached_to();
        let signs = [symbols::FTRACE, symbols::DIRECT_CALLS];
        let structs = FIELDS.iter().map(|(_, ty, ..)| *ty);
        let wanted = attached_to.iter().map(String::as_str).chain(structs);
        let wanted: HashSet<&[u8]> = wanted.chain(signs).map(str::as_bytes).collect();
        let cut = cut::cut(&bytes, &wanted).map_err(|reason| bad(reason.to_owned()))?;
        vet::vet(&cut.asked_for).map_err(|reason| bad(reason.to_owned()))?;
        let types =
            TypeInformation::new(&Bytes(cut.asked_for)).map_err(|e| bad(format!("{e:?}")))?;
        let mut structs: HashMap<String, Vec<u32>> = HashMap::new();
        let functions: HashSet<&str> = plan::functions().chain(signs).collect();
        let mut parameters = HashMap::new();
        for (id, kind) in types.get() {
            match kind {
                TypeVariant::Struct(s) => {
                    if let Some(name) = s.name()
                        && FIELDS.iter().any(|(_, ty, ..)| ty == name)
                    {
                        structs.entry(name.to_string()).or_default().push(*id);
                    }
                }
                TypeVariant::Func(f) => {
                    if let Some(name) = f.name()
                        && functions.contains(name.as_str())
                        && let Some(TypeVariant::FuncProto(proto)) =
                            types.from_id(*f.prototype_tid())
                    {
                        parameters.insert(name.to_string(), proto.parameter_list().len());
                    }
                }
                _ => {}
            }
        }
        let mut offsets = Offsets {
            userlocks_mask: 0xff,
            ..Offsets::NONE
        };
        let mut missing = Vec::new();
        for (name, ty, path, cost) in FIELDS {
            let found = structs
                .get(*ty)
                .into_iter()
                .flatten()
                .take(SAME_NAME)
                .find_map(|id| types.offset_of(*id, path).ok());
            let Some((_, at)) = found else {
                let field = format!("{ty}.{path}");
                if cost.is_empty() {
                    return Err(KernelError::NoField { field });
                }
                if *cost != "nothing" {
                    missing.push(MissingField {
                        field,
                        cost,
                        left_out: false,
                    });
                }
                continue;
            };
            let byte = match at {
                Offset::ByteOffset(byte) => byte,
                Offset::BitOffsetAndSize(bit, size) => {
                    if *name == "userlocks" {
                        offsets.userlocks_shift = bit % 8;
                        offsets.userlocks_mask = (1 << size.min(8)) - 1;
                    }
                    if *name == "bypass" {
                        offsets.bypass_shift = bit % 8;
                    }
                    if *name == "rcv_wscale" {
                        offsets.wscale_shift = bit % 8;
                    }
                    if *name == "chrono_type" {
                        offsets.chrono_shift = bit % 8;
                    }
                    bit / 8
                }
            };
            if let Some(slot) = offsets.slot(name) {
                *slot = byte;
            }
        }
        Ok(Self {
            offsets,
            missing,
            parameters,
            targets: cut.targets,
        })
    }

    /// Does without a field, by its name in [`FIELDS`], as if this kernel lacked it.
    ///
    /// # Errors
    /// Where skmem cannot do without it, or knows none of that name.
    pub fn hide(&mut self, field: &str) -> Result<()> {
        let Some((name, ty, path, cost)) = FIELDS.iter().find(|(name, ..)| *name == field) else {
            return Err(KernelError::NoField {
                field: field.to_owned(),
            });
        };
        let field = format!("{ty}.{path}");
        let slot = self.offsets.slot(name).filter(|_| !cost.is_empty());
        let Some(slot) = slot else {
            return Err(KernelError::NoField { field });
        };
        let had = std::mem::replace(slot, ABSENT);
        if had != ABSENT && *cost != "nothing" {
            self.missing.push(MissingField {
                field,
                cost,
                left_out: true,
            });
        }
        Ok(())
    }

    /// Offsets of all fields.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.offsets
    }

    /// Optional fields that are not there.
    #[must_use]
    pub fn missing(&self) -> &[MissingField] {
        &self.missing
    }

    /// The types that programs attach to, as the kernel numbers them.
    ///
    /// # Errors
    /// Where they make no sense.
    pub fn targets(&self) -> Result<Btf> {
        Btf::parse(&self.targets, Endianness::default())
            .map_err(|e| refused("cannot read this kernel's BTF", &e))
    }

    /// How many parameters a function has that skmem may hook or asks for; None
    /// where BTF does not know it.
    #[must_use]
    pub fn parameters(&self, function: &str) -> Option<usize> {
        self.parameters.get(function).copied()
    }
}

/// A file in memory.
struct Bytes(Vec<u8>);

impl Readable for Bytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> btfparse::Result<()> {
        let from = usize::try_from(offset).ok();
        let part = from
            .and_then(|from| Some(from..from.checked_add(buffer.len())?))
            .and_then(|range| self.0.get(range))
            .ok_or_else(|| {
                btfparse::Error::new(btfparse::ErrorKind::IOError, "the file ends too early")
            })?;
        buffer.copy_from_slice(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_and_foreign_bytes_are_errors() {
        for bytes in [
            vec![],
            vec![0x9f, 0xeb],
            vec![0xff; 4096],
            b"\x7fELF".to_vec(),
        ] {
            let result = KernelBtf::parse(PathBuf::from("x"), bytes);
            assert!(matches!(
                result,
                Err(KernelError::BadBtf { .. } | KernelError::NoField { .. })
            ));
        }
    }
}
