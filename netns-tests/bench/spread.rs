//! Statistics of measured values.
//!
//! Owns: sorted values of a figure's runs, and quantiles of times. Never does: knowing what was
//! measured. A spread has at least one value, so that every statistic of it exists.

use std::time::Duration;

/// Values of one figure's runs, in ascending order.
#[derive(Clone, Debug)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// Sorts the values; `None` when there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Spread(values))
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.0.len()
    }

    /// The least value.
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The value in the middle; for an even number of runs the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 { self.0[middle] } else { f64::midpoint(self.0[middle - 1], self.0[middle]) }
    }

    /// Least value that nine of ten runs do not exceed (nearest rank).
    pub fn p90(&self) -> f64 {
        self.0[(self.0.len() * 9).div_ceil(10) - 1]
    }

    /// The greatest value.
    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }
}

/// Least time that all but `share` in a million of the times do not exceed; `times` ascend.
pub fn exceeded_by(times: &[Duration], share: usize) -> Duration {
    times[(times.len() - 1).saturating_sub(times.len() * share / 1_000_000)]
}
