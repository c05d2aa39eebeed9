//! Pictures of figures, as SVG that is legible on light and dark pages alike.
//!
//! Owns: scales, dots, curves. Never does: leaving a run out: every run is a dot. Values are drawn
//! on a logarithmic scale; a value below the scale's least (a gap that was no gap) is drawn at its
//! left end.

use super::figures::{Plot, Shape, Unit};
use super::record::Results;
use super::spread::Spread;
use std::fmt::Write;

// Sizes of a picture, in its own units: the whole, its margins, and the height of a strip.
const WIDTH: f64 = 860.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 30.0;
const STRIP: f64 = 24.0;
const TOP: f64 = 44.0;
const HEIGHT: f64 = 380.0;

/// Style that follows the page: dark ink on light, light ink on dark; the colours of curves are
/// legible on both.
const STYLE: &str = "<style>
svg { color: #1f2328; background: transparent; font: 13px system-ui, sans-serif }
@media (prefers-color-scheme: dark) { svg { color: #e6edf3 } }
text { fill: currentColor } .grid { stroke: currentColor; opacity: .15 } .axis { stroke: currentColor; opacity: .5 }
.title { font-size: 15px; font-weight: 600 } .end { text-anchor: end } .middle { text-anchor: middle }
.c0 { color: #2f81f7 } .c1 { color: #d9722a } .c2 { color: #2da44e } .c3 { color: #a371f7 } .c4 { color: #bf8700 }
.c5 { color: #db61a2 }
.dot { fill: currentColor; fill-opacity: .55 } .line { stroke: currentColor; stroke-width: 2; fill: none }
</style>
";

/// The picture as SVG; `None` when nothing of it was measured.
pub fn draw(plot: &Plot, results: &Results) -> Option<String> {
    match &plot.shape {
        Shape::Dots(strips) => draw_dots(plot, strips, results),
        Shape::Curves(over, curves) => draw_curves(plot, over, curves, results),
    }
}

/// A logarithmic scale between two whole powers of ten, whose exponents these are.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    /// Scale around values of 0 or more; `None` when there are none.
    fn around(values: impl Iterator<Item = f64>) -> Option<Scale> {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values {
            most = most.max(value);
            if value > 0.0 {
                least = least.min(value);
            }
        }
        if most <= 0.0 {
            return most.is_finite().then_some(Scale { low: -1, high: 1 }).filter(|_| least.is_finite());
        }
        #[allow(clippy::cast_possible_truncation, reason = "logarithms of what is measured are small")]
        let (low, high) = (least.log10().floor() as i32, most.log10().ceil() as i32);
        Some(Scale { low, high: high.max(low + 1) })
    }

    /// Place of a value on the scale, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let low = f64::from(self.low);
        ((value.max(f64::MIN_POSITIVE).log10() - low) / (f64::from(self.high) - low)).clamp(0.0, 1.0)
    }

    /// Powers of ten on the scale.
    fn marks(&self) -> impl Iterator<Item = f64> {
        (self.low..=self.high).map(|power| 10_f64.powi(power))
    }
}

/// Beginning of a picture: size, style, title.
fn svg_head(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         {STYLE}<text class=\"title\" x=\"10\" y=\"22\">{title}</text>\n",
        title = escaped(title)
    )
}

/// A text as SVG may contain it, without backquotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('`', "")
}

/// Text of an axis mark: short, without useless zeros.
fn mark_text(unit: Unit, value: f64) -> String {
    unit.show(value).replace(".00 ", " ").replace(".0 ", " ")
}

/// Picture of strips, one for each label.
fn draw_dots(plot: &Plot, strips: &[(String, String)], results: &Results) -> Option<String> {
    let measured: Vec<(&str, Spread, Vec<f64>)> = strips
        .iter()
        .filter_map(|(label, key)| Some((label.as_str(), results.spread(key)?, results.values(key))))
        .collect();
    let scale = Scale::around(measured.iter().flat_map(|(.., values)| values.iter().copied()))?;
    #[allow(clippy::cast_precision_loss, reason = "a few dozen strips")]
    let bottom = TOP + STRIP * measured.len() as f64;
    let mut text = svg_head(&plot.title, bottom + 34.0);
    let x = |value: f64| LEFT + scale.place(value) * (WIDTH - LEFT - RIGHT);
    for value in scale.marks() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "<line class=\"grid\" x1=\"{place:.1}\" x2=\"{place:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text class=\"middle\" x=\"{place:.1}\" y=\"{:.1}\">{}</text>",
            bottom + 20.0,
            mark_text(plot.unit, value),
            place = x(value)
        );
    }
    let mut middle = TOP - STRIP / 2.0;
    for (label, spread, values) in &measured {
        middle += STRIP;
        let colour = if label.starts_with("vipair") { "c0" } else { "c1" };
        let _ = writeln!(
            text,
            "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text><g class=\"{colour}\">",
            LEFT - 12.0,
            middle + 4.5,
            escaped(label)
        );
        for (number, value) in values.iter().enumerate() {
            // Dots of equal values would hide each other.
            let aside = [0.0, 4.0, -4.0, 7.0, -7.0, 2.0, -2.0][number % 7];
            let _ = writeln!(
                text,
                "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                x(*value),
                middle + aside
            );
        }
        let _ = writeln!(
            text,
            "<line class=\"line\" x1=\"{place:.1}\" x2=\"{place:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"><title>median {}</title></line></g>",
            middle - 10.0,
            middle + 10.0,
            plot.unit.show(spread.median()),
            place = x(spread.median())
        );
    }
    Some(text + "</svg>\n")
}

/// A curve that was measured: its label, and for each point its place, statistics and values.
type Curve<'a> = (&'a str, Vec<(f64, Spread, Vec<f64>)>);

/// Picture of curves over another quantity.
fn draw_curves(
    plot: &Plot,
    over: &str,
    curves: &[(String, Vec<(f64, String)>)],
    results: &Results,
) -> Option<String> {
    let measured: Vec<Curve> = curves
        .iter()
        .map(|(label, points)| {
            let point = |(place, key): &(f64, String)| Some((*place, results.spread(key)?, results.values(key)));
            (label.as_str(), points.iter().filter_map(point).collect())
        })
        .filter(|(_, points): &Curve| !points.is_empty())
        .collect();
    let all = || measured.iter().flat_map(|(_, points)| points);
    let across = Scale::around(all().map(|(place, ..)| *place))?;
    let up = Scale::around(all().flat_map(|(.., values)| values.iter().copied()))?;
    let (left, right, bottom) = (90.0, WIDTH - 200.0, HEIGHT - 60.0);
    let x = |value: f64| left + across.place(value) * (right - left);
    let y = |value: f64| bottom - up.place(value) * (bottom - TOP);
    let mut text = svg_head(&plot.title, HEIGHT);
    for value in across.marks() {
        let place = x(value);
        let _ = writeln!(
            text,
            "<line class=\"grid\" x1=\"{place:.1}\" x2=\"{place:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text class=\"middle\" x=\"{place:.1}\" y=\"{:.1}\">{value}</text>",
            bottom + 20.0
        );
    }
    for value in up.marks() {
        let place = y(value);
        let _ = writeln!(
            text,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{place:.1}\" y2=\"{place:.1}\"/>\
             <text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left - 8.0,
            place + 4.5,
            mark_text(plot.unit, value)
        );
    }
    let _ = writeln!(
        text,
        "<text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        f64::midpoint(left, right),
        bottom + 42.0,
        escaped(over)
    );
    let mut legend = TOP;
    for (number, (label, points)) in measured.iter().enumerate() {
        legend += 20.0;
        text += &draw_curve(label, points, number % 6, &x, &y, (right + 14.0, legend));
    }
    Some(text + "</svg>\n")
}

/// One curve with its dots and its entry in the legend.
fn draw_curve(
    label: &str,
    points: &[(f64, Spread, Vec<f64>)],
    colour: usize,
    x: &dyn Fn(f64) -> f64,
    y: &dyn Fn(f64) -> f64,
    legend: (f64, f64),
) -> String {
    let line: Vec<String> =
        points.iter().map(|(place, spread, _)| format!("{:.1},{:.1}", x(*place), y(spread.median()))).collect();
    let mut text = format!("<g class=\"c{colour}\"><polyline class=\"line\" points=\"{}\"/>\n", line.join(" "));
    for (place, value) in points.iter().flat_map(|(place, _, values)| values.iter().map(move |value| (place, value)))
    {
        let _ = writeln!(text, "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", x(*place), y(*value));
    }
    let (left, place) = legend;
    let _ = writeln!(
        text,
        "<line class=\"line\" x1=\"{left:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/></g>\
         <text x=\"{:.1}\" y=\"{place:.1}\">{}</text>",
        left + 18.0,
        place - 4.5,
        place - 4.5,
        left + 24.0,
        escaped(label)
    );
    text
}
