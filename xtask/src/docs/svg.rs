//! A terminal's screens as a picture: text that can be searched and compared, a line a row, in
//! colours that follow the reader's dark or light setting.

use std::{fmt::Write as _, num::NonZeroU16, time::Duration};

use anyhow::{Context, Result};
use vt100::{Cell, Color, Parser, Screen};

/// Width and height of a cell, and the space around them all, in pixels.
const CELL: (f64, f64) = (7.8, 17.0);
const BORDER: f64 = 14.0;
const SIZE: f64 = 13.0;
/// Longest that a screen is shown.
const LONGEST: Duration = Duration::from_millis(1500);

/// Colours 0 to 15 of a terminal on dark and on light ground.
const DARK: [&str; 16] = [
    "#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
    "#8b949e", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff",
];
const LIGHT: [&str; 16] = [
    "#24292f", "#cf222e", "#116329", "#7d4e00", "#0969da", "#8250df", "#1b7c83", "#6e7781",
    "#57606a", "#a40e26", "#1a7f37", "#633c01", "#218bff", "#a475f9", "#3192aa", "#8c959f",
];
/// Ground and text where no colour is set.
const DARK_GROUND: (&str, &str) = ("#0d1117", "#e6edf3");
const LIGHT_GROUND: (&str, &str) = ("#f6f8fa", "#1f2328");

/// An empty terminal of this size.
pub(super) fn terminal(rows: u16, columns: u16) -> Result<Parser> {
    let size = |cells| NonZeroU16::new(cells).context("a terminal without cells");
    Ok(Parser::new(size(rows)?, size(columns)?, 0))
}

/// One screen, and how long it stood.
pub(super) struct Frame {
    rows: Vec<Vec<Run>>,
    pub(super) stands: Duration,
}

/// Cells of one look beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    at: u16,
    cells: u16,
    text: String,
    look: Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    text: Color,
    ground: Color,
    bold: bool,
    dim: bool,
    underline: bool,
    inverse: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        Self {
            text: cell.fgcolor(),
            ground: cell.bgcolor(),
            bold: cell.bold(),
            dim: cell.dim(),
            underline: cell.underline(),
            inverse: cell.inverse(),
        }
    }

    fn has_ground(&self) -> bool {
        self.inverse || self.ground != Color::Default
    }

    /// The class or the colour of the text, and of what is behind it.
    fn fills(&self) -> (String, String) {
        let (text, ground) = (fill(self.text, "text"), fill(self.ground, "ground"));
        match self.inverse {
            true => (ground, text),
            false => (text, ground),
        }
    }
}

fn fill(color: Color, otherwise: &str) -> String {
    match color {
        Color::Default => format!("class=\"{otherwise}\""),
        Color::Idx(index @ ..16) => format!("class=\"c{index}\""),
        Color::Idx(index) => {
            let (red, green, blue) = fixed(index);
            format!("fill=\"#{red:02x}{green:02x}{blue:02x}\"")
        }
        Color::Rgb(red, green, blue) => format!("fill=\"#{red:02x}{green:02x}{blue:02x}\""),
    }
}

/// Colours 16 to 255, which all terminals have alike: a cube of 6 × 6 × 6, and 24 greys.
fn fixed(index: u8) -> (u8, u8, u8) {
    if index >= 232 {
        let grey = 8 + (index - 232) * 10;
        return (grey, grey, grey);
    }
    let level = |step: u8| if step == 0 { 0 } else { 55 + step * 40 };
    let cube = index.saturating_sub(16);
    (level(cube / 36), level(cube / 6 % 6), level(cube % 6))
}

impl Frame {
    /// What is on a screen.
    pub(super) fn of(screen: &Screen, stands: Duration) -> Self {
        let (rows, columns) = screen.size();
        let rows = (0..rows.get()).map(|row| runs(screen, row, columns.get()));
        let mut rows: Vec<Vec<Run>> = rows.collect();
        while rows.last().is_some_and(Vec::is_empty) {
            rows.pop();
        }
        Self { rows, stands }
    }

    /// Whether another one looks the same.
    pub(super) fn shows(&self, other: &Self) -> bool {
        self.rows == other.rows
    }

    /// Its text, a row each.
    #[cfg(test)]
    pub(super) fn text(&self) -> Vec<String> {
        let row = |row: &Vec<Run>| row.iter().map(|run| run.text.as_str()).collect();
        self.rows.iter().map(row).collect()
    }
}

fn runs(screen: &Screen, row: u16, columns: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column) else {
            continue;
        };
        // The second half of a wide character.
        if cell.is_wide_continuation() {
            if let Some(last) = runs.last_mut() {
                last.cells += 1;
            }
            continue;
        }
        let look = Look::of(cell);
        let text = match cell.contents() {
            "" => " ",
            text => text,
        };
        match runs.last_mut() {
            Some(last) if last.look == look => {
                last.text.push_str(text);
                last.cells += 1;
            }
            _ => runs.push(Run {
                at: column,
                cells: 1,
                text: text.to_owned(),
                look,
            }),
        }
    }
    // Blanks at the end show nothing.
    if let Some(last) = runs.last_mut()
        && !last.look.has_ground()
    {
        let kept = last.text.trim_end().len();
        last.cells -= (last.text.len() - kept) as u16;
        last.text.truncate(kept);
    }
    runs.retain(|run| run.cells > 0);
    runs
}

/// The picture of what a command showed; several frames follow each other, for ever.
pub(super) fn draw(command: &str, columns: u16, frames: &[Frame]) -> String {
    let rows = frames.iter().map(|frame| frame.rows.len()).max();
    let width = f64::from(columns) * CELL.0 + 2.0 * BORDER;
    // Two more: the command, and a blank row after it.
    let height = (rows.unwrap_or_default() + 2) as f64 * CELL.1 + 2.0 * BORDER;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<style>\n{}{}</style>\n\
         <rect class=\"ground\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n",
        escaped(command),
        palette(),
        timing(frames),
    );
    let prompt = Run {
        at: 0,
        cells: 0,
        text: format!("$ {command}"),
        look: Look {
            text: Color::Default,
            ground: Color::Default,
            bold: true,
            dim: false,
            underline: false,
            inverse: false,
        },
    };
    text(&mut svg, 0, &prompt);
    for (number, frame) in frames.iter().enumerate() {
        _ = writeln!(svg, "<g class=\"f f{number}\">");
        for (row, runs) in frame.rows.iter().enumerate() {
            runs.iter().for_each(|run| ground(&mut svg, row + 2, run));
            runs.iter().for_each(|run| text(&mut svg, row + 2, run));
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn ground(svg: &mut String, row: usize, run: &Run) {
    if run.look.has_ground() {
        _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" {}/>",
            BORDER + f64::from(run.at) * CELL.0,
            BORDER + row as f64 * CELL.1,
            f64::from(run.cells) * CELL.0,
            CELL.1,
            run.look.fills().1,
        );
    }
}

fn text(svg: &mut String, row: usize, run: &Run) {
    if run.text.trim().is_empty() {
        return;
    }
    let mut more = String::new();
    if run.look.bold {
        more.push_str(" font-weight=\"bold\"");
    }
    if run.look.dim {
        more.push_str(" opacity=\"0.65\"");
    }
    if run.look.underline {
        more.push_str(" text-decoration=\"underline\"");
    }
    if run.cells > 0 {
        // Whatever the reader's font is, columns stay columns.
        more.push_str(&format!(
            " textLength=\"{:.1}\"",
            f64::from(run.cells) * CELL.0
        ));
    }
    _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" {}{more}>{}</text>",
        BORDER + f64::from(run.at) * CELL.0,
        BORDER + row as f64 * CELL.1 + SIZE,
        run.look.fills().0,
        escaped(&run.text),
    );
}

fn palette() -> String {
    let theme = |ground: (&str, &str), colours: &[&str; 16]| {
        let mut css = format!(".ground{{fill:{}}} .text{{fill:{}}}\n", ground.0, ground.1);
        for (number, colour) in colours.iter().enumerate() {
            css.push_str(&format!(".c{number}{{fill:{colour}}} "));
        }
        css
    };
    format!(
        "text{{font:{SIZE}px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}}\n{}\n\
         @media (prefers-color-scheme:light){{{}}}\n",
        theme(DARK_GROUND, &DARK),
        theme(LIGHT_GROUND, &LIGHT),
    )
}

/// When each frame is seen. Where nothing moves, by wish or for want of animation, the last one is.
fn timing(frames: &[Frame]) -> String {
    let [first @ .., _] = frames else {
        return String::new();
    };
    if first.is_empty() {
        return String::new();
    }
    let stands = |frame: &Frame| frame.stands.min(LONGEST).as_secs_f64();
    let all: f64 = frames.iter().map(stands).sum();
    let mut css = format!(
        ".f{{visibility:hidden}} .f{}{{visibility:visible}}\n",
        first.len()
    );
    css.push_str("@media (prefers-reduced-motion:no-preference){\n");
    let mut begin = 0.0;
    for (number, frame) in frames.iter().enumerate() {
        let end = begin + stands(frame);
        let percent = |time: f64| time / all * 100.0;
        _ = writeln!(
            css,
            "@keyframes k{number}{{0%{{visibility:{}}} {:.2}%{{visibility:visible}} {:.2}%{{visibility:hidden}}}} \
             .f{number}{{animation:k{number} {all:.1}s step-end infinite}}",
            if number == 0 { "visible" } else { "hidden" },
            percent(begin),
            percent(end),
        );
        begin = end;
    }
    css.push_str("}\n");
    css
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> Frame {
        let mut terminal = terminal(3, 20).expect("a good size");
        terminal.process(bytes);
        Frame::of(terminal.screen(), Duration::from_secs(1))
    }

    #[test]
    fn looks_and_places_are_kept() {
        let svg = draw(
            "a > b",
            20,
            &[frame(b"\x1b[1;31mred\x1b[m <&>\r\n  \x1b[7min\x1b[m")],
        );
        for part in [
            "<title>a &gt; b</title>",
            "class=\"c1\" font-weight=\"bold\" textLength=\"23.4\">red</text>",
            " &lt;&amp;&gt;</text>",
            // Behind what is inverse lies the colour of text.
            "<rect x=\"29.6\" y=\"65.0\" width=\"15.6\" height=\"17\" class=\"text\"/>",
            "class=\"ground\" textLength=\"15.6\">in</text>",
        ] {
            assert!(svg.contains(part), "no {part} in {svg}");
        }
        assert!(!svg.contains("@keyframes"), "one frame moves: {svg}");
    }

    #[test]
    fn wide_characters_take_two_cells() {
        let frame = frame("\u{65e5}x\x1b[7m \x1b[m".as_bytes());
        let [row] = &frame.rows[..] else {
            panic!("not one row")
        };
        assert_eq!(
            row.iter()
                .map(|run| (run.at, run.cells))
                .collect::<Vec<_>>(),
            [(0, 3), (3, 1)]
        );
    }

    #[test]
    fn frames_follow_each_other() {
        let svg = draw("x", 20, &[frame(b"one"), frame(b"two")]);
        assert!(svg.contains(".f1{visibility:visible}"), "{svg}");
        assert!(
            svg.contains("50.00%{visibility:hidden}} .f0{animation:k0 2.0s"),
            "{svg}"
        );
        assert!(
            svg.contains("{0%{visibility:hidden} 50.00%{visibility:visible}"),
            "{svg}"
        );
    }

    #[test]
    fn colours_that_all_terminals_share() {
        assert_eq!(fixed(16), (0, 0, 0));
        assert_eq!(fixed(208), (255, 135, 0));
        assert_eq!(fixed(231), (255, 255, 255));
        assert_eq!(fixed(255), (238, 238, 238));
    }
}
