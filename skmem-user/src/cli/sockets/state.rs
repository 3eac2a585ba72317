//! In which state sockets are: `--state`.

use clap::Args;

use crate::diag::TcpState;

/// In which state.
#[derive(Debug, Clone, Default, Args)]
pub struct StateArgs {
    /// Only sockets in this state, as ss calls it: established, listen, close-wait, … (several:
    /// a,b)
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state, help_heading = "Which sockets")]
    pub state: Vec<TcpState>,
}

/// A state, as `ss` and others write it.
fn state(text: &str) -> Result<TcpState, String> {
    let plain = text.to_lowercase().replace(['-', '_'], "");
    Ok(match plain.as_str() {
        "established" | "estab" => TcpState::Established,
        "synsent" => TcpState::SynSent,
        "synrecv" => TcpState::SynRecv,
        "finwait1" => TcpState::FinWait1,
        "finwait2" => TcpState::FinWait2,
        "timewait" => TcpState::TimeWait,
        "close" | "closed" | "unconn" | "unconnected" => TcpState::Close,
        "closewait" => TcpState::CloseWait,
        "lastack" => TcpState::LastAck,
        "listen" | "listening" => TcpState::Listen,
        "closing" => TcpState::Closing,
        _ => {
            return Err(format!(
                "{text:?} is not a state: established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, \
                 close-wait, last-ack, closing, closed, listen"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_known_by_all_their_names() {
        for name in ["ESTAB", "established", "Established"] {
            assert_eq!(state(name), Ok(TcpState::Established));
        }
        assert_eq!(state("fin_wait1"), state("FIN-WAIT-1"));
        assert_eq!(state("finwait1"), state("FIN-WAIT-1"));
        assert!(state("").is_err());
    }
}
