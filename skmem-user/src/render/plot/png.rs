//! SVG to PNG. The fonts are skmem's own, so that a picture looks the same on
//! a machine that has none.

use std::sync::Arc;

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};

const REGULAR: &[u8] = include_bytes!("../../../assets/font/DejaVuSans-subset.ttf");
const BOLD: &[u8] = include_bytes!("../../../assets/font/DejaVuSans-Bold-subset.ttf");

/// Pixels for each unit of the SVG: 192 dpi.
const SCALE: f32 = 2.0;

/// Why there is no PNG: a bug in skmem, the SVG being its own.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// The SVG cannot be read.
    #[error("cannot draw the SVG")]
    Svg(#[from] resvg::usvg::Error),
    /// It has no size, or one beyond all measure.
    #[error("cannot draw a picture of {0} × {1} pixels")]
    Size(u32, u32),
    /// It cannot be encoded.
    #[error("cannot encode the picture: {0}")]
    Encode(String),
}

/// Draws `svg` with 192 dots per inch.
///
/// # Errors
/// Where it is not an SVG that can be drawn.
pub fn png(svg: &str) -> Result<Vec<u8>, PngError> {
    let mut fonts = Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(BOLD.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = Options {
        fontdb: Arc::new(fonts),
        font_family: "DejaVu Sans".to_owned(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size();
    let size = size
        .scale_by(SCALE)
        .ok_or(PngError::Size(size.width(), size.height()))?;
    let mut pixels = Pixmap::new(size.width(), size.height())
        .ok_or(PngError::Size(size.width(), size.height()))?;
    resvg::render(
        &tree,
        Transform::from_scale(SCALE, SCALE),
        &mut pixels.as_mut(),
    );
    pixels
        .encode_png()
        .map_err(|e| PngError::Encode(e.to_string()))
}
