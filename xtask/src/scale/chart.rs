//! What was measured, as a picture: four panels over the number of connections, both axes logarithmic.

use std::fmt::Write as _;

use super::{
    Measured,
    table::{number, thousands},
};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 330.0;
/// Around a panel's axes: left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (64.0, 40.0, 24.0, 84.0);

/// Distinct also for who does not see some colours, and in grey: of sessions, and of adapters' sockets.
const COLOURS: [&str; 3] = ["#0072b2", "#d55e00", "#009e73"];
const SOCKETS: [&str; 3] = ["#cc79a7", "#e69f00", "#444444"];

pub fn svg(measured: &Measured) -> String {
    let panels = panels(measured);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        WIDTH * 2.0,
        HEIGHT * 2.0
    );
    for (nth, panel) in panels.iter().enumerate() {
        let (x, y) = ((nth % 2) as f64 * WIDTH, (nth / 2) as f64 * HEIGHT);
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
        panel.draw(&mut svg);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

#[derive(Debug)]
struct Panel {
    title: &'static str,
    /// Name and points.
    series: Vec<(String, Vec<(f64, f64)>)>,
}

fn panels(measured: &Measured) -> [Panel; 4] {
    let line = |name: &str, value: &dyn Fn(&super::Sessions) -> f64| {
        let points = measured.sessions.iter().map(|it| (it.count as f64, value(it)));
        (name.to_owned(), points.collect())
    };
    let sockets = |value: &dyn Fn(&super::sockets::Measured) -> f64| -> Vec<_> {
        let point = |it| vec![(it_count(it), value(it))];
        measured.sockets.iter().map(|it| (format!("sockets, {}", it.adapter), point(it))).collect()
    };
    let with = |mut lines: Vec<_>, points: Vec<_>| {
        lines.extend(points);
        lines
    };
    [
        Panel {
            title: "resident bytes of a connection (sockets: WebSocket)",
            series: with(
                vec![
                    line("event stream", &|it| number(&it.many, "/sse_bytes")),
                    line("WebSocket", &|it| number(&it.many, "/websocket_bytes")),
                    line("a bare task", &|it| number(&it.floor, "/bytes")),
                ],
                sockets(&|it| it.websocket_bytes),
            ),
        },
        Panel {
            title: "an event to all, ms",
            series: with(
                vec![
                    line("one of each topic", &|it| number(&it.many, "/wave/ms")),
                    line("all on one topic", &|it| number(&it.one, "/wave/ms")),
                ],
                sockets(&|it| it.wave_ms),
            ),
        },
        Panel {
            title: "idle with heartbeats, ms of a core per second",
            series: with(
                vec![line("in memory", &|it| number(&it.many, "/idle/cpu_ms_per_second"))],
                sockets(&|it| it.idle_ms_per_second),
            ),
        },
        Panel {
            title: "publish, p99, µs of a core (sockets: POST, by the clock)",
            series: with(
                vec![
                    line("many topics", &|it| number(&it.many, "/publish/p99_cpu_us")),
                    line("all on one topic", &|it| number(&it.one, "/publish/p99_cpu_us")),
                ],
                sockets(&|it| it.publish_p99_us),
            ),
        },
    ]
}

fn it_count(measured: &super::sockets::Measured) -> f64 {
    measured.connections as f64
}

impl Panel {
    fn draw(&self, svg: &mut String) {
        let (left, top, right, bottom) = MARGIN;
        let (x, y) = (
            Axis::over(self.points().map(|(x, _)| x), left, WIDTH - right),
            Axis::over(self.points().map(|(_, y)| y), HEIGHT - bottom, top),
        );
        let _ = writeln!(
            svg,
            "<text x=\"{left}\" y=\"{}\" font-size=\"13\" font-weight=\"bold\">{}</text>",
            top - 16.0,
            self.title
        );
        for (value, at) in x.ticks() {
            let _ = writeln!(
                svg,
                "<path d=\"M{at:.1} {top}V{:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - bottom,
                HEIGHT - bottom + 16.0,
                label(value)
            );
        }
        for (value, at) in y.ticks() {
            let _ = writeln!(
                svg,
                "<path d=\"M{left} {at:.1}H{:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - right,
                left - 6.0,
                at + 4.0,
                label(value)
            );
        }
        let (mut sessions, mut sockets) = (COLOURS.iter(), SOCKETS.iter());
        for (nth, (name, points)) in self.series.iter().enumerate() {
            let is_of_sockets = name.starts_with("sockets");
            let colours = if is_of_sockets { &mut sockets } else { &mut sessions };
            let Some(colour) = colours.next() else { continue };
            let seen = points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0);
            let at: Vec<_> = seen.map(|(px, py)| (x.at(*px), y.at(*py))).collect();
            let path: Vec<_> = at.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            );
            for (x, y) in at {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
                );
            }
            let (x, y) =
                (left + (nth % 3) as f64 * 130.0, HEIGHT - bottom + 38.0 + (nth / 3) as f64 * 16.0);
            let _ = writeln!(
                svg,
                "<circle cx=\"{x}\" cy=\"{}\" r=\"4\" fill=\"{colour}\"/><text x=\"{}\" y=\"{y}\">{name}</text>",
                y - 4.0,
                x + 8.0
            );
        }
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series.iter().flat_map(|(_, points)| points.iter().copied())
    }
}

/// Powers of ten on a line.
#[derive(Debug)]
struct Axis {
    /// The powers at its ends.
    from: f64,
    to: f64,
    /// Where its ends are drawn.
    first: f64,
    last: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, first: f64, last: f64) -> Self {
        let powers: Vec<f64> = values.filter(|it| *it > 0.0).map(f64::log10).collect();
        let least = powers.iter().copied().fold(f64::INFINITY, f64::min);
        let most = powers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Nothing to show is no reason to fail.
        let (from, to) = if least.is_finite() { (least.floor(), most.ceil()) } else { (0.0, 1.0) };
        Self { from, to: to.max(from + 1.0), first, last }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.log10() - self.from) / (self.to - self.from);
        self.first + share * (self.last - self.first)
    }

    fn ticks(&self) -> impl Iterator<Item = (f64, f64)> {
        (self.from as i32..=self.to as i32).map(|power| {
            let value = 10_f64.powi(power);
            (value, self.at(value))
        })
    }
}

fn label(value: f64) -> String {
    if value < 1.0 { value.to_string() } else { thousands(value as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_times_as_much_is_one_step() {
        let axis = Axis::over([20.0, 3_000.0].into_iter(), 0.0, 300.0);
        let ticks: Vec<_> = axis.ticks().collect();
        assert_eq!(ticks, [(10.0, 0.0), (100.0, 100.0), (1_000.0, 200.0), (10_000.0, 300.0)]);
    }

    #[test]
    fn nothing_measured_is_still_a_picture() {
        let svg = svg(&Measured::default());
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
