//! The package of RPM's family, by cargo-generate-rpm: the format has a header of its own that
//! others know better.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{files::Files, release::Release};
use crate::{arch::Arch, process, rust};

/// The file's name.
pub(super) fn name(arch: &Arch, release: &Release) -> String {
    format!("skmem-{}-1.{}.rpm", release.version, arch.name)
}

/// What rpm runs at installing and removing.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "post_install_script",
        include_str!("../../../packaging/rpm/post"),
    ),
    (
        "pre_uninstall_script",
        include_str!("../../../packaging/rpm/preun"),
    ),
    (
        "post_uninstall_script",
        include_str!("../../../packaging/rpm/postun"),
    ),
];

/// Makes the package; the files of the tree are laid beside it for that.
pub(super) fn write(
    program: &Path,
    arch: &Arch,
    release: &Release,
    tree: &Files,
    to: &Path,
) -> Result<()> {
    let directory = to.parent().context("no directory to write in")?;
    let root = directory.join("tree");
    let mut settings = String::new();
    for (name, script) in SCRIPTS {
        settings.push_str(&format!("{name} = {script:?}\n"));
    }
    for (path, file) in tree.iter() {
        let source = root.join(path);
        let parent = source.parent().context("a file without a directory")?;
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&source, &file.bytes)
            .with_context(|| format!("cannot write {}", source.display()))?;
        settings.push_str(&format!(
            "[[assets]]\nsource = {:?}\ndest = \"/usr/{path}\"\nmode = \"{:o}\"\ndoc = {}\n",
            source.display().to_string(),
            file.mode | 0o100_000,
            path.starts_with("share/doc/") || path.starts_with("share/man/"),
        ));
    }
    let file = directory.join("rpm.toml");
    fs::write(&file, settings).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = rust::run(&program.to_string_lossy());
    command
        .args(["--package", "skmem-user", "--auto-req", "disabled"])
        .args(["--payload-compress", "xz", "--arch", arch.name])
        .args(["--source-date", &release.time.to_string()])
        .arg("--metadata-overwrite")
        .arg(&file)
        .arg("--output")
        .arg(to);
    process::succeed(&mut command, None)
        .map(drop)
        .context("the .rpm cannot be made")
}
