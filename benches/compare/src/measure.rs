//! Taking turns: what is compared was measured within the same few milliseconds, in which the machine was as busy.

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use crate::workload::Query;

/// Whether the question with this number, which is this one, is to be allowed.
type Ask<'a> = Box<dyn FnMut(usize, &Query) -> bool + 'a>;

/// Something that answers the question with this number.
pub struct Contender<'a> {
    /// What it is called.
    pub name: &'static str,
    /// Whether it allows this.
    ask: Ask<'a>,
}

impl<'a> Contender<'a> {
    /// A contender of this name.
    pub fn new(name: &'static str, ask: impl FnMut(usize, &Query) -> bool + 'a) -> Self {
        Self { name, ask: Box::new(ask) }
    }

    /// How many questions it answers wrongly.
    pub fn mismatches(&mut self, queries: &[Query]) -> usize {
        let ask = &mut self.ask;
        queries.iter().enumerate().filter(|(number, query)| ask(*number, query) != query.is_allowed).count()
    }

    /// Microseconds a check, over these questions, of which the first has this number.
    #[expect(clippy::disallowed_methods, reason = "measuring time is what a benchmark is for")]
    fn turn(&mut self, first: usize, queries: &[Query]) -> f64 {
        let start = Instant::now();
        for (number, query) in (first..).zip(queries) {
            black_box((self.ask)(number, query));
        }
        start.elapsed().as_secs_f64() * 1e6 / queries.len() as f64
    }
}

/// Has all answer `turn` questions in each round, another contender first in every round. Within a round, no two are asked
/// the same questions: else one would find in the caches what another on the same facts has just fetched. Microseconds a
/// check for each contender, by rounds.
pub fn by_turns(
    contenders: &mut [Contender<'_>],
    queries: &[Query],
    rounds: usize,
    turn: usize,
) -> Vec<Vec<f64>> {
    let chunks: Vec<&[Query]> = queries.chunks(turn).collect();
    let mut micros = vec![Vec::with_capacity(rounds); contenders.len()];
    let count = contenders.len();
    for round in 0..rounds {
        for place in 0..count {
            let number = (round + place) % count;
            let chunk = (round + number * chunks.len() / count) % chunks.len();
            let asked = (contenders.get_mut(number), micros.get_mut(number), chunks.get(chunk));
            if let (Some(contender), Some(micros), Some(queries)) = asked {
                micros.push(contender.turn(chunk * turn, queries));
            }
        }
    }
    micros
}

/// Numbers in order: what several rounds came to.
#[derive(Debug, Clone)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// The spread of these numbers.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        Self(numbers)
    }

    /// The spread of the ratios of numbers that were measured in the same rounds.
    pub fn of_ratios(above: &[f64], below: &[f64]) -> Self {
        Self::of(above.iter().zip(below).map(|(above, below)| above / below))
    }

    fn quantile(&self, share: f64) -> f64 {
        let place = (self.0.len().saturating_sub(1) as f64 * share).round() as usize;
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }

    /// The number in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

impl fmt::Display for Spread {
    /// The median, with the quartiles in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let (low, high) = (self.quantile(0.25), self.quantile(0.75));
        write!(f, "{:.digits$} [{low:.digits$}, {high:.digits$}]", self.median())
    }
}
