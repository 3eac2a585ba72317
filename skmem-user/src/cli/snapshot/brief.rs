//! A snapshot on one screen: as many sockets as there is room for, with
//! `--explain` those first in which something is wrong.

use super::{Arranged, FEW, Options, how, summary, table};
use crate::{
    decode::Weight,
    render::{
        self, Style,
        snapshot::{self as show, Show},
    },
    snapshot::{Row, multipath, order::Sort},
};

/// Sockets that are worth more than the list of what was not seen.
const WORTH: usize = 3;

/// Most findings of a socket that does not fit the screen.
const WORDS: usize = 9;

/// The snapshot in at most `lines` lines; more only where the first socket alone
/// takes more, or `--limit` asks for more. Ends with a newline.
pub(super) fn of(look: &mut Arranged, options: &Options, style: &Style, lines: usize) -> String {
    if options.explain && options.sort == Sort::Charged {
        alarms_first(look, options);
    }
    let look = &*look;
    let frame = |most: usize, words: Option<usize>, notes: bool| {
        let show = Show {
            words,
            ..how(look, options, most)
        };
        let mut text = format!("{}\n", show::headline(&summary(look), style));
        text.push_str(&table(look, options, &show, style));
        if let Some(probe) = &look.probe {
            text.push_str(&show::probe(probe, &look.captured.rows, &show, style));
        }
        text + &below(look, style, notes)
    };
    if options.limit.is_some() {
        return frame(FEW, None, true);
    }
    let all = match &look.groups {
        Some(groups) => groups.len(),
        None => look.captured.rows.len(),
    };
    let all = all.clamp(1, FEW);
    let most = |least: usize| (least.min(all)..=all).rev();
    let with_notes = most(WORTH).map(|most| (most, None, true));
    let without = most(1).map(|most| (most, None, false));
    let fewer = (1..=WORDS).rev().map(|words| (1, Some(words), false));
    with_notes
        .chain(without)
        .chain(fewer)
        .map(|(most, words, notes)| frame(most, words, notes))
        .find(|text| text.lines().count() <= lines)
        .unwrap_or_else(|| frame(1, Some(1), false))
}

/// Sockets with alarms come first, subflows beneath their MPTCP sockets.
fn alarms_first(look: &mut Arranged, options: &Options) {
    let show = how(look, options, FEW);
    let alarms = |row: &Row| {
        let found = show.findings(row);
        found.iter().filter(|f| f.weight == Weight::Alarm).count()
    };
    let keys = look.captured.rows.iter().map(alarms);
    let keys: Vec<usize> = keys.collect();
    let mut rows: Vec<(usize, Row)> = keys
        .into_iter()
        .zip(std::mem::take(&mut look.captured.rows))
        .collect();
    rows.sort_by_key(|(alarms, _)| std::cmp::Reverse(*alarms));
    look.captured.rows = rows.into_iter().map(|(_, row)| row).collect();
    multipath::nest(&mut look.captured.rows);
}

/// What was not seen, and how to see more.
fn below(look: &Arranged, style: &Style, notes: bool) -> String {
    let all = &look.captured.notes;
    let hidden = !notes && !all.is_empty();
    let more = match hidden {
        true => "Not all was seen: --full says what, and prints more;",
        false => "--full prints more;",
    };
    let more = format!("{more} `skmem fields` explains the columns.");
    let notes = match hidden {
        true => String::new(),
        false => show::notes(all, style),
    };
    format!("{notes}{}\n", render::wrapped(&more, style.width))
}
