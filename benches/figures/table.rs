//! Text in columns.

/// Its first column is names, and the others are figures.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(titles: &[&str]) -> Self {
        Self { rows: vec![titles.iter().map(|it| (*it).to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    pub(crate) fn print(&self) {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<_> = (0..self.rows[0].len()).filter_map(width).collect();
        for row in &self.rows {
            print!("{:<1$}", row[0], widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                print!("  {cell:>width$}");
            }
            println!();
        }
    }
}

/// A figure's share of another, if there is one.
pub(crate) fn ratio(figure: f64, of: Option<f64>) -> String {
    of.map_or_else(|| "–".to_owned(), |of| format!("{:.2}", figure / of))
}
