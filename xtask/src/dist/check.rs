//! `cargo xtask dist --check`: what can be said of packages only by those who install, run and
//! judge them.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use skmem_vm_init::Job;

use super::{
    binary, deb,
    release::{Release, git},
    rpm, source,
};
use crate::{
    arch::Arch,
    kernels::Wanted,
    paths, process,
    progress::Step,
    rust,
    setup::{JUDGES, Setup},
    vm::{Extra, MachineOptions, Vm, run_here},
};

/// Debian's releases that the package is installed on, each with its kernel.
const RELEASES: &[(&str, &str)] = &[("bookworm", "6.1"), ("trixie", "6.12")];

/// Seconds that a guest may take.
const LIMIT: u64 = 900;

/// Checks what [`super::write`] made; 1 when a part of it failed, and each is named.
pub(super) fn run(
    setup: &Setup,
    arch: &'static Arch,
    release: &Release,
    filter: &str,
) -> Result<u8> {
    let directory = super::directory();
    let deb = directory.join(deb::name(arch, release));
    let mut failed = 0;
    let mut check = |what: &str, check: &dyn Fn() -> Result<()>| {
        process::check_interrupted()?;
        if !what.contains(filter) {
            return anyhow::Ok(());
        }
        match check() {
            Ok(()) => eprintln!("check: {what}: good"),
            Err(failure) => {
                failed += 1;
                eprintln!("check: {what}: FAILED: {failure:#}");
            }
        }
        Ok(())
    };
    check("lintian on the .deb", &|| {
        lintian(&setup.packages(&JUDGES)?, &deb)
    })?;
    check("rpm on the .rpm", &|| {
        let rpm = directory.join(rpm::name(arch, release));
        let binary = unpacked_binary(&directory, arch, release)?;
        unpacked_rpm(&setup.packages(&JUDGES)?, &rpm, &binary)
    })?;
    for (suite, kernel) in RELEASES {
        let what = format!("the .deb installed, run and removed on {suite}, kernel {kernel}");
        check(&what, &|| {
            installed(setup, arch, release, suite, kernel, &deb)
        })?;
    }
    check("the image, run by crun", &|| {
        let name = format!("skmem-{}-linux-{}-oci.tar", release.version, arch.name);
        contained(setup, arch, release, &directory.join(name))
    })?;
    check("the source, built without a network", &|| {
        built_offline(&directory.join(source::name(release)))
    })?;
    check("a build in another directory", &|| {
        built_again(arch, release, &directory)
    })?;
    Ok(u8::from(failed > 0))
}

/// The binary as it is in the archive.
fn unpacked_binary(directory: &Path, arch: &Arch, release: &Release) -> Result<Vec<u8>> {
    let base = format!("skmem-{}-linux-{}", release.version, arch.name);
    let into = tempfile::tempdir_in(directory).context("cannot create a directory")?;
    untar(&directory.join(format!("{base}.tar.xz")), into.path())?;
    super::files::read(&into.path().join(base).join("bin/skmem"))
}

fn untar(archive: &Path, into: &Path) -> Result<()> {
    let mut command = Command::new("tar");
    command.arg("-C").arg(into).arg("-xf").arg(archive);
    process::succeed(&mut command, None).map(drop)
}

/// Makes a directory of unpacked packages one that can be a root, and runs a command in it, as root
/// or in a user namespace.
fn judge(root: &Path, script: &str) -> Result<process::Captured> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        let link = root.join(name);
        if !link.exists() {
            symlink(format!("usr/{name}"), &link)
                .with_context(|| format!("cannot create {}", link.display()))?;
        }
    }
    for name in ["dev", "tmp", "judged", "proc"] {
        let directory = root.join(name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let null = root.join("dev/null");
    if !null.exists() {
        fs::write(&null, "").with_context(|| format!("cannot create {}", null.display()))?;
    }
    let outer = "mount --bind /dev/null \"$1/dev/null\" && mount -t proc none \"$1/proc\" && exec chroot \"$1\" /bin/sh -c \"$2\"";
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
        .args(["--mount", "--pid", "--fork", "sh", "-c", outer, "sh"])
        .arg(root)
        .arg(script)
        .env_clear()
        .envs([
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LC_ALL", "C.UTF-8"),
            ("HOME", "/tmp"),
        ]);
    process::capture(&mut command, None)
}

/// Puts a file where the judges see it.
fn handed(root: &Path, file: &Path) -> Result<String> {
    let name = file
        .file_name()
        .context("a file without a name")?
        .to_string_lossy()
        .into_owned();
    let directory = root.join("judged");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    fs::copy(file, directory.join(&name))
        .with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(format!("/judged/{name}"))
}

/// Debian's own judge: no errors, and no warnings that are not explained.
fn lintian(judges: &Path, deb: &Path) -> Result<()> {
    let file = handed(judges, deb)?;
    let said = judge(
        judges,
        &format!("lintian --allow-root --profile debian --fail-on error,warning {file}"),
    )?;
    ensure!(said.status.success(), "\n{}", said.tail());
    Ok(())
}

/// The header can be read, and the payload holds the same binary.
fn unpacked_rpm(judges: &Path, rpm: &Path, binary: &[u8]) -> Result<()> {
    let file = handed(judges, rpm)?;
    let script = format!(
        "set -e; cd /judged; rpm -K --nosignature {file}; rpm -qp --nosignature --qf '%{{NAME}} %{{VERSION}}\\n' {file}; \
         rpm -qlp --nosignature {file}; rm -rf usr; rpm2archive -n - < {file} | tar -xf - ./usr/bin/skmem"
    );
    let said = judge(judges, &script)?;
    ensure!(said.status.success(), "\n{}", said.tail());
    ensure!(
        said.stdout.contains("/usr/bin/skmem"),
        "it lists no /usr/bin/skmem:\n{}",
        said.tail()
    );
    let unpacked = super::files::read(&judges.join("judged/usr/bin/skmem"))?;
    ensure!(unpacked == binary, "the binary in it is another one");
    Ok(())
}

/// What the guests run: $1 is how skmem is called.
const DEMO: &str = "\
    $1 --version | tee /tmp/version\n\
    grep -q 'commit [0-9a-f]' /tmp/version\n\
    grep -q '5.10' /tmp/version\n\
    $1 demo --json > /tmp/demo.json\n\
    grep -q '\"ledger_closes\": *true' /tmp/demo.json\n";

/// dpkg installs the package, it runs, dpkg removes it, which keeps recordings, and purges it,
/// which leaves nothing.
fn installed(
    setup: &Setup,
    arch: &'static Arch,
    release: &Release,
    suite: &str,
    kernel: &str,
    deb: &Path,
) -> Result<()> {
    let script = format!(
        "set -e\n\
         mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers /var/log\n\
         touch /var/lib/dpkg/status /var/lib/dpkg/available\n\
         files() {{ find / -xdev -path /proc -prune -o -path /sys -prune -o -path /tmp -prune -o -path /var/lib/dpkg -prune \
         -o -path /var/log -prune -o -path /out -prune -o -path /run -prune -o -print | sort; }}\n\
         mkdir -p /usr/lib /usr/share/man /usr/share/doc\n\
         touch /usr/share/man/other /usr/share/doc/other\n\
         files > /tmp/before\n\
         dpkg --install {IN_GUEST}\n\
         dpkg --audit\n\
         dpkg --verify skmem\n\
         set -- /usr/bin/skmem\n\
         {DEMO}\
         wants=/etc/systemd/system/multi-user.target.wants\n\
         mkdir -p /var/lib/skmem $wants; touch /var/lib/skmem/flight.skm; ln -s /nowhere $wants/skmem-flight.service\n\
         ln -s /nowhere $wants/skmem-serve.service\n\
         dpkg --remove skmem\n\
         test -e /var/lib/skmem/flight.skm\n\
         dpkg --purge skmem\n\
         rmdir -p $wants 2>/dev/null || true\n\
         files > /tmp/after\n\
         diff /tmp/before /tmp/after\n"
    );
    let packages = &["dpkg", "libc-bin", "tar", "diffutils"];
    guest(setup, arch, release, (suite, kernel), packages, deb, script)
}

/// Where a guest finds what is tried: its /tmp is another file system.
const IN_GUEST: &str = "/opt/skmem.package";

/// Runs a script in a guest; it fails with its own words.
fn guest(
    setup: &Setup,
    arch: &'static Arch,
    release: &Release,
    (suite, kernel): (&str, &str),
    packages: &[&str],
    file: &Path,
    script: String,
) -> Result<()> {
    let wanted = Wanted::usual(kernel, arch);
    // The one on the guest's PATH is not the one that is tried, and any will do.
    let binary = binary::build(
        paths::root(),
        arch,
        release,
        &super::directory().join("build"),
    )?;
    let options = MachineOptions::for_tests(&wanted, LIMIT)
        .with(suite, packages)
        .running(&binary.whole);
    let extra = Extra {
        guest: IN_GUEST.to_owned(),
        source: file.to_owned(),
    };
    let vm = Vm::prepare(setup, &options, &[extra])?;
    let job = Job {
        argv: vec!["sh".into(), "-c".into(), script],
        env: Vec::new(),
        send_out: false,
        terminal: None,
    };
    let done = run_here(&vm, &job, None)?;
    ensure!(done.status == 0, "exit status {}", done.status);
    Ok(())
}

/// crun runs the image with the rights that tracing wants.
fn contained(setup: &Setup, arch: &'static Arch, release: &Release, image: &Path) -> Result<()> {
    let script = format!(
        "set -e\n\
         mkdir -p /tmp/image /tmp/bundle/rootfs /sys/fs/cgroup\n\
         mount -t tmpfs none /tmp/bundle; mkdir -p /tmp/bundle/rootfs\n\
         tar -C /tmp/image -xf {IN_GUEST}\n\
         blob() {{ grep -o 'sha256:[0-9a-f]*' /tmp/image/$1 | sed -n \"$2s|sha256:||p\"; }}\n\
         manifest=blobs/sha256/$(blob index.json 1)\n\
         config=/tmp/image/blobs/sha256/$(blob $manifest 1)\n\
         layer=/tmp/image/blobs/sha256/$(blob $manifest 2)\n\
         grep -q '\"Entrypoint\":\\[\"/usr/bin/skmem\"\\]' $config\n\
         tar -C /tmp/bundle/rootfs -xzf $layer\n\
         run() {{ printf '%s' '{CONTAINER}' | sed \"s|ARGS|$1|\" > /tmp/bundle/config.json; \
         crun --cgroup-manager=disabled run --no-pivot --bundle /tmp/bundle c; }}\n\
         skmem() {{ case $1 in --version) run '\"--version\"' ;; *) run '\"demo\",\"--json\"' ;; esac; }}\n\
         set -- skmem\n\
         {DEMO}"
    );
    let (suite, kernel) = RELEASES[RELEASES.len() - 1];
    guest(
        setup,
        arch,
        release,
        (suite, kernel),
        &["crun", "sed", "grep"],
        image,
        script,
    )
}

/// The configuration with which a runtime runs an image with all rights, as `podman run
/// --privileged --net host --pid host` does.
const CONTAINER: &str = include_str!("../../../packaging/container.json");

/// The archive of the source builds by cargo alone: no rustup, no bpf-linker, no network, an empty
/// home.
fn built_offline(source: &Path) -> Result<()> {
    let step = Step::start("the source", "building it without a network (minutes)");
    let directory =
        tempfile::tempdir_in(super::directory()).context("cannot create a directory")?;
    untar(source, directory.path())?;
    let root = fs::read_dir(directory.path())
        .context("cannot list the source")?
        .flatten()
        .map(|entry| entry.path())
        .next()
        .context("the archive is empty")?;
    let sysroot = process::succeed(rust::run("rustc").args(["--print", "sysroot"]), None)?;
    let bin = Path::new(sysroot.trim()).join("bin");
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
        .arg("--net")
        .arg(bin.join("cargo"))
        .args([
            "build",
            "--offline",
            "--frozen",
            "-p",
            "skmem-user",
            "--bin",
            "skmem",
        ])
        .current_dir(&root)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("HOME", directory.path())
        .env("CARGO_HOME", directory.path().join("home"));
    process::succeed(&mut command, Some(&step))?;
    let mut version = Command::new(root.join("target/debug/skmem"));
    let said = process::succeed(version.arg("--version"), None)?;
    ensure!(
        said.contains("commit "),
        "it does not name its commit: {said}"
    );
    step.done("built");
    Ok(())
}

/// A second checkout, elsewhere, gives the same bytes.
fn built_again(arch: &'static Arch, release: &Release, directory: &Path) -> Result<()> {
    let elsewhere = tempfile::tempdir().context("cannot create a directory")?;
    let root = elsewhere.path().join("another/skmem");
    let (from, to) = (
        paths::root().display().to_string(),
        root.display().to_string(),
    );
    git(&["clone", "--quiet", "--no-hardlinks", &from, &to])?;
    symlink(paths::tools(), root.join(".tools")).context("cannot link .tools")?;
    let target =
        |path: PathBuf| binary::build(&path, arch, release, &path.join("target/dist/build"));
    let (first, second) = (
        binary::build(paths::root(), arch, release, &directory.join("build"))?,
        target(root)?,
    );
    ensure!(first.object == second.object, "the eBPF programs differ");
    ensure!(first.stripped == second.stripped, "the binaries differ");
    ensure!(first.debug == second.debug, "the debug information differs");
    Ok(())
}
