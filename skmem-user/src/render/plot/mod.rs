//! One socket over time, as a picture: in characters, as SVG (and through it
//! PNG), and as a page of HTML to zoom into.
//!
//! * [`figure`]: what all of them show, and the words around it
//! * `dense`: more samples than columns
//! * `palette`: colours and letters of causes
//! * `scale`: axes
//! * `text`, `svg`, `html`, `png`: the forms
//! * `receive`: the receive side
//!
//! Between two records nothing is known to have happened, so all curves are
//! steps.

mod dense;
pub mod figure;
mod html;
mod palette;
#[cfg(feature = "png")]
mod png;
mod receive;
mod scale;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod xml;

pub use figure::Figure;
pub use html::{html, html_beside};
#[cfg(feature = "png")]
pub use png::{PngError, png};
pub use receive::{ReceiveFigure, receive_html, receive_svg, receive_text};
pub use svg::svg;
pub use text::text;
pub use xml::{escape, escape_lines};

/// How a cause looks in characters: its letter, and a colour of terminals with 256 of them.
#[must_use]
pub fn letter(cause: skmem_common::cause::Cause) -> (char, u8) {
    let look = palette::of(cause);
    (look.letter, look.ansi)
}
