//! How long, on which adapters, with which seed.

use std::time::{Duration, SystemTime};

use crate::{Result, testbed::ADAPTERS};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub adapters: Vec<&'static str>,
    /// How long it storms on each adapter.
    pub each: Duration,
    pub seed: u64,
}

impl Options {
    pub fn parse(arguments: &[&str]) -> Result<Self> {
        let mut adapters = ADAPTERS.to_vec();
        let (mut seconds, mut seed) = (60, None);
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let mut value = || {
                arguments.next().copied().ok_or_else(|| format!("`{name}` needs a value after it"))
            };
            match *name {
                "--adapter" => adapters = vec![adapter(value()?)?],
                "--minutes" => seconds = number(name, value()?)?.saturating_mul(60),
                "--seconds" => seconds = number(name, value()?)?,
                "--seed" => seed = Some(number(name, value()?)?),
                other => {
                    return Err(format!(
                        "unknown option `{other}`; soak knows --minutes, --seconds, --adapter and --seed"
                    ));
                }
            }
        }
        let each = Duration::from_secs(seconds) / adapters.len() as u32;
        if each < LEAST {
            return Err(format!(
                "{seconds} s for all of {} is too short: each needs {} s",
                adapters.join(", "),
                LEAST.as_secs()
            ));
        }
        Ok(Self { adapters, each, seed: seed.unwrap_or_else(any_seed) })
    }
}

/// Shorter, and what the deadlines end does not end within the run.
const LEAST: Duration = Duration::from_secs(10);

fn adapter(name: &str) -> Result<&'static str> {
    ADAPTERS
        .into_iter()
        .find(|adapter| *adapter == name)
        .ok_or_else(|| format!("`--adapter` is one of {}, not `{name}`", ADAPTERS.join(", ")))
}

fn number(name: &str, value: &str) -> Result<u64> {
    value.parse().map_err(|_| format!("`{name}` takes a number, not `{value}`"))
}

/// Another one each time, short enough to be typed.
fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64 % 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_for_all_adapters_together() {
        let options = Options::parse(&["--minutes", "1", "--seed", "7"]).expect("valid");
        assert_eq!((options.each, options.seed), (Duration::from_secs(20), 7));
        let options = Options::parse(&["--seconds", "30", "--adapter", "actix"]).expect("valid");
        assert_eq!(options.adapters, ["actix"]);
        assert_eq!(options.each, Duration::from_secs(30));
    }

    #[test]
    fn mistakes_are_told() {
        let told = |arguments: &[&str]| Options::parse(arguments).expect_err("a mistake");
        assert!(told(&["--seconds", "10"]).contains("too short"));
        assert!(told(&["--adapter", "warp"]).contains("axum, actix, hyper"));
        assert!(told(&["--fast"]).contains("--minutes"));
        assert!(told(&["--seed"]).contains("needs a value"));
    }
}
