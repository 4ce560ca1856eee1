//! Grants against microseconds as an SVG, both axes logarithmic.
//!
//! The background is the page's own. Texts and lines have middling tones for a light one, and others where the reader's
//! setting is dark.

use std::fmt::Write as _;

/// A line: a name, and microseconds by grants.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// Grants, and microseconds a check.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 850.0;
const HEIGHT: f64 = 470.0;

/// The edges of the area that has the lines.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 590.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 400.0;

/// Between two labels, at the least.
const LABEL: f64 = 17.0;

/// A colour for light backgrounds and one for dark ones, and dashes. No two lines look alike: as many as contenders.
const LOOKS: [(&str, &str, &str); 8] = [
    ("#0b62c4", "#6cb1ff", ""),
    ("#0b62c4", "#6cb1ff", "5 4"),
    ("#0b62c4", "#6cb1ff", "1.5 3"),
    ("#b54708", "#ffa657", ""),
    ("#7a3fb5", "#d2a8ff", ""),
    ("#7a3fb5", "#d2a8ff", "5 4"),
    ("#7a3fb5", "#d2a8ff", "1.5 3"),
    ("#1a7f37", "#56d364", ""),
];

/// What lies between two powers on one axis, and where on the page.
#[derive(Debug, Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis on which all of these numbers are.
    fn around(numbers: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = numbers.clone().fold(f64::INFINITY, f64::min);
        let high = numbers.fold(0.0, f64::max);
        Self { low: low.log10(), high: high.log10(), from, to }
    }

    /// The same, with some room on both sides.
    fn widened(self, room: f64) -> Self {
        Self { low: self.low - room, high: self.high + room, ..self }
    }

    fn at(self, number: f64) -> f64 {
        let span = (self.high - self.low).max(f64::EPSILON);
        self.from + (number.log10() - self.low) / span * (self.to - self.from)
    }

    /// The numbers with these first digits that are on it.
    fn ticks(self, digits: &[f64]) -> Vec<f64> {
        let powers = (self.low.floor() as i32)..=(self.high.ceil() as i32);
        let ticks = powers.flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)));
        ticks.filter(|tick| (self.low - 1e-9..=self.high + 1e-9).contains(&tick.log10())).collect()
    }
}

/// `1 k`, `1 M`: a number of grants in few letters.
pub fn short(grants: f64) -> String {
    match grants {
        many if many >= 1e6 => format!("{} M", many / 1e6),
        many if many >= 1e3 => format!("{} k", many / 1e3),
        few => few.to_string(),
    }
}

fn style() -> String {
    let colours = |pick: fn(&(&'static str, &'static str, &'static str)) -> &'static str| {
        let rule = |(number, look)| {
            let colour = pick(look);
            format!(".l{number}{{stroke:{colour}}}.t{number}{{fill:{colour}}}")
        };
        LOOKS.iter().enumerate().map(rule).collect::<String>()
    };
    let (light, dark) = (colours(|look| look.0), colours(|look| look.1));
    format!(
        "<style>text{{font:13px system-ui,sans-serif;fill:#57606a}}.title{{font-size:16px;font-weight:600}}\
         path{{fill:none;stroke-width:2}}.grid{{stroke:#8c959f;stroke-opacity:.35;stroke-width:1}}{light}\
         @media(prefers-color-scheme:dark){{text{{fill:#b1bac4}}{dark}}}</style>\n"
    )
}

fn text(page: &mut String, (x, y): (f64, f64), attributes: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    // Writing to a string does not fail.
    let _ = writeln!(page, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{words}</text>");
}

fn grid(page: &mut String, across: Axis, up: Axis) {
    for grants in across.ticks(&[1.0]) {
        let x = across.at(grants);
        let _ = writeln!(page, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{BOTTOM}\"/>");
        text(page, (x, BOTTOM + 20.0), "text-anchor=\"middle\"", &short(grants));
    }
    for micros in up.ticks(&[1.0, 2.0, 5.0]) {
        let y = up.at(micros);
        let _ = writeln!(page, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
        let digits = usize::from(micros < 1.0);
        text(page, (LEFT - 8.0, y + 4.0), "text-anchor=\"end\"", &format!("{micros:.digits$}"));
    }
    text(page, (f64::midpoint(LEFT, RIGHT), BOTTOM + 46.0), "text-anchor=\"middle\"", "grants");
    text(page, (LEFT - 8.0, TOP - 14.0), "text-anchor=\"end\"", "µs");
}

/// Where labels go that would be at these heights: none over another. By the number of the line.
fn label_heights(wanted: &[f64]) -> Vec<f64> {
    let mut order: Vec<(usize, f64)> = wanted.iter().copied().enumerate().collect();
    order.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let mut above = f64::NEG_INFINITY;
    for (_, height) in &mut order {
        *height = height.max(above + LABEL);
        above = *height;
    }
    order.sort_by_key(|(number, _)| *number);
    order.into_iter().map(|(_, height)| height).collect()
}

/// The plot of these lines.
pub fn svg(title: &str, lines: &[Line]) -> String {
    let points = lines.iter().flat_map(|line| &line.points);
    let across = Axis::around(points.clone().map(|point| point.0), LEFT, RIGHT);
    let up = Axis::around(points.map(|point| point.1), BOTTOM, TOP).widened(0.1);
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         role=\"img\" aria-label=\"{title}\">\n"
    );
    page.push_str(&style());
    text(&mut page, (LEFT, 26.0), "class=\"title\"", title);
    grid(&mut page, across, up);
    let last = |line: &Line| line.points.last().map_or((RIGHT, BOTTOM), |(x, y)| (across.at(*x), up.at(*y)));
    let wanted: Vec<f64> = lines.iter().map(|line| last(line).1).collect();
    let heights = label_heights(&wanted);
    for (number, (line, height)) in lines.iter().zip(heights).enumerate() {
        let look = number % LOOKS.len();
        let dashes = LOOKS.get(look).map_or("", |look| look.2);
        let mut path = String::new();
        for (place, (grants, micros)) in line.points.iter().enumerate() {
            let (x, y) = (across.at(*grants), up.at(*micros));
            let _ = write!(path, "{}{x:.1} {y:.1}", if place == 0 { "M" } else { "L" });
            let _ = writeln!(page, "<circle class=\"t{look}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>");
        }
        let _ = writeln!(page, "<path class=\"l{look}\" stroke-dasharray=\"{dashes}\" d=\"{path}\"/>");
        let words = format!("{} {:.2}", line.name, line.points.last().map_or(f64::NAN, |point| point.1));
        // Beside the line's end; where others go on, a little lower.
        let (x, _) = last(line);
        let lower = if x < RIGHT - 1.0 { 9.0 } else { 4.0 };
        text(&mut page, (x + 8.0, height + lower), &format!("class=\"t{look}\""), &words);
    }
    page.push_str("</svg>\n");
    page
}
