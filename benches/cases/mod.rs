//! Work that is done in two ways: each is measured by criterion, which tells what has changed since it
//! ran the last time, and then both in turn, of which a table and a chart are made.

use std::{env, time::Duration};

use criterion::{Criterion, Throughput};

use crate::{
    figures::{
        chart::{Bar, Chart, Kind},
        table::{Table, ratio},
    },
    side_by_side::{self, Runs, Timed},
};

/// One kind of work.
pub(crate) struct Case {
    /// How much work it is to do it once.
    pub(crate) units: u64,
    pub(crate) ours: Box<Timed<'static>>,
    /// Who does the same, and how, if anybody can.
    pub(crate) theirs: Option<(&'static str, Box<Timed<'static>>)>,
}

impl Case {
    pub(crate) fn new(units: u64, ours: impl FnMut(u64) -> Duration + 'static) -> Self {
        Self { units, ours: Box::new(ours), theirs: None }
    }

    pub(crate) fn beside(
        mut self,
        name: &'static str,
        theirs: impl FnMut(u64) -> Duration + 'static,
    ) -> Self {
        self.theirs = Some((name, Box::new(theirs)));
        self
    }
}

/// What is measured, and what came of it.
pub(crate) struct Cases {
    bench: &'static str,
    criterion: Criterion,
    options: Options,
    table: Table,
    chart: Chart,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// It is to work; the figures don't count.
    pub(crate) is_quick: bool,
    /// A part of the names of those that are wanted.
    filter: Option<String>,
}

impl Options {
    fn parse() -> Self {
        let arguments: Vec<_> = env::args().skip(1).collect();
        let has = |name: &str| arguments.iter().any(|it| it == name);
        // Without `--bench` it is run as a test is.
        let is_quick = has("--quick") || has("--test") || !has("--bench");
        Self { is_quick, filter: arguments.into_iter().find(|it| !it.starts_with('-')) }
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter))
    }
}

impl Cases {
    /// Takes what was asked for from the command line: `--quick`, a part of a name, and what criterion
    /// understands.
    pub(crate) fn new(bench: &'static str, title: &str) -> Self {
        let options = Options::parse();
        let time = |milliseconds| {
            Duration::from_millis(if options.is_quick { milliseconds / 50 } else { milliseconds })
        };
        let criterion = Criterion::default()
            .sample_size(10)
            .warm_up_time(time(500))
            .measurement_time(time(1_000))
            .nresamples(if options.is_quick { 1_000 } else { 20_000 })
            .configure_from_args();
        let titles = ["", "realtime", "other", "ours : theirs", "the other is"];
        Self { bench, criterion, options, table: Table::new(&titles), chart: Chart::new(title) }
    }

    #[allow(dead_code, reason = "not every benchmark measures otherwise")]
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Measures what `make` makes, if it is wanted. The figure is nanoseconds for a unit of work.
    pub(crate) fn measure(&mut self, name: &str, make: impl FnOnce() -> Case) {
        if !self.options.wants(name) {
            return;
        }
        let mut case = make();
        let mut group = self.criterion.benchmark_group(self.bench);
        group.throughput(Throughput::Elements(case.units));
        let theirs = case.theirs.as_mut().map(|(name, theirs)| (*name, theirs));
        for (who, work) in [("realtime", &mut case.ours)].into_iter().chain(theirs) {
            let name = format!("{name}/{who}");
            group.bench_function(name, |bencher| bencher.iter_custom(&mut *work));
        }
        group.finish();
        let runs = match self.options.is_quick {
            true => Runs { count: 3, time: Duration::from_millis(1) },
            false => Runs { time: Duration::from_millis(50), ..Runs::default() },
        };
        let (ours, other) = match &mut case.theirs {
            Some((who, theirs)) => {
                let sides = [&mut *case.ours, &mut **theirs];
                let [ours, theirs] = side_by_side::medians(runs, case.units, sides);
                (ours, Some((*who, theirs)))
            }
            None => (side_by_side::medians(runs, case.units, [&mut *case.ours])[0], None),
        };
        self.add(name, ours, other);
    }

    fn add(&mut self, name: &str, ours: f64, other: Option<(&str, f64)>) {
        let theirs = other.map(|(_, theirs)| theirs);
        self.table.row(vec![
            name.to_owned(),
            nanoseconds(ours),
            theirs.map_or_else(|| "–".to_owned(), nanoseconds),
            ratio(ours, theirs),
            other.map_or("–", |(who, _)| who).to_owned(),
        ]);
        let bar = |name: &str, kind, figure| Bar {
            name: name.to_owned(),
            kind,
            figure,
            text: nanoseconds(figure),
        };
        let mut bars = vec![bar("realtime", Kind::Ours, ours)];
        bars.extend(other.map(|(who, theirs)| bar(who, Kind::Rival, theirs)));
        self.chart.panel(name, bars);
    }

    /// Adds to the chart what was measured otherwise.
    #[allow(dead_code, reason = "not every benchmark measures otherwise")]
    pub(crate) fn panel(&mut self, title: &str, bars: Vec<Bar>) {
        self.chart.panel(title, bars);
    }

    /// Prints the table, and writes the chart.
    pub(crate) fn finish(self) {
        self.criterion.final_summary();
        println!("\nnanoseconds, both in turn in one run, medians:");
        self.table.print();
        self.chart.write(self.bench);
    }
}

fn nanoseconds(figure: f64) -> String {
    match figure {
        ..100.0 => format!("{figure:.1} ns"),
        ..100_000.0 => format!("{figure:.0} ns"),
        _ => format!("{:.0} µs", figure / 1_000.0),
    }
}
