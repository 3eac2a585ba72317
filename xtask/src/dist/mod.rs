//! `cargo xtask dist`: what is given away, in `target/dist/`: a static binary with its documents as
//! a tar.xz, as packages of Debian and of RPM's family and as a container image; its debug
//! information; the source with all it is built from.
//!
//! One commit is to give the same bytes on every machine: files carry the commit's time and root's
//! name and are sorted, no path of this machine is in them, and nothing is linked by a program that
//! the pinned toolchain does not bring along.

mod archive;
mod binary;
mod check;
mod deb;
mod files;
mod image;
mod metadata;
mod notices;
mod release;
mod rpm;
mod sbom;
mod source;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use binary::Binary;
use clap::Args;
use files::Files;
use metadata::Metadata;
use release::Release;
use sha2::{Digest, Sha256};

use crate::{arch::Arch, debian::hex, paths, progress::Step, setup::Setup};

/// Options of `cargo xtask dist`.
#[derive(Debug, Args)]
#[command(
    after_help = "Writes into target/dist/, with VERSION and ARCH in the names:\n\
        \x20 skmem-VERSION-linux-ARCH.tar.xz         binary, man pages, completions, documents, unit; unpack it under a prefix\n\
        \x20 skmem-VERSION-linux-ARCH-debug.tar.xz   skmem.debug, for gdb and addr2line\n\
        \x20 skmem_VERSION_ARCH.deb, skmem-VERSION-1.ARCH.rpm\n\
        \x20 skmem-VERSION-linux-ARCH-oci.tar        an image layout; `podman load -i`, `skopeo copy oci-archive:`\n\
        \x20 skmem-VERSION-linux-ARCH.cdx.json       what is linked into the binary (CycloneDX)\n\
        \x20 skmem-VERSION-source.tar.xz             source, crates and eBPF programs: builds offline, by any Rust from 1.98 on\n\
        \x20 SHA256SUMS"
)]
pub(crate) struct Options {
    /// What machines it is for
    #[arg(long, value_name = "ARCH", default_value_t = Arch::host(), value_parser = Arch::parser())]
    arch: &'static Arch,
    /// Go on where files differ from the commit; the version then says so
    #[arg(long)]
    allow_dirty: bool,
    /// Also let lintian and rpm judge the packages, install, run and remove them in VMs, run the
    /// image, build the source without a network, and build once more in another directory and
    /// compare
    #[arg(long)]
    check: bool,
    /// With --check: only those checks whose names contain this
    #[arg(value_name = "FILTER", requires = "check")]
    filter: Option<String>,
}

/// Where everything goes.
fn directory() -> PathBuf {
    paths::root().join("target/dist")
}

/// Runs it.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    let release = Release::of_checkout(options.allow_dirty)?;
    let written = write(setup, options.arch, &release, &directory())?;
    let mut out = io::stdout();
    for path in written {
        writeln!(out, "{}", path.display()).context("cannot write to stdout")?;
    }
    if options.check {
        let filter = options.filter.as_deref().unwrap_or_default();
        return check::run(setup, options.arch, &release, filter);
    }
    Ok(0)
}

/// Makes everything, and says what it has written.
fn write(setup: &Setup, arch: &'static Arch, release: &Release, to: &Path) -> Result<Vec<PathBuf>> {
    setup.build_tools(arch)?;
    let rpm = setup.program(&crate::setup::CARGO_GENERATE_RPM)?;
    let binary = binary::build(paths::root(), arch, release, &to.join("build"))?;
    let metadata = Metadata::of(arch)?;
    let step = Step::start("packages", "collecting what belongs to the binary");
    let tree = files::tree(&binary, &metadata, release)?;
    let mut out = Out::new(to)?;
    out.all(arch, release, &binary, &tree, &metadata)?;
    out.add(&rpm::name(arch, release), |path| {
        rpm::write(&rpm, arch, release, &tree, path)
    })?;
    out.add(&source::name(release), |path| {
        source::write(release, &binary.object, path)
    })?;
    let written = out.sums()?;
    step.done("written");
    binary::report(&binary, &written)?;
    Ok(written)
}

/// What has been written so far.
struct Out {
    directory: PathBuf,
    names: Vec<String>,
}

impl Out {
    fn new(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Self {
            directory: directory.to_owned(),
            names: Vec::new(),
        })
    }

    /// A file that appears whole or not at all.
    fn add(&mut self, name: &str, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let incoming = tempfile::tempdir_in(&self.directory)
            .with_context(|| format!("cannot write to {}", self.directory.display()))?;
        let file = incoming.path().join(name);
        write(&file)?;
        let to = self.directory.join(name);
        fs::rename(&file, &to).with_context(|| format!("cannot write {}", to.display()))?;
        self.names.push(name.to_owned());
        Ok(())
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.add(name, |path| {
            fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
        })
    }

    /// Everything that is made here, without a program of others.
    fn all(
        &mut self,
        arch: &Arch,
        release: &Release,
        binary: &Binary,
        tree: &Files,
        metadata: &Metadata,
    ) -> Result<()> {
        let base = format!("skmem-{}-linux-{}", release.version, arch.name);
        let under = |files: &Files| archive::tar_xz(&files.under(&base), release.time);
        self.bytes(&format!("{base}.tar.xz"), &under(tree)?)?;
        let mut debug = Files::default();
        debug.add("skmem.debug", 0o644, binary.debug.clone());
        self.bytes(&format!("{base}-debug.tar.xz"), &under(&debug)?)?;
        self.bytes(
            &deb::name(arch, release),
            &deb::package(arch, release, tree)?,
        )?;
        self.bytes(
            &format!("{base}-oci.tar"),
            &image::archive(arch, release, tree)?,
        )?;
        self.bytes(&format!("{base}.cdx.json"), &sbom::text(metadata, release)?)
    }

    /// The sums of all that was written, as `sha256sum --check` reads them.
    fn sums(mut self) -> Result<Vec<PathBuf>> {
        self.names.sort();
        let mut text = String::new();
        for name in &self.names {
            let path = self.directory.join(name);
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            text.push_str(&format!("{}  {name}\n", hex(&Sha256::digest(&bytes))));
        }
        self.bytes("SHA256SUMS", text.as_bytes())?;
        let directory = self.directory;
        Ok(self.names.iter().map(|name| directory.join(name)).collect())
    }
}
