//! The browser tests' two programs, Chromium and its driver.

use std::path::Path;

use crate::{Result, debian, process::find_program};

const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const DRIVERS: [&str; 1] = ["chromedriver"];

/// Makes sure that both are on `PATH`; installs them where apt-get can.
pub fn ensure() -> Result {
    let expectation = format!(
        "the browser tests need a Chromium ({}) and `{}` on PATH",
        BROWSERS.map(|name| format!("`{name}`")).join(", "),
        DRIVERS.join(", "),
    );
    debian::ensure(&expectation, "chromium chromium-driver", || {
        let (browser, driver) = (find_program(&BROWSERS)?, find_program(&DRIVERS)?);
        Some(format!("{}, {}", file_name(&browser), file_name(&driver)))
    })
}

fn file_name(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
