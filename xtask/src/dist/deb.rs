//! Debian's package: an `ar` of two tar archives, as deb(5) has it.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use md5::{Digest, Md5};

use super::{archive, files::Files, release::Release};
use crate::{arch::Arch, debian::hex};

/// The file's name.
pub(super) fn name(arch: &Arch, release: &Release) -> String {
    format!("skmem_{}_{}.deb", version(release), arch.debian)
}

/// With a revision: a package without one has its changes in Debian's form only.
fn version(release: &Release) -> String {
    format!("{}-1", release.version)
}

/// The package's bytes.
pub(super) fn package(arch: &Arch, release: &Release, tree: &Files) -> Result<Vec<u8>> {
    let data = content(release, tree)?;
    let mut control = Files::default();
    control.add("control", 0o644, control_file(arch, release, &data));
    control.add("md5sums", 0o644, sums(&data));
    for (name, script) in SCRIPTS {
        control.add(name, 0o755, *script);
    }
    let packed = |files: &Files| archive::xz(&archive::tar_with(files, release.time, "./")?);
    let mut bytes = b"!<arch>\n".to_vec();
    member(&mut bytes, "debian-binary", release.time, b"2.0\n")?;
    member(
        &mut bytes,
        "control.tar.xz",
        release.time,
        &packed(&control)?,
    )?;
    member(&mut bytes, "data.tar.xz", release.time, &packed(&data)?)?;
    Ok(bytes)
}

/// What dpkg runs at installing and removing.
const SCRIPTS: &[(&str, &str)] = &[
    ("postinst", include_str!("../../../packaging/deb/postinst")),
    ("postrm", include_str!("../../../packaging/deb/postrm")),
    ("prerm", include_str!("../../../packaging/deb/prerm")),
];

fn member(to: &mut Vec<u8>, name: &str, time: u64, bytes: &[u8]) -> Result<()> {
    let length = bytes.len();
    let head = format!(
        "{name:<16}{time:<12}{:<6}{:<6}{:<8}{length:<10}`\n",
        0, 0, "100644"
    );
    ensure!(head.len() == 60, "{name} does not fit an ar archive");
    to.extend_from_slice(head.as_bytes());
    to.extend_from_slice(bytes);
    if length % 2 == 1 {
        to.push(b'\n');
    }
    Ok(())
}

/// The tree at the places that Debian's policy gives them.
fn content(release: &Release, tree: &Files) -> Result<Files> {
    let mut data = Files::default();
    for (path, file) in tree.iter() {
        let path = match path.as_str() {
            // The texts of common licences are in every Debian; what the package is under is in
            // `copyright`.
            "share/doc/skmem/LICENSE-APACHE"
            | "share/doc/skmem/LICENSE-GPL2"
            | "share/doc/skmem/LICENSE-MIT" => continue,
            "share/doc/skmem/CHANGELOG.md" => {
                let text = archive::gzip(&file.bytes)?;
                data.add("usr/share/doc/skmem/changelog.gz", 0o644, text);
                continue;
            }
            "share/zsh/site-functions/_skmem" => "usr/share/zsh/vendor-completions/_skmem".into(),
            other => format!("usr/{other}"),
        };
        data.add(&path, file.mode, file.bytes.clone());
    }
    data.add("usr/share/doc/skmem/copyright", 0o644, copyright());
    // What makes a warning of lintian's no fault, as its manual wants it.
    data.add("usr/share/lintian/overrides/skmem", 0o644, OVERRIDES);
    let changelog = format!(
        "skmem ({}) unstable; urgency=medium\n\n  * Commit {}; see changelog.gz.\n\n -- {}  {}\n",
        version(release),
        release.commit,
        release.maintainer,
        release.date
    );
    data.add(
        "usr/share/doc/skmem/changelog.Debian.gz",
        0o644,
        archive::gzip(changelog.as_bytes())?,
    );
    Ok(data)
}

const OVERRIDES: &str = include_str!("../../../packaging/lintian-overrides");

fn copyright() -> String {
    let mit = include_str!("../../../LICENSE-MIT");
    let head = include_str!("../../../packaging/copyright");
    format!("{head}\n{mit}")
}

fn control_file(arch: &Arch, release: &Release, data: &Files) -> String {
    let kilobytes: usize = data
        .iter()
        .map(|(_, file)| file.bytes.len().div_ceil(1024))
        .sum();
    let mut text = String::new();
    for (field, value) in [
        ("Package", "skmem"),
        ("Version", &version(release)),
        ("Architecture", arch.debian),
        ("Maintainer", &release.maintainer),
        ("Installed-Size", &kilobytes.to_string()),
        ("Section", "net"),
        ("Priority", "optional"),
        ("Description", DESCRIPTION),
    ] {
        _ = writeln!(text, "{field}: {value}");
    }
    text
}

const DESCRIPTION: &str = "\
eBPF tracer that names every byte of a TCP socket's memory
 ss -m shows that a socket's queue went past SO_SNDBUF; skmem says which
 bytes, put there by which kernel code, under which limit, and what to do
 about it. It keeps an account of each socket inside the kernel, which
 closes to zero or says by how much it does not.
 .
 It traces kernels with BTF: x86-64 from 5.10 on, arm64 from 6.4 on. What
 needs no eBPF (skmem snapshot, decode, report) works on older ones.";

fn sums(data: &Files) -> String {
    let line = |(path, file): (&String, &super::files::File)| {
        format!("{}  {path}\n", hex(&Md5::digest(&file.bytes)))
    };
    data.iter().map(line).collect()
}
