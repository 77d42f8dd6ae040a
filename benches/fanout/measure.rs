//! What many runs say together.

/// Of the figures of some runs.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

pub(crate) fn spread(of: impl Iterator<Item = f64>) -> Spread {
    let mut of: Vec<_> = of.collect();
    of.sort_by(f64::total_cmp);
    Spread { median: of[of.len() / 2], least: of[0], most: of[of.len() - 1] }
}
