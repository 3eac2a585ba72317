//! Which Debian mirror this machine uses: read from apt's own sources, so that no host is named
//! here.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

/// Debian's keyring, as its package `debian-archive-keyring` installs it.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Debian's releases by the names that apt's sources give them.
const SUITES: &[&str] = &[
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// The archives of one mirror, and what their signatures are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archives {
    /// The URI of the main archive.
    main: String,
    /// The URI of the security archive.
    security: Option<String>,
    /// None: the keys that apt trusts anyway.
    pub(crate) keyring: Option<PathBuf>,
}

impl Archives {
    /// The archive that carries `suite`.
    pub(crate) fn uri_of(&self, suite: &str) -> Result<&str> {
        if !suite.ends_with("-security") {
            return Ok(&self.main);
        }
        match &self.security {
            Some(uri) => Ok(uri),
            None => bail!(
                "{suite} cannot be reached: apt's sources on this machine name no Debian security archive: add it, or \
                 give `--kernel PATH --modules DIR`"
            ),
        }
    }
}

/// Reads this machine's apt sources.
pub(crate) fn of_this_machine() -> Result<Archives> {
    let mut entries = Vec::new();
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(directory) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<PathBuf> = directory.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    for file in files {
        let extension = file.extension().and_then(|extension| extension.to_str());
        if let (Some(extension @ ("list" | "sources")), Ok(text)) =
            (extension, fs::read_to_string(&file))
        {
            entries.extend(if extension == "list" {
                parse_list(&text)
            } else {
                parse_deb822(&text)
            });
        }
    }
    let Some(mut archives) = choose(&entries) else {
        bail!(
            "apt's sources on this machine name no Debian mirror (another distribution?), and the kernels come from \
             Debian: give `--kernel PATH --modules DIR`"
        );
    };
    if archives.keyring.is_none() && Path::new(KEYRING).exists() {
        archives.keyring = Some(KEYRING.into());
    }
    Ok(archives)
}

/// One source of binary packages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Entry {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    keyring: Option<PathBuf>,
}

fn choose(entries: &[Entry]) -> Option<Archives> {
    let debian = |entry: &&Entry| entry.components.iter().any(|component| component == "main");
    let has =
        |entry: &Entry, wanted: fn(&str) -> bool| entry.suites.iter().any(|suite| wanted(suite));
    let main = entries
        .iter()
        .filter(debian)
        .find(|entry| has(entry, is_main))?;
    let security = entries
        .iter()
        .filter(debian)
        .find(|entry| has(entry, is_security));
    Some(Archives {
        main: main.uri.clone(),
        security: security.map(|entry| entry.uri.clone()),
        keyring: main.keyring.clone(),
    })
}

fn is_main(suite: &str) -> bool {
    SUITES.contains(&suite)
}

fn is_security(suite: &str) -> bool {
    suite
        .strip_suffix("-security")
        .or_else(|| suite.strip_suffix("/updates"))
        .is_some_and(is_main)
}

/// The one-line format: `deb [signed-by=FILE] URI SUITE COMPONENT…`.
fn parse_list(text: &str) -> Vec<Entry> {
    let parse = |line: &str| {
        let line = line.split('#').next()?.trim();
        let rest = line.strip_prefix("deb")?;
        let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        Some(Entry {
            uri: words.next()?,
            suites: vec![words.next()?],
            components: words.collect(),
            keyring: options
                .split_whitespace()
                .find_map(|option| option.strip_prefix("signed-by="))
                .and_then(keyring_file),
        })
    };
    text.lines().filter_map(parse).collect()
}

/// The deb822 format: stanzas of `Field: value`, where lines that begin with a blank continue a
/// field.
fn parse_deb822(text: &str) -> Vec<Entry> {
    text.split("\n\n").filter_map(parse_stanza).collect()
}

fn parse_stanza(stanza: &str) -> Option<Entry> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in stanza.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            let (_, value) = fields.last_mut()?;
            value.push('\n');
            value.push_str(line.trim());
        } else if let Some((field, value)) = line.split_once(':') {
            fields.push((field.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let words = |wanted: &str| -> Vec<String> {
        let field = fields.iter().find(|(field, _)| field == wanted);
        field
            .map(|(_, value)| value.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default()
    };
    let off = words("enabled")
        .first()
        .is_some_and(|value| ["no", "false", "0", "off"].contains(&value.as_str()));
    if off || !words("types").iter().any(|kind| kind == "deb") {
        return None;
    }
    let keyring = fields
        .iter()
        .find(|(field, _)| field == "signed-by")
        .and_then(|(_, value)| keyring_file(value));
    Some(Entry {
        uri: words("uris").into_iter().next()?,
        suites: words("suites"),
        components: words("components"),
        keyring,
    })
}

/// `Signed-By` may also hold a fingerprint or a whole key; only a file can be handed on.
fn keyring_file(value: &str) -> Option<PathBuf> {
    value.starts_with('/').then(|| PathBuf::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_line_format() {
        let text = "# a comment\n\
                    deb-src http://mirror.example/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # why\n\
                    deb http://mirror.example/debian-security bookworm-security main\n";
        let archives = choose(&parse_list(text)).unwrap();
        assert_eq!(
            archives.uri_of("trixie-backports").unwrap(),
            "http://mirror.example/debian"
        );
        assert_eq!(
            archives.uri_of("bullseye-security").unwrap(),
            "http://mirror.example/debian-security"
        );
        assert_eq!(archives.keyring.as_deref(), Some(Path::new("/k.gpg")));
    }

    #[test]
    fn the_deb822_format_with_comments_continuations_and_switched_off_stanzas() {
        let text = "Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: sid\nComponents: main\n\n\
                    Types: deb deb-src\n# a comment\nURIs: http://mirror.example/debian http://second.example/debian\n\
                    Suites: trixie\n trixie-updates\nComponents: main\nSigned-By: /usr/share/keyrings/d.gpg\n\n\
                    Types: deb\nURIs: http://mirror.example/security\nSuites: trixie-security\nComponents: main\n";
        let archives = choose(&parse_deb822(text)).unwrap();
        assert_eq!(
            archives,
            Archives {
                main: "http://mirror.example/debian".into(),
                security: Some("http://mirror.example/security".into()),
                keyring: Some("/usr/share/keyrings/d.gpg".into()),
            }
        );
    }

    #[test]
    fn a_key_inside_the_source_is_no_file() {
        let text = "Types: deb\nURIs: http://m.example/debian\nSuites: sid\nComponents: main\nSigned-By:\n \
                    -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS\n";
        assert_eq!(choose(&parse_deb822(text)).unwrap().keyring, None);
    }

    #[test]
    fn other_distributions_are_not_debian() {
        assert_eq!(
            choose(&parse_list(
                "deb http://mirror.example/ubuntu noble main universe\n"
            )),
            None
        );
        assert_eq!(
            choose(&parse_list(
                "deb http://vendor.example/apt stable contrib\n"
            )),
            None
        );
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn a_mirror_without_security_archive_says_so() {
        let archives = choose(&parse_list("deb http://mirror.example/debian sid main\n")).unwrap();
        let failure = archives
            .uri_of("bullseye-security")
            .unwrap_err()
            .to_string();
        assert!(
            failure.contains("bullseye-security") && failure.contains("--kernel PATH"),
            "{failure}"
        );
    }
}
