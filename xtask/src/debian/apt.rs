//! apt's own client with a private set of directories, one for each suite.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow, bail};

use super::sources;
use crate::{
    arch::Arch,
    paths,
    process::{self, Captured},
    progress::Step,
};

/// apt-get and apt-cache over one suite of Debian.
pub(crate) struct Apt {
    suite: String,
    directory: PathBuf,
    keyring: String,
}

/// A package that can be had, as the signed lists describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The package's name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// What machines it is for, as Debian has it; `all`: for all of them.
    pub(crate) arch: String,
    /// The size of the `.deb` in bytes.
    pub(crate) size: u64,
    /// The SHA-256 of the `.deb`, in hexadecimal.
    pub(crate) sha256: String,
}

impl Apt {
    /// Sets the directories up and brings the suite's lists of packages for `arch` up to date.
    pub(crate) fn update(suite: &str, arch: &Arch) -> Result<Self> {
        let archives = sources::of_this_machine()?;
        let uri = archives.uri_of(suite)?;
        let arch = arch.debian;
        let directory = paths::tools().join("apt").join(format!("{suite}_{arch}"));
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = directory.join(part);
            fs::create_dir_all(&part)
                .with_context(|| format!("cannot create {}", part.display()))?;
        }
        let keyring = archives
            .keyring
            .as_ref()
            .map(|file| file.display().to_string());
        let signed_by = keyring
            .as_ref()
            .map(|file| format!(" signed-by={file}"))
            .unwrap_or_default();
        write(
            &directory.join("sources.list"),
            &format!("deb [arch={arch}{signed_by}] {uri} {suite} main\n"),
        )?;
        // An empty status file: nothing counts as installed, so that a closure of dependencies is
        // complete.
        write(&directory.join("status"), "")?;
        write(
            &directory.join("apt.conf"),
            &configuration(&directory, arch),
        )?;
        let apt = Self {
            suite: suite.to_owned(),
            directory,
            keyring: keyring.unwrap_or_else(|| "apt's trusted keys".to_owned()),
        };

        let step = Step::start(
            format!("package lists of {suite}, {arch}"),
            "fetching from this machine's Debian mirror",
        );
        let captured = process::capture(apt.get().arg("update"), Some(&step))?;
        if captured.status.success() {
            step.done("up to date");
            Ok(apt)
        } else {
            Err(apt.explain(&captured))
        }
    }

    /// The names of all packages that begin with `prefix`; some may exist in name only, see
    /// [`Self::candidate`].
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let mut command = self.command("apt-cache");
        let listed = process::succeed(command.arg("pkgnames").arg(prefix), None)?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// What the lists say of a package; None when there is no such package.
    pub(crate) fn candidate(&self, package: &str) -> Result<Option<Candidate>> {
        let mut command = self.command("apt-cache");
        command.args(["show", "--no-all-versions", package]);
        let captured = process::capture(&mut command, None)?;
        Ok(captured
            .status
            .success()
            .then(|| parse_candidate(&captured.stdout))
            .flatten())
    }

    /// Fetches one package into `directory`. apt checks it against the signed lists.
    pub(crate) fn download(
        &self,
        candidate: &Candidate,
        directory: &Path,
        step: &Step,
    ) -> Result<()> {
        let mut command = self.get();
        command
            .arg("download")
            .arg(format!("{}={}", candidate.name, candidate.version))
            .current_dir(directory);
        self.fetch(&mut command, step)
    }

    /// Fetches packages and all they depend on into `directory`.
    pub(crate) fn download_closure(
        &self,
        packages: &[String],
        directory: &Path,
        step: &Step,
    ) -> Result<()> {
        let partial = directory.join("partial");
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot create {}", partial.display()))?;
        let mut command = self.get();
        command
            .arg("-o")
            .arg(format!("Dir::Cache::Archives={}", directory.display()))
            .args([
                "install",
                "--yes",
                "--no-install-recommends",
                "--download-only",
                "--",
            ])
            .args(packages);
        self.fetch(&mut command, step)
    }

    fn fetch(&self, command: &mut Command, step: &Step) -> Result<()> {
        let captured = process::capture(command, Some(step))?;
        if captured.status.success() {
            Ok(())
        } else {
            Err(self.explain(&captured))
        }
    }

    fn get(&self) -> Command {
        let mut command = self.command("apt-get");
        command.arg("--quiet=2");
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // `-c` and not APT_CONFIG: that one is read first, and the machine's own settings (its
        // proxy, but also its hooks) would come after it.
        command
            .arg("-c")
            .arg(self.directory.join("apt.conf"))
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// One line for what apt prints in several.
    fn explain(&self, captured: &Captured) -> anyhow::Error {
        let suite = &self.suite;
        let output = &captured.stderr;
        let has = |words: &[&str]| words.iter().any(|word| output.contains(word));
        if has(&["have a Release file"]) {
            anyhow!("{suite} is not on this machine's Debian mirror (any more)")
        } else if has(&["404  Not Found"]) {
            anyhow!(
                "{suite} lists a package that its mirror does not have: {}",
                first_error(output)
            )
        } else if has(SIGNATURE) {
            let keyring = &self.keyring;
            anyhow!(
                "the signature of {suite} cannot be verified with {keyring}: update debian-archive-keyring"
            )
        } else if has(&["No space left on device"]) {
            let directory = paths::shown(&self.directory);
            anyhow!("cannot write to {directory}: No space left on device")
        } else if has(&["Hash Sum mismatch", "unexpected size"]) {
            anyhow!(
                "what the mirror sends of {suite} fails its checksum: try again later, or with another mirror"
            )
        } else if has(&["Unable to locate package", "no installation candidate"]) {
            anyhow!("{suite} does not have it: {}", first_error(output))
        } else if has(NETWORK) {
            Unreachable(format!(
                "the Debian mirror cannot be reached: {}",
                first_error(output)
            ))
            .into()
        } else {
            anyhow!("apt cannot read {suite}: {}", first_error(output))
        }
    }
}

/// Words of apt about signatures.
const SIGNATURE: &[&str] = &[
    "NO_PUBKEY",
    "is not signed",
    "BADSIG",
    "EXPKEYSIG",
    "signatures were invalid",
];
/// Words of apt about the network.
const NETWORK: &[&str] = &[
    "Failed to fetch",
    "Could not resolve",
    "Could not connect",
    "Unable to connect",
];

/// There is no way to the mirror: asking it for something else is no use.
#[derive(Debug)]
pub(crate) struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

fn first_error(output: &str) -> &str {
    let errors = || output.lines().filter(|line| line.starts_with("E:"));
    let line = errors()
        .next()
        .or_else(|| output.lines().last())
        .unwrap_or("it said nothing");
    line.trim_start_matches("E:").trim()
}

fn configuration(directory: &Path, arch: &str) -> String {
    let directory = directory.display();
    format!(
        r#"Dir::Etc::SourceList "{directory}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "{directory}";
Dir::State::Lists "{directory}/lists";
Dir::State::Status "{directory}/status";
Dir::Cache "{directory}/cache";
Dir::Cache::Archives "{directory}/cache/archives";
APT::Architecture "{arch}";
#clear APT::Architectures;
APT::Architectures {{ "{arch}"; }};
// What another user would download could not write to a checkout in somebody's home.
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
// A release that gets no more updates keeps its signature but not its date. What runs from it is
// a guest thrown away.
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "1";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-hidpi::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
// The machine's own hooks have no business here.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
"#
    )
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn parse_candidate(shown: &str) -> Option<Candidate> {
    let field = |wanted: &str| {
        shown
            .lines()
            .find_map(|line| line.strip_prefix(wanted)?.strip_prefix(": "))
            .map(str::to_owned)
    };
    Some(Candidate {
        name: field("Package")?,
        version: field("Version")?,
        arch: field("Architecture")?,
        size: field("Size")?.parse().ok()?,
        sha256: field("SHA256")?,
    })
}

/// Checks that apt and dpkg-deb are there, for a message better than "cannot run apt-get".
pub(crate) fn check_present() -> Result<()> {
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        if !crate::setup::is_on_path(program) {
            bail!(
                "this machine has no {program}, and the test kernels are Debian packages: give `--kernel PATH --modules \
                 DIR`, and install a static busybox"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_read_from_the_lists() {
        let shown = "Package: busybox-static\nSource: busybox (1:1.35.0-4)\nVersion: 1:1.35.0-4+b5\nArchitecture: arm64\nSize: 1006712\n\
                     SHA256: 00ff\nDescription-en: x\n Version: not this\n";
        let expected = Candidate {
            name: "busybox-static".into(),
            version: "1:1.35.0-4+b5".into(),
            arch: "arm64".into(),
            size: 1_006_712,
            sha256: "00ff".into(),
        };
        assert_eq!(parse_candidate(shown), Some(expected));
        assert_eq!(parse_candidate("Package: virtual\n"), None);
    }

    #[test]
    fn the_first_error_is_the_one_to_tell() {
        assert_eq!(first_error("W: one\nE: two\nE: three\n"), "two");
        assert_eq!(first_error("only this\n"), "only this");
        assert_eq!(first_error(""), "it said nothing");
    }
}
