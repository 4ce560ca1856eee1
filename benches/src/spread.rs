//! What several measurements came to.

/// Numbers in order: what several measurements came to.
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
    #[must_use]
    pub fn of_ratios(above: &[f64], below: &[f64]) -> Self {
        Self::of(above.iter().zip(below).map(|(above, below)| above / below))
    }

    fn quantile(&self, share: f64) -> f64 {
        let place = (self.0.len().saturating_sub(1) as f64 * share).round() as usize;
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }

    /// The number in the middle.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

impl std::fmt::Display for Spread {
    /// The median, with the quartiles in brackets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let (low, high) = (self.quantile(0.25), self.quantile(0.75));
        write!(f, "{:.digits$} [{low:.digits$}, {high:.digits$}]", self.median())
    }
}
