//! Rounds in which servers take turns, and what their figures say together.

use crate::plan::{Entry, Plan};

/// Measures each server once in a round, so that what disturbs one disturbs the others; by server.
pub(crate) fn in_turn<T>(
    plan: &Plan,
    entries: &[Entry],
    mut measure: impl FnMut(Entry) -> T,
) -> Vec<Vec<T>> {
    let mut of: Vec<_> = entries.iter().map(|_| Vec::new()).collect();
    for _ in 0..plan.rounds {
        for (entry, figures) in entries.iter().zip(&mut of) {
            figures.push(measure(*entry));
        }
    }
    of
}

/// Of the figures of some rounds.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// All figures have to be some.
pub(crate) fn spread(of: impl IntoIterator<Item = f64>) -> Spread {
    let mut of: Vec<_> = of.into_iter().collect();
    assert!(of.iter().all(|it| it.is_finite() && *it > 0.0), "{of:?} are no figures");
    of.sort_by(f64::total_cmp);
    Spread { median: of[of.len() / 2], least: of[0], most: of[of.len() - 1] }
}

pub(crate) fn median(of: impl IntoIterator<Item = f64>) -> f64 {
    spread(of).median
}

/// What the server of that name has, if it was measured.
pub(crate) fn of(name: &str, entries: &[Entry], figures: &[f64]) -> Option<f64> {
    let place = entries.iter().position(|it| it.name == name)?;
    figures.get(place).copied()
}
