//! What makes a black box be written.

use std::{str::FromStr, time::Duration};

use super::session::Session;
use crate::{
    model::{record::Record, replay::Replay},
    quantity::{self, parse_time},
};

/// A condition on any traced socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// `wmem_queued - sndbuf` has gone beyond this, in bytes.
    Excess(i32),
    /// A sender has slept for this time.
    Blocked(Duration),
}

impl FromStr for Trigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a condition: give excess>SIZE or blocked>TIME");
        let (what, limit) = text.split_once('>').ok_or_else(wrong)?;
        let limit = limit.trim();
        match what.trim() {
            "excess" => quantity::bytes(limit)
                .and_then(|n| i32::try_from(n).ok())
                .map(Self::Excess)
                .ok_or_else(|| format!("{limit:?} is not a size below 2G, such as 0, 64K or 1M")),
            "blocked" => match parse_time(limit) {
                Ok(time) if !time.is_zero() => Ok(Self::Blocked(time)),
                Ok(_) => Err("a sender that sleeps is blocked for longer than 0".into()),
                Err(e) => Err(e.to_string()),
            },
            _ => Err(wrong()),
        }
    }
}

impl Trigger {
    /// Whether it is found by replaying records.
    #[must_use]
    pub const fn replays(self) -> bool {
        matches!(self, Self::Excess(_))
    }

    /// Whether a record shows it; `replay` has taken it in.
    #[must_use]
    pub fn shown_by(self, record: &Record, replay: &Replay) -> bool {
        let (Self::Excess(limit), Record::Event(event)) = (self, record) else {
            return false;
        };
        let socket = replay.socket(event.socket);
        socket.is_some_and(|s| s.ledger.worst_excess > limit)
    }

    /// Whether the accounts show it. To be asked often.
    #[must_use]
    pub fn shown_in(self, session: &Session) -> bool {
        match self {
            Self::Excess(_) => false,
            Self::Blocked(time) => session.was_blocked_for(time),
        }
    }
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Excess(n) => write!(f, "excess>{n}"),
            Self::Blocked(time) => write!(f, "blocked>{time:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let of = |text: &str| text.parse::<Trigger>();
        assert_eq!(of("excess>64K"), Ok(Trigger::Excess(64 << 10)));
        assert_eq!(of("excess > 0"), Ok(Trigger::Excess(0)));
        let time = Duration::from_millis(100);
        assert_eq!(of("blocked>100ms"), Ok(Trigger::Blocked(time)));
        for bad in [
            "",
            "excess",
            "excess>",
            "excess>x",
            "excess>4G",
            "blocked>0s",
            "blocked>64K",
            "x>1",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
