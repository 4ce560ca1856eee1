//! Taking turns: what is compared was measured within the same few milliseconds, in which the machine was as busy.

use std::hint::black_box;
use std::time::Instant;

use crate::random::Random;
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

/// Has all answer `turn` questions in each round, in an order that is drawn anew for every round: who comes after whom makes a
/// difference, as each finds the caches as the one before has left them. Within a round, no two are asked the same questions:
/// else one would find in the caches what another on the same facts has just fetched. Microseconds a check for each
/// contender, by rounds.
pub fn by_turns(
    contenders: &mut [Contender<'_>],
    queries: &[Query],
    rounds: usize,
    turn: usize,
) -> Vec<Vec<f64>> {
    let chunks: Vec<&[Query]> = queries.chunks(turn).collect();
    let mut micros = vec![Vec::with_capacity(rounds); contenders.len()];
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    let mut random = Random::new(1);
    for round in 0..rounds {
        for place in (1..order.len()).rev() {
            order.swap(place, random.below(place + 1));
        }
        for number in order.iter().copied() {
            let chunk = (round + number * chunks.len() / order.len()) % chunks.len();
            let asked = (contenders.get_mut(number), micros.get_mut(number), chunks.get(chunk));
            if let (Some(contender), Some(micros), Some(queries)) = asked {
                micros.push(contender.turn(chunk * turn, queries));
            }
        }
    }
    micros
}
