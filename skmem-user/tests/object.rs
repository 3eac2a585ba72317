//! What the build takes for its eBPF programs (`SKMEM_EBPF_OBJECT`).

#[path = "../build/object.rs"]
mod object;

/// The head of an ELF file.
fn head(class: u8, order: u8, kind: u16, machine: u16) -> Vec<u8> {
    let mut head = b"\x7fELF".to_vec();
    head.extend([class, order, 1]);
    head.resize(16, 0);
    for number in [kind, machine] {
        head.extend(match order {
            2 => number.to_be_bytes(),
            _ => number.to_le_bytes(),
        });
    }
    head.resize(64, 0);
    head
}

#[test]
fn only_ebpf_objects_of_the_targets_byte_order_pass() {
    assert_eq!(object::check(&head(2, 1, 1, 247), true), Ok(()));
    assert_eq!(object::check(&head(2, 2, 1, 247), false), Ok(()));
    for (bytes, says) in [
        (Vec::new(), "not an ELF file"),
        (
            b"#!/bin/sh\nexit 0 # a script, and not short\n".to_vec(),
            "not an ELF file",
        ),
        (head(1, 1, 1, 247), "of 64 bits"),
        (head(2, 2, 1, 247), "the other byte order"),
        (head(2, 1, 2, 247), "not a relocatable object"),
        (head(2, 1, 1, 62), "for machine 62"),
        (head(2, 1, 1, 247)[..19].to_vec(), "not an ELF file"),
    ] {
        let error = object::check(&bytes, true).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    // The program that runs this is not an eBPF object.
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(
        object::check(&own, true)
            .unwrap_err()
            .contains("not for eBPF")
    );
}
