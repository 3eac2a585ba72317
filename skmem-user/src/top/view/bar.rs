//! A bar of `w` against its limit, and `w` over time.

use ratatui::{
    style::{Color, Style},
    text::{Line as Cells, Span},
};

use super::Theme;

/// Within the limit.
const WITHIN: char = '█';
/// Half a cell of it.
const HALF: char = '▌';
/// Over the limit.
const OVER: char = '▒';
/// The limit.
const LIMIT: char = '│';
/// More than the bar has room for.
const MORE: char = '»';

const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `w` against `limit` in `width` cells. Two thirds of them are what the limit allows, the rest as
/// much again. `over`: the part of `w` that is over a limit; for several sockets it is not the
/// difference of their sums.
pub(super) fn bar(w: i64, over: i64, limit: i64, width: usize, theme: Theme) -> Cells<'static> {
    if limit <= 0 || width < 4 {
        return Cells::default();
    }
    let allowed = (width - 1) * 2 / 3;
    let beyond = width - 1 - allowed;
    let within = w.saturating_sub(over).clamp(0, limit);
    let share = |n: i64, cells: usize| {
        let halves = i128::from(n) * cells as i128 * 2 / i128::from(limit);
        usize::try_from(halves).unwrap_or(usize::MAX)
    };
    // What is there takes half a cell at least.
    let halves = share(within, allowed).max(usize::from(within > 0));
    let mut solid: String = std::iter::repeat_n(WITHIN, halves / 2).collect();
    if halves % 2 == 1 {
        solid.push(HALF);
    }
    let gap = allowed - solid.chars().count();
    let solid = Span::styled(solid, theme.tinted(Style::new(), Color::Green));
    let gap = Span::raw(" ".repeat(gap));
    let limit_mark = Span::styled(LIMIT.to_string(), theme.aside());
    if over == 0 {
        return Cells::from(vec![solid, gap, limit_mark]);
    }
    let cells = (share(over, beyond).div_ceil(2)).max(1);
    let mut past: String = std::iter::repeat_n(OVER, cells.min(beyond)).collect();
    if cells > beyond {
        past.pop();
        past.push(MORE);
    }
    Cells::from(vec![
        solid,
        gap,
        limit_mark,
        Span::styled(past, theme.alarm()),
    ])
}

/// Numbers over time in a cell each, as high as they are against the greatest; 0 is a space.
pub(super) fn trend(numbers: &[u64]) -> String {
    let most = numbers.iter().copied().max().unwrap_or(0).max(1);
    let height = |n: &u64| match *n {
        0 => ' ',
        n => {
            let step = (u128::from(n) * HEIGHTS.len() as u128).div_ceil(u128::from(most));
            HEIGHTS[usize::try_from(step).unwrap_or(1).clamp(1, HEIGHTS.len()) - 1]
        }
    };
    numbers.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(w: i64, limit: i64) -> String {
        let theme = Theme {
            colour: false,
            keys: false,
        };
        bar(w, (w - limit).max(0), limit, 13, theme).to_string()
    }

    #[test]
    fn what_is_over_the_limit_looks_different() {
        assert_eq!(text(0, 8192), "        │");
        assert_eq!(text(1, 8192), "▌       │");
        assert_eq!(text(4096, 8192), "████    │");
        assert_eq!(text(8192, 8192), "████████│");
        assert_eq!(text(15_376, 8192), "████████│▒▒▒▒");
        assert_eq!(text(8200, 8192), "████████│▒");
        assert_eq!(text(20_000, 8192), "████████│▒▒▒»");
        assert_eq!(text(5, 0), "");
    }

    #[test]
    fn several_sockets_of_which_one_is_over() {
        let theme = Theme {
            colour: false,
            keys: false,
        };
        // One of two holds twice its limit, the other nothing.
        let cells = bar(16_384, 8192, 16_384, 13, theme);
        assert_eq!(cells.to_string(), "████    │▒▒");
    }

    #[test]
    fn heights_are_against_the_greatest() {
        assert_eq!(trend(&[0, 1, 50, 100]), " ▁▄█");
        assert_eq!(trend(&[]), "");
        assert_eq!(trend(&[0, 0]), "  ");
    }
}
