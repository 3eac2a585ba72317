//! Packagings of a binary that is made up, and what is in them.

use std::{collections::BTreeMap, io::Read as _, path::PathBuf};

use lzma_rust2::XzReader;
use tar::Archive;

use super::*;
use crate::debian::hex;

fn release() -> Release {
    Release {
        version: "0.2.0".into(),
        commit: "0123456789ab".into(),
        time: 1_800_000_000,
        stamp: "2027-01-15T08:00:00Z".into(),
        date: "Fri, 15 Jan 2027 08:00:00 +0000".into(),
        maintainer: "A Packager <packager@mail.test>".into(),
    }
}

fn tree() -> Files {
    let mut tree = Files::default();
    tree.add("bin/skmem", 0o755, vec![7; 3001]);
    for name in [
        "CHANGELOG.md",
        "LICENSE-APACHE",
        "LICENSE-GPL2",
        "LICENSE-MIT",
        "THIRD-PARTY",
    ] {
        tree.add(&format!("share/doc/skmem/{name}"), 0o644, name);
    }
    tree.add(
        "share/man/man1/skmem.1.gz",
        0o644,
        archive::gzip(b".TH").unwrap(),
    );
    tree
}

fn everything(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let binary = Binary {
        stripped: vec![7; 3001],
        debug: vec![8; 100],
        object: vec![9; 100],
        whole: PathBuf::new(),
        runs_here: PathBuf::new(),
    };
    let metadata = Metadata::of(Arch::host()).unwrap();
    let mut out = Out::new(directory).unwrap();
    out.all(Arch::host(), &release(), &binary, &tree(), &metadata)
        .unwrap();
    let written = out.sums().unwrap();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(path).unwrap())
    };
    written.iter().map(read).collect()
}

/// The files of an archive that was not compressed: their headers and bytes.
fn untar(bytes: &[u8]) -> Vec<(String, tar::Header, Vec<u8>)> {
    let mut archive = Archive::new(bytes);
    let entry = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (path, entry.header().clone(), bytes)
    };
    archive.entries().unwrap().map(entry).collect()
}

fn unxz(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    XzReader::new(bytes, false).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn two_packagings_of_one_build_are_the_same_to_the_byte() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = everything(first.path());
    let second = everything(second.path());
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        second.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &first {
        assert!(second[name] == *bytes, "{name} differs");
    }
    let sums = String::from_utf8(first["SHA256SUMS"].clone()).unwrap();
    for (name, bytes) in first.iter().filter(|(name, _)| *name != "SHA256SUMS") {
        let line = format!("{}  {name}", hex(&Sha256::digest(bytes)));
        assert!(sums.lines().any(|has| has == line), "{line} in {sums}");
    }
}

#[test]
fn archives_are_sorted_and_everything_is_roots_and_of_the_commits_time() {
    let archive = archive::tar(&tree().under("skmem-0.2.0"), release().time).unwrap();
    let entries = untar(&archive);
    let paths: Vec<&str> = entries.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(
        paths[..3],
        ["skmem-0.2.0/", "skmem-0.2.0/bin/", "skmem-0.2.0/bin/skmem"]
    );
    for (path, header, _) in &entries {
        let owner = (header.uid().unwrap(), header.gid().unwrap());
        assert_eq!(
            (owner, header.mtime().unwrap()),
            ((0, 0), 1_800_000_000),
            "{path}"
        );
    }
    let modes = |path: &str| {
        let found = entries.iter().find(|(has, ..)| has == path);
        found.unwrap().1.mode().unwrap()
    };
    assert_eq!(modes("skmem-0.2.0/bin/skmem"), 0o755);
    assert_eq!(modes("skmem-0.2.0/share/man/man1/skmem.1.gz"), 0o644);
}

/// The members of an `ar` archive.
fn unar(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    bytes = bytes.strip_prefix(b"!<arch>\n").unwrap();
    let mut members = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at(60);
        let head = std::str::from_utf8(head).unwrap();
        let length: usize = head[48..58].trim().parse().unwrap();
        members.push((head[..16].trim().to_owned(), rest[..length].to_vec()));
        bytes = &rest[length.next_multiple_of(2)..];
    }
    members
}

#[test]
fn debians_package_has_what_its_policy_wants() {
    let package = deb::package(Arch::named("amd64").unwrap(), &release(), &tree()).unwrap();
    let members = unar(&package);
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["debian-binary", "control.tar.xz", "data.tar.xz"]);
    let control = untar(&unxz(&members[1].1));
    let text = |name: &str| {
        let found = control.iter().find(|(path, ..)| path == name).unwrap();
        String::from_utf8(found.2.clone()).unwrap()
    };
    let fields = text("./control");
    for line in ["Package: skmem", "Version: 0.2.0-1", "Architecture: amd64"] {
        assert!(fields.lines().any(|has| has == line), "{line} in {fields}");
    }
    for script in ["./postinst", "./postrm", "./prerm"] {
        let found = control.iter().find(|(path, ..)| path == script).unwrap();
        assert_eq!(found.1.mode().unwrap(), 0o755, "{script}");
        assert!(text(script).starts_with("#!/bin/sh\n"), "{script}");
    }
    let data = untar(&unxz(&members[2].1));
    let paths: Vec<&str> = data.iter().map(|(path, ..)| path.as_str()).collect();
    for path in [
        "./usr/bin/skmem",
        "./usr/share/doc/skmem/changelog.Debian.gz",
        "./usr/share/doc/skmem/changelog.gz",
        "./usr/share/doc/skmem/copyright",
        "./usr/share/man/man1/skmem.1.gz",
    ] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
        let sums = text("./md5sums");
        assert!(
            sums.contains(&format!("  {}\n", &path[2..])),
            "{path} in {sums}"
        );
    }
    assert!(
        !paths.iter().any(|path| path.contains("LICENSE-")),
        "{paths:?}"
    );
}

#[test]
fn an_image_names_what_it_is_made_of() {
    let arch = Arch::named("arm64").unwrap();
    let layout = untar(&image::archive(arch, &release(), &tree()).unwrap());
    let file = |path: &str| {
        let found = layout.iter().find(|(has, ..)| has == path);
        found
            .unwrap_or_else(|| panic!("there is no {path}"))
            .2
            .clone()
    };
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let blob = |described: &serde_json::Value| {
        let digest = described["digest"].as_str().unwrap();
        let bytes = file(&format!("blobs/{}", digest.replace(':', "/")));
        assert_eq!(digest, format!("sha256:{}", hex(&Sha256::digest(&bytes))));
        assert_eq!(described["size"], bytes.len());
        bytes
    };
    let manifest = json(&blob(&json(&file("index.json"))["manifests"][0]));
    let config = json(&blob(&manifest["config"]));
    assert_eq!(config["architecture"], "arm64");
    let mut layer = Vec::new();
    let packed = blob(&manifest["layers"][0]);
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut layer)
        .unwrap();
    let sum = format!("sha256:{}", hex(&Sha256::digest(&layer)));
    assert_eq!(config["rootfs"]["diff_ids"][0], sum);
    let entry = config["config"]["Entrypoint"][0].as_str().unwrap();
    assert!(
        untar(&layer)
            .iter()
            .any(|(path, ..)| format!("/{path}") == entry)
    );
}

#[test]
fn the_bill_of_materials_names_each_package_once_with_its_licence_and_sum() {
    let metadata = Metadata::of(Arch::host()).unwrap();
    let text = sbom::text(&metadata, &release()).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let components = document["components"].as_array().unwrap();
    let names: Vec<_> = components
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    for linked in [
        "aya",
        "aya-ebpf",
        "clap",
        "parquet",
        "skmem-common",
        "skmem-ebpf",
    ] {
        assert_eq!(
            names.iter().filter(|name| **name == linked).count(),
            1,
            "{linked}"
        );
    }
    // Builds, derives and tests are not part of the binary.
    for other in ["aya-build", "proptest", "serde_derive", "skmem-vm-init"] {
        assert!(!names.contains(&other), "{other}");
    }
    for component in components {
        let licence = &component["licenses"][0]["expression"];
        assert!(licence.is_string(), "{component}");
    }
    let has_sum = |c: &&serde_json::Value| {
        let sum = c["hashes"][0]["content"].as_str();
        sum.is_some_and(|sum| sum.len() == 64)
    };
    let own = components.iter().filter(|c| !has_sum(c));
    let own: Vec<_> = own.map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(own, ["skmem-common", "skmem-ebpf"]);
}

#[test]
fn the_checksums_of_a_lock_file() {
    let lock = "version = 4\n\n[[package]]\nname = \"own\"\nversion = \"0.2.0\"\n\n\
                [[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\nchecksum = \"00ff\"\n";
    let sums = metadata::checksums(lock);
    assert_eq!(sums.len(), 1);
    assert_eq!(sums[&("a".to_owned(), "1.0.0".to_owned())], "00ff");
}
