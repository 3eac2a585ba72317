//! The kernel's BTF: offsets of fields, number of parameters of functions, what
//! programs attach to.

mod find;
mod pick;
mod raw;
mod targets;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Read as _,
    path::Path,
};

use aya::{Btf, Endianness};
use find::Types;
pub(super) use pick::{Picked, pick};
use raw::kind;
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
        Self::parse(path, &bytes)
    }

    /// Those bytes, wherever they are from.
    ///
    /// # Errors
    /// As for [`KernelBtf::running`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(Path::new("(bytes)"), bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let bad = |reason: String| KernelError::BadBtf {
            path: path.display().to_string(),
            reason,
        };
        if bytes.len() as u64 > LARGEST {
            return Err(bad(format!("it is larger than {LARGEST} bytes")));
        }
        let attached_to = plan::attached_to();
        let signs = [symbols::FTRACE, symbols::DIRECT_CALLS];
        let types = Types::new(bytes).map_err(|reason| bad(reason.to_owned()))?;
        let wanted: HashSet<&str> = attached_to
            .iter()
            .map(String::as_str)
            .chain(signs)
            .collect();
        let wanted: HashSet<&[u8]> = wanted.into_iter().map(str::as_bytes).collect();
        let fields: HashSet<&[u8]> = FIELDS.iter().map(|(_, ty, ..)| ty.as_bytes()).collect();
        let functions: HashSet<&str> = plan::functions().chain(signs).collect();
        let mut structs: HashMap<&[u8], Vec<u32>> = HashMap::new();
        let mut parameters = HashMap::new();
        for (id, ty) in (1..).zip(&types.list) {
            let name = types.raw.name(ty.name).unwrap_or_default();
            match ty.kind {
                kind::STRUCT if fields.contains(name) => {
                    structs.entry(name).or_default().push(id);
                }
                kind::FUNC => {
                    if let Ok(name) = str::from_utf8(name)
                        && functions.contains(name)
                        && let Some(count) = types.parameters(ty)
                    {
                        parameters.insert(name.to_owned(), count);
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
                .get(ty.as_bytes())
                .into_iter()
                .flatten()
                .take(SAME_NAME)
                .find_map(|id| types.field(*id, path));
            let Some(place) = found else {
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
            let shift = place.bit % 8;
            if place.width != 0 {
                match *name {
                    "userlocks" => {
                        offsets.userlocks_shift = shift;
                        offsets.userlocks_mask = (1 << place.width.min(8)) - 1;
                    }
                    "bypass" => offsets.bypass_shift = shift,
                    "rcv_wscale" => offsets.wscale_shift = shift,
                    "chrono_type" => offsets.chrono_shift = shift,
                    _ => {}
                }
            }
            if let Some(slot) = offsets.slot(name) {
                *slot = place.bit / 8;
            }
        }
        Ok(Self {
            offsets,
            missing,
            parameters,
            targets: targets::of(&types, &wanted),
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
            let result = KernelBtf::parse(Path::new("x"), &bytes);
            assert!(matches!(
                result,
                Err(KernelError::BadBtf { .. } | KernelError::NoField { .. })
            ));
        }
    }
}
