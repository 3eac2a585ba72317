//! `TCP_INFO`, length-checked: the structure grew with nearly every kernel.

use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};

use super::{DiagError, Result, get_bytes};

/// Large enough for every kernel's `struct tcp_info` up to 7.3.
const ROOM: usize = 320;
/// Up to and including `tcpi_total_retrans`: there since 2.6.
const BASE: usize = 104;

/// A TCP state, as printed by `ss`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum TcpState {
    /// `TCP_ESTABLISHED`
    Established,
    /// `TCP_SYN_SENT`
    SynSent,
    /// `TCP_SYN_RECV`
    SynRecv,
    /// `TCP_FIN_WAIT1`
    FinWait1,
    /// `TCP_FIN_WAIT2`
    FinWait2,
    /// `TCP_TIME_WAIT`
    TimeWait,
    /// `TCP_CLOSE`
    Close,
    /// `TCP_CLOSE_WAIT`
    CloseWait,
    /// `TCP_LAST_ACK`
    LastAck,
    /// `TCP_LISTEN`
    Listen,
    /// `TCP_CLOSING`
    Closing,
    /// `TCP_NEW_SYN_RECV` and whatever a later kernel adds
    Other,
}

impl From<u8> for TcpState {
    fn from(value: u8) -> Self {
        match value {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => Self::Other,
        }
    }
}

/// The part of `struct tcp_info` that says something about send memory (`tcp_get_info`, which takes
/// the socket lock: these values fit each other). `None` is a field that this kernel does not
/// report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpInfo {
    /// `tcpi_state`
    pub state: TcpState,
    /// `tcpi_ca_state`: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss.
    pub ca_state: u8,
    /// `tcpi_retransmits`: timeouts in a row.
    pub retransmits: u8,
    /// `tcpi_probes`: zero-window probes in a row.
    pub probes: u8,
    /// `tcpi_backoff`: doublings of the next timeout or zero-window probe; 0 until the first has
    /// come to nothing.
    pub backoff: u8,
    /// `tcpi_rto`, µs.
    pub rto_us: u32,
    /// `tcpi_snd_mss` = `mss_cache`, bytes of payload in a segment.
    pub snd_mss: u32,
    /// `tcpi_unacked` = `packets_out`, segments.
    pub unacked: u32,
    /// `tcpi_sacked`, segments.
    pub sacked: u32,
    /// `tcpi_lost`, segments.
    pub lost: u32,
    /// `tcpi_retrans` = `retrans_out`, segments retransmitted and in flight.
    pub retrans: u32,
    /// `tcpi_pmtu`, bytes.
    pub pmtu: u32,
    /// `tcpi_rtt`, µs.
    pub rtt_us: u32,
    /// `tcpi_snd_cwnd`, segments.
    pub snd_cwnd: u32,
    /// `tcpi_reordering`, segments.
    pub reordering: u32,
    /// `tcpi_total_retrans`, segments over the connection's life.
    pub total_retrans: u32,
    /// `tcpi_pacing_rate`, bytes a second; all ones when not paced (3.15).
    pub pacing_rate: Option<u64>,
    /// `tcpi_bytes_acked` (4.1).
    pub bytes_acked: Option<u64>,
    /// `tcpi_segs_out` (4.2).
    pub segs_out: Option<u32>,
    /// `tcpi_notsent_bytes` = `write_seq - snd_nxt` (4.6).
    pub notsent_bytes: Option<u32>,
    /// `tcpi_data_segs_out` (4.6).
    pub data_segs_out: Option<u32>,
    /// `tcpi_busy_time`: µs with data in the queues (4.10).
    pub busy_time_us: Option<u64>,
    /// `tcpi_rwnd_limited`: µs limited by the peer's window (4.10).
    pub rwnd_limited_us: Option<u64>,
    /// `tcpi_sndbuf_limited`: µs limited by the send buffer (4.10).
    pub sndbuf_limited_us: Option<u64>,
    /// `tcpi_delivered`, segments (4.18).
    pub delivered: Option<u32>,
    /// `tcpi_bytes_sent`, with retransmissions (4.19).
    pub bytes_sent: Option<u64>,
    /// `tcpi_bytes_retrans` (4.19).
    pub bytes_retrans: Option<u64>,
    /// `tcpi_snd_wnd`: the peer's window now, bytes after scaling (5.4).
    pub snd_wnd: Option<u32>,
    /// `tcpi_rcv_wnd`: our window, bytes (6.2).
    pub rcv_wnd: Option<u32>,
}

impl TcpInfo {
    /// Reads `TCP_INFO`.
    ///
    /// # Errors
    /// Where the kernel refuses, or answers otherwise than it should.
    pub fn read(fd: BorrowedFd<'_>) -> Result<Self> {
        let mut bytes = [0; ROOM];
        let got = get_bytes(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            "TCP_INFO",
            &mut bytes,
        )?;
        Self::parse(&bytes[..got])
    }

    /// Decodes what the kernel wrote; a field beyond its end is `None`.
    ///
    /// # Errors
    /// Where the kernel refuses, or answers otherwise than it should.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < BASE {
            return Err(DiagError::Short {
                what: "TCP_INFO",
                got: bytes.len(),
                need: BASE,
            });
        }
        // Within BASE, hence always there.
        let base = |at| word(bytes, at).unwrap_or_default();
        Ok(Self {
            state: bytes[0].into(),
            ca_state: bytes[1],
            retransmits: bytes[2],
            probes: bytes[3],
            backoff: bytes[4],
            rto_us: base(8),
            snd_mss: base(16),
            unacked: base(24),
            sacked: base(28),
            lost: base(32),
            retrans: base(36),
            pmtu: base(60),
            rtt_us: base(68),
            snd_cwnd: base(80),
            reordering: base(88),
            total_retrans: base(100),
            pacing_rate: double(bytes, 104),
            bytes_acked: double(bytes, 120),
            segs_out: word(bytes, 136),
            notsent_bytes: word(bytes, 144),
            data_segs_out: word(bytes, 156),
            busy_time_us: double(bytes, 168),
            rwnd_limited_us: double(bytes, 176),
            sndbuf_limited_us: double(bytes, 184),
            delivered: word(bytes, 192),
            bytes_sent: double(bytes, 200),
            bytes_retrans: double(bytes, 208),
            snd_wnd: word(bytes, 228),
            rcv_wnd: word(bytes, 232),
        })
    }

    /// Whether the peer's window holds back all that is left, and no zero-window probe has found it
    /// shut since: the first one takes what is left of that window with it
    /// (`tcp_write_wakeup`).
    #[must_use]
    pub fn awaits_probe(&self) -> bool {
        let unsent = self.notsent_bytes.is_some_and(|bytes| bytes > 0);
        self.state != TcpState::Close && unsent && self.unacked == 0 && self.backoff == 0
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(field.try_into().ok()?))
}

fn double(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at + 8)?;
    Some(u64::from_ne_bytes(field.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each 32-bit word holds its own offset.
    fn sample(len: usize) -> Vec<u8> {
        (0..len as u32)
            .step_by(4)
            .flat_map(u32::to_ne_bytes)
            .collect()
    }

    #[test]
    fn fields_lie_where_the_uapi_header_puts_them() {
        let mut bytes = sample(248);
        bytes[0] = 1;
        let info = TcpInfo::parse(&bytes).unwrap();
        assert_eq!(info.state, TcpState::Established);
        assert_eq!(
            (info.snd_mss, info.unacked, info.total_retrans),
            (16, 24, 100)
        );
        assert_eq!(info.notsent_bytes, Some(144));
        assert_eq!(info.bytes_acked, Some(0x78 | 0x7c << 32));
        assert_eq!((info.snd_wnd, info.rcv_wnd), (Some(228), Some(232)));
    }

    #[test]
    fn a_field_past_the_kernels_end_is_absent_and_not_zero() {
        // 5.10 ends with tcpi_snd_wnd.
        let info = TcpInfo::parse(&sample(232)).unwrap();
        assert_eq!((info.snd_wnd, info.rcv_wnd), (Some(228), None));
        // A kernel that cut a 64-bit field in half has not reported it.
        assert_eq!(TcpInfo::parse(&sample(124)).unwrap().bytes_acked, None);
        assert!(TcpInfo::parse(&sample(100)).is_err());
    }
}
