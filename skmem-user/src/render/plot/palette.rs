//! Colours and letters of causes: the same in every picture.
//!
//! The colours are those of Okabe and Ito for what is common, and of Paul
//! Tol's muted scheme for the rest: people with colour-blindness can distinguish both. No meaning
//! rests on colour alone: bands are labelled, and characters differ.

use skmem_common::cause::Cause;

/// How a cause looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// `#rrggbb`.
    pub colour: &'static str,
    /// In characters.
    pub letter: char,
    /// A colour of terminals with 256 of them.
    pub ansi: u8,
}

impl Look {
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
pub(super) const OTHER: Look = look("#dddddd", '*', 252);

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

const fn look(colour: &'static str, letter: char, ansi: u8) -> Look {
    Look {
        colour,
        letter,
        ansi,
    }
}

/// How `cause` looks. Frees have no band of their own; where one shows up, it
/// looks like what is left over.
pub(super) const fn of(cause: Cause) -> Look {
    match cause {
        Cause::PreExisting => look("#bbbbbb", '.', 250),
        Cause::Unattributed => look("#222222", '?', 255),
        Cause::NewSkb => look("#0072b2", 'n', 33),
        Cause::SkbOverhead => look("#332288", 'o', 99),
        Cause::FirstFill => look("#56b4e9", 'f', 117),
        Cause::TailAppend => look("#e69f00", 'a', 214),
        Cause::TailRefill => look("#d55e00", 'r', 202),
        Cause::Forced => look("#e31a1c", '!', 196),
        Cause::Splice => look("#009e73", 's', 36),
        Cause::ZerocopyPageRounding => look("#f0e442", 'z', 227),
        Cause::TsoSplit => look("#cc79a7", 't', 175),
        Cause::RetransmitFragment => look("#882255", 'R', 125),
        Cause::SackSplit => look("#999933", 'k', 143),
        Cause::ProbeSplit => look("#aa4499", 'p', 170),
        Cause::MtuProbe => look("#44aa99", 'm', 79),
        Cause::Syn | Cause::SynData | Cause::SynAck => look("#117733", 'y', 29),
        Cause::Fin => look("#ddcc77", 'F', 186),
        Cause::MptcpSubflow => look("#661100", 'M', 88),
        Cause::MptcpData => look("#56b4e9", 'd', 117),
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
