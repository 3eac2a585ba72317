//! A port as people write it: a number, or a service's name as `ss` without `-n` prints it.

use std::{fmt, fs, str::FromStr};

/// A port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// Its number.
    Number(u16),
    /// A service (`/etc/services`), whose number is not known here.
    Service(String),
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse::<i64>() {
            let port = u16::try_from(number).ok().filter(|port| *port != 0);
            return port
                .map(Self::Number)
                .ok_or_else(|| "ports are 1 to 65535".to_owned());
        }
        let is_name = text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.+/*".contains(&b));
        if !is_name {
            return Err(format!(
                "{text:?} is not a port: give a number, or a service such as https"
            ));
        }
        Ok(Self::Service(text.to_owned()))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Service(name) => f.write_str(name),
        }
    }
}

impl Port {
    /// Its number, where it is known.
    #[must_use]
    pub fn number(&self) -> Option<u16> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Service(_) => None,
        }
    }

    /// Whether it is the same: names are compared without regard to case.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Service(a), Self::Service(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a == b,
        }
    }

    /// Looks a service up in this machine's `/etc/services`; one that is not there stays a name.
    #[must_use]
    pub fn looked_up(self) -> Self {
        let Self::Service(name) = &self else {
            return self;
        };
        let services = fs::read_to_string("/etc/services").unwrap_or_default();
        number_of(&services, name).map_or(self, Self::Number)
    }
}

/// The TCP port of a service in a text such as `/etc/services`: `https 443/tcp alias # comment`.
fn number_of(services: &str, name: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, port) = (words.next()?, words.next()?);
        let number = port.strip_suffix("/tcp")?;
        let named = std::iter::once(first)
            .chain(words)
            .any(|word| word.eq_ignore_ascii_case(name));
        named.then(|| number.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_or_services() {
        assert_eq!("443".parse(), Ok(Port::Number(443)));
        assert_eq!("https".parse(), Ok(Port::Service("https".into())));
        for bad in ["", "0", "65536", "-1", "https,ssh", ":443", "9999999999999"] {
            assert!(bad.parse::<Port>().is_err(), "{bad}");
        }
        let services = "# x\nhttps\t443/udp\nhttps  443/tcp  www-s # TLS\nssh 22/tcp\n";
        assert_eq!(number_of(services, "HTTPS"), Some(443));
        assert_eq!(number_of(services, "www-s"), Some(443));
        assert_eq!(number_of(services, "TLS"), None);
        let name = |text: &str| Port::Service(text.into());
        assert!(name("SSH").is(&name("ssh")) && !name("ssh").is(&Port::Number(22)));
    }
}
