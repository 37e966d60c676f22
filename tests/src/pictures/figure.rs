// SPDX-License-Identifier: MIT OR GPL-2.0

//! A figure: an SVG that is readable on a light and on a dark page, with a text for readers that do
//! not see it.

use svg::node::element::{Description, Line, Rectangle, Style, Text, Title};
use svg::node::Text as Words;
use svg::{Document, Node};

/// The width of each figure.
pub const WIDTH: usize = 860;
/// The height of a line of text.
pub const LINE: usize = 18;

const STYLE: &str = "
svg { font: 13px system-ui, sans-serif }
text { fill: #1f2328 }
text.faint { fill: #59636e }
text.head { font-weight: 600 }
line, rect { stroke: #59636e; stroke-width: 0.6 }
rect.empty { fill: #eef1f4 }
rect.beyond { fill: none; stroke-dasharray: 2 2 }
rect.area { fill: #dbe7f5 }
rect.cached { fill: #f2c14e }
rect.mapped { fill: #2a78c8 }
rect.copied { fill: #c2477f }
rect.table { fill: #7fb77e }
rect.thin { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
text.faint { fill: #9da7b1 }
line, rect { stroke: #9da7b1 }
rect.empty { fill: #262c34 }
rect.area { fill: #20344d }
rect.cached { fill: #966a08 }
rect.mapped { fill: #3f8fe0 }
rect.copied { fill: #d0598e }
rect.table { fill: #3f7f4a }
}
";

/// A figure that is being drawn from top to bottom.
#[derive(Clone, Debug)]
pub struct Figure {
    document: Document,
    /// Where the next thing begins, in pixels from the top.
    pub y: usize,
}

impl Figure {
    /// Begins a figure. `title` names it, and `description` says in words what it shows.
    #[must_use]
    pub fn new(title: &str, description: &str) -> Self {
        let document = Document::new()
            .set("role", "img")
            .set("aria-labelledby", "title description")
            .add(Title::new(title).set("id", "title"))
            .add(
                Description::new()
                    .set("id", "description")
                    .add(Words::new(description)),
            )
            .add(Style::new(STYLE));
        let mut figure = Self { document, y: 8 };
        figure.text(8, "head", title);
        figure.y += LINE + 6;
        figure
    }

    /// Writes text at the present height.
    pub fn text(&mut self, x: usize, class: &str, words: &str) {
        let text = Text::new(words)
            .set("class", class)
            .set("x", x)
            .set("y", self.y + LINE - 5);
        self.add(text);
    }

    /// Writes a number that ends at `x`.
    pub fn number(&mut self, x: usize, number: &str) {
        let text = Text::new(number)
            .set("text-anchor", "end")
            .set("x", x)
            .set("y", self.y + LINE - 5);
        self.add(text);
    }

    /// Draws a box of one line's height. `words` is what a pointer or a reader finds there.
    pub fn cell(&mut self, x: f64, width: f64, class: &str, words: &str) {
        // Of a narrow box its border would be all that is seen.
        let thin = if width < 4.0 { " thin" } else { "" };
        let cell = Rectangle::new()
            .set("class", format!("{class}{thin}"))
            .set("x", rounded(x))
            .set("y", self.y)
            .set("width", rounded(width))
            .set("height", LINE - 3)
            .add(Title::new(words));
        self.add(cell);
    }

    /// Draws a legend: a box and its meaning, side by side.
    pub fn legend(&mut self, entries: &[(&str, &str)]) {
        let mut x = 8;
        for (class, meaning) in entries {
            self.cell(pixels(x), 14.0, class, meaning);
            self.text(x + 20, "faint", meaning);
            x += 40 + 7 * meaning.chars().count();
        }
        self.y += LINE + 6;
    }

    /// Draws a line over the whole width.
    pub fn rule(&mut self) {
        let line = Line::new()
            .set("x1", 8)
            .set("x2", WIDTH - 8)
            .set("y1", self.y + 4)
            .set("y2", self.y + 4);
        self.add(line);
        self.y += 10;
    }

    /// The SVG.
    #[must_use]
    pub fn finish(self) -> String {
        let height = self.y + 8;
        let document = self.document.set("viewBox", (0, 0, WIDTH, height));
        format!("{document}\n")
    }

    fn add(&mut self, node: impl Into<Box<dyn Node>>) {
        Node::append(&mut self.document, node);
    }
}

/// A number of pixels.
#[must_use]
pub fn pixels(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Two digits are enough for a screen.
fn rounded(pixels: f64) -> f64 {
    (pixels * 100.0).round() / 100.0
}
