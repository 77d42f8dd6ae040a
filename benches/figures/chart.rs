//! Bars, as an SVG.

use std::{fmt::Write, fs, path::Path};

const WIDTH: usize = 920;
const NAMES: usize = 270;
const BARS: usize = 440;
const ROW: usize = 22;
const TITLE: usize = 40;

/// One part's charts, one below the other.
pub(crate) struct Chart {
    title: String,
    panels: Vec<(String, Vec<Bar>)>,
}

/// Whose a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every benchmark has all of them")]
pub(crate) enum Kind {
    /// What the machine can do.
    Limit,
    Ours,
    /// Without all that configuration can switch off.
    Bare,
    Rival,
    /// A framework that is given nothing to do.
    Floor,
}

/// One figure.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) figure: f64,
    /// The figure as it is to be read.
    pub(crate) text: String,
}

impl Chart {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), panels: Vec::new() }
    }

    pub(crate) fn panel(&mut self, title: impl Into<String>, bars: Vec<Bar>) {
        self.panels.push((title.into(), bars));
    }

    /// Writes it as `target/bench/NAME.svg`.
    pub(crate) fn write(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        let file = folder.join(format!("{name}.svg"));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(&file, self.svg().expect("text")).expect("a file");
        println!("\n{}", file.display());
    }

    fn svg(&self) -> Result<String, std::fmt::Error> {
        let rows: usize = self.panels.iter().map(|(_, bars)| bars.len() * ROW + TITLE).sum();
        let height = rows + TITLE + 10;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"12\" y=\"26\" font-size=\"17\" font-weight=\"bold\">{}</text>\n",
            escape(&self.title)
        );
        let mut top = TITLE;
        for (title, bars) in &self.panels {
            let middle = top + 24;
            let title = escape(title);
            writeln!(svg, "<text x=\"12\" y=\"{middle}\" fill=\"#555\">{title}</text>")?;
            top += TITLE - 6;
            let most = bars.iter().map(|it| it.figure).fold(f64::MIN_POSITIVE, f64::max);
            for bar in bars {
                let length = (bar.figure.max(0.0) / most * BARS as f64).max(1.0);
                let (color, middle, height) = (color(bar.kind), top + 15, ROW - 5);
                let (name, text) = (escape(&bar.name), escape(&bar.text));
                let (end, after) = (NAMES - 8, NAMES as f64 + length + 6.0);
                writeln!(
                    svg,
                    "<text x=\"{end}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>\
                     <rect x=\"{NAMES}\" y=\"{}\" width=\"{length:.1}\" height=\"{height}\" \
                     fill=\"{color}\"/>\
                     <text x=\"{after:.1}\" y=\"{middle}\" fill=\"#333\">{text}</text>",
                    top + 2
                )?;
                top += ROW;
            }
            top += 6;
        }
        svg.push_str("</svg>\n");
        Ok(svg)
    }
}

fn color(kind: Kind) -> &'static str {
    match kind {
        Kind::Limit => "#9aa5b1",
        Kind::Ours => "#1d6fd1",
        Kind::Bare => "#8db9ee",
        Kind::Rival => "#e08a2e",
        Kind::Floor => "#b9a3d0",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
