//! Colours and letters of causes: the same in every picture of a side.
//!
//! The colours are those of Okabe and Ito for what is common, and of Paul
//! Tol's muted scheme for the rest: people with colour-blindness can distinguish both. No meaning
//! rests on colour alone: bands are labelled, and characters differ.

use skmem_common::{cause::Cause, receive_cause::ReceiveCause};

/// Colour and letter of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BandStyle {
    /// `#rrggbb`.
    pub colour: &'static str,
    /// In characters.
    pub letter: char,
    /// A colour of terminals with 256 of them, to be read on a dark background and on a light one.
    pub ansi: u8,
}

impl BandStyle {
    /// Its colour on a white page and on a dark one, where the darkest of them
    /// would not be seen.
    pub const fn pair(&self) -> Pair {
        match self.colour.as_bytes() {
            b"#222222" => [self.colour, "#f2f2f2"],
            b"#332288" => [self.colour, "#8f7fe0"],
            b"#661100" => [self.colour, "#c8624a"],
            b"#882255" => [self.colour, "#cf6a9c"],
            _ => [self.colour, self.colour],
        }
    }
}

/// A colour on a white page, and on a dark one; `#rrggbb`.
pub(super) type Pair = [&'static str; 2];

/// What is left over when there are too many bands.
pub(super) const OTHER: BandStyle = look("#dddddd", '*', 243);

/// The limit.
pub(super) const SNDBUF: &str = "#000000";
/// Send-Q.
pub(super) const SEND_Q: &str = "#6a3d9a";
/// `forward_alloc`.
pub(super) const FORWARD_ALLOC: &str = "#009e73";
/// `wmem_alloc`.
pub(super) const WMEM_ALLOC: &str = "#0072b2";
/// The worst instant.
pub(super) const WORST: &str = "#b00020";

const fn look(colour: &'static str, letter: char, ansi: u8) -> BandStyle {
    BandStyle {
        colour,
        letter,
        ansi,
    }
}

/// How `cause` looks. Frees have no band of their own; where one shows up, it
/// looks like what is left over.
pub(super) const fn of(cause: Cause) -> BandStyle {
    match cause {
        Cause::PreExisting => look("#bbbbbb", '.', 245),
        Cause::Unattributed => look("#222222", '?', 241),
        Cause::NewSkb => look("#0072b2", 'n', 33),
        Cause::SkbOverhead => look("#332288", 'o', 99),
        Cause::FirstFill => look("#56b4e9", 'f', 67),
        Cause::TailAppend => look("#e69f00", 'a', 136),
        Cause::TailRefill => look("#d55e00", 'r', 202),
        Cause::Forced => look("#e31a1c", '!', 196),
        Cause::Splice => look("#009e73", 's', 30),
        Cause::ZerocopyPageRounding => look("#f0e442", 'z', 100),
        Cause::TsoSplit => look("#cc79a7", 't', 168),
        Cause::RetransmitFragment => look("#882255", 'R', 126),
        Cause::SackSplit => look("#999933", 'k', 101),
        Cause::ProbeSplit => look("#aa4499", 'p', 170),
        Cause::MtuProbe => look("#44aa99", 'm', 65),
        Cause::Syn | Cause::SynData | Cause::SynAck => look("#117733", 'y', 29),
        Cause::Fin => look("#ddcc77", 'F', 137),
        Cause::MptcpSubflow => look("#661100", 'M', 131),
        Cause::MptcpData => look("#56b4e9", 'd', 67),
        Cause::MptcpFragHeader => look("#0072b2", 'h', 33),
        Cause::Ack
        | Cause::MptcpAck
        | Cause::PartialAckTrim
        | Cause::TailMerge
        | Cause::RetransmitCollapse
        | Cause::SackShift
        | Cause::UnusedSkb
        | Cause::Purge
        | Cause::Reset => OTHER,
    }
}

/// What of r is not booked yet.
pub(super) const TO_COME: BandStyle = look("#dddddd", '~', 243);

/// How a cause of the receive side looks.
pub(super) const fn of_receive(cause: ReceiveCause) -> BandStyle {
    match cause {
        ReceiveCause::ReceivedBefore => look("#bbbbbb", '.', 245),
        ReceiveCause::Unattributed => look("#222222", '?', 241),
        ReceiveCause::InOrder => look("#0072b2", 'i', 33),
        ReceiveCause::Coalesced => look("#56b4e9", 'c', 67),
        ReceiveCause::OutOfOrder => look("#d55e00", 'x', 202),
        ReceiveCause::InOrderOverhead => look("#e69f00", 'o', 136),
        ReceiveCause::CoalescedOverhead => look("#f0e442", 'v', 100),
        ReceiveCause::Collapse => look("#44aa99", 'k', 65),
        ReceiveCause::FinReceived => look("#882255", 'F', 126),
        ReceiveCause::SockmapQueued => look("#661100", 's', 131),
        ReceiveCause::ErrorQueued => look("#cc79a7", 'e', 168),
        ReceiveCause::OutOfOrderJoined
        | ReceiveCause::OutOfOrderDropped
        | ReceiveCause::Prune
        | ReceiveCause::Read
        | ReceiveCause::ReadSpliced
        | ReceiveCause::ReadKtls
        | ReceiveCause::ReadZerocopy
        | ReceiveCause::SockmapTaken
        | ReceiveCause::MptcpTaken
        | ReceiveCause::ErrorTaken
        | ReceiveCause::ThrownAway
        | ReceiveCause::Disconnected
        | ReceiveCause::SockmapRead => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of a colour from 16 on: the cube of 6 × 6 × 6, then grey (WCAG 2, 1.4.3).
    fn luminance(ansi: u8) -> f64 {
        let levels = match ansi {
            232.. => [8 + 10 * u32::from(ansi - 232); 3],
            _ => [36, 6, 1].map(|step| match u32::from(ansi - 16) / step % 6 {
                0 => 0,
                n => 55 + 40 * n,
            }),
        };
        let linear = levels.map(|level| {
            let part = f64::from(level) / 255.0;
            match part <= 0.04 {
                true => part / 12.92,
                false => ((part + 0.055) / 1.055).powf(2.4),
            }
        });
        linear[0] * 0.2126 + linear[1] * 0.7152 + linear[2] * 0.0722
    }

    #[test]
    fn letters_are_read_on_black_and_on_white() {
        let sent = Cause::ALL.iter().map(|c| (c.name(), of(*c)));
        let received = ReceiveCause::ALL.iter().map(|c| (c.name(), of_receive(*c)));
        for (name, look) in sent.chain(received).chain([("not booked yet", TO_COME)]) {
            let light = luminance(look.ansi);
            let (on_black, on_white) = ((light + 0.05) / 0.05, 1.05 / (light + 0.05));
            assert!(
                on_black > 2.9 && on_white > 2.9,
                "{}: {} is {on_black:.1} : 1 on black, {on_white:.1} : 1 on white",
                name,
                look.ansi
            );
        }
    }
}
