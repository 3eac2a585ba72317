//! Whether a file is what the build needs: the eBPF programs, as the linker of the BPF target
//! leaves them.

/// `EM_BPF`
const BPF: u16 = 247;
/// `ET_REL`
const RELOCATABLE: u16 = 1;

/// Looks at the head of an ELF file (`Elf64_Ehdr`): 64 bits, relocatable, for BPF, in the byte
/// order of the target.
///
/// # Errors
/// What it is instead.
pub fn check(bytes: &[u8], little_endian: bool) -> Result<(), String> {
    let Some((head, _)) = bytes
        .split_at_checked(20)
        .filter(|(head, _)| head.starts_with(b"\x7fELF"))
    else {
        return Err("it is not an ELF file".to_owned());
    };
    let little = match (head[4], head[5]) {
        (2, 1) => true,
        (2, 2) => false,
        _ => return Err("it is not an ELF file of 64 bits".to_owned()),
    };
    let number = |at: usize| {
        let bytes = [head[at], head[at + 1]];
        if little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        }
    };
    match (number(16), number(18)) {
        (RELOCATABLE, BPF) if little == little_endian => Ok(()),
        (RELOCATABLE, BPF) => Err("it is for machines of the other byte order".to_owned()),
        (_, BPF) => Err("it is an eBPF file, but not a relocatable object".to_owned()),
        (_, machine) => Err(format!(
            "it is an ELF file for machine {machine}, not for eBPF ({BPF})"
        )),
    }
}
