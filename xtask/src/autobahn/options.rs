//! Which adapters, which cases.

use crate::{Result, testbed::ADAPTERS};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub adapters: Vec<&'static str>,
    pub cases: Cases,
}

/// The cases to run, as the suite's patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cases {
    /// Groups 1 to 10. Groups 12 and 13 are compression, which the server does not offer.
    Standard,
    Chosen(Vec<String>),
}

impl Options {
    pub fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self { adapters: ADAPTERS.to_vec(), cases: Cases::Standard };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let mut value = || {
                arguments.next().copied().ok_or_else(|| format!("`{name}` needs a value after it"))
            };
            match *name {
                "--adapter" => options.adapters = vec![adapter(value()?)?],
                "--cases" => options.cases = Cases::chosen(value()?)?,
                other => {
                    return Err(format!(
                        "unknown option `{other}`; autobahn knows --adapter and --cases"
                    ));
                }
            }
        }
        Ok(options)
    }
}

impl Cases {
    pub fn included(&self) -> Vec<String> {
        match self {
            Self::Standard => vec!["*".to_owned()],
            Self::Chosen(patterns) => patterns.clone(),
        }
    }

    pub fn excluded(&self) -> &'static [&'static str] {
        match self {
            Self::Standard => &["11.*", "12.*", "13.*"],
            Self::Chosen(_) => &[],
        }
    }

    /// How many cases must have run, where that is known: fewer would pass without having tested.
    pub fn expected(&self) -> Option<usize> {
        match self {
            Self::Standard => Some(301),
            Self::Chosen(_) => None,
        }
    }

    fn chosen(list: &str) -> Result<Self> {
        let patterns: Vec<String> = list.split(',').map(|item| item.trim().to_owned()).collect();
        let is_pattern = |item: &String| {
            !item.is_empty()
                && item.bytes().all(|byte| byte.is_ascii_digit() || b".*".contains(&byte))
        };
        if patterns.iter().all(is_pattern) {
            Ok(Self::Chosen(patterns))
        } else {
            Err(format!("`--cases` takes patterns like '1.*,2.10', not `{list}`"))
        }
    }
}

fn adapter(name: &str) -> Result<&'static str> {
    ADAPTERS
        .into_iter()
        .find(|adapter| *adapter == name)
        .ok_or_else(|| format!("no adapter `{name}`; there are {}", ADAPTERS.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_by_default() {
        let options = Options::parse(&[]).expect("no options are valid");
        assert_eq!(options, Options { adapters: ADAPTERS.to_vec(), cases: Cases::Standard });
    }

    #[test]
    fn adapter_and_cases_are_chosen() {
        let options = Options::parse(&["--cases", "1.*,2.10", "--adapter", "actix"]);
        let cases = Cases::Chosen(vec!["1.*".to_owned(), "2.10".to_owned()]);
        assert_eq!(options, Ok(Options { adapters: vec!["actix"], cases }));
    }

    #[test]
    fn mistakes_are_told() {
        for (arguments, told) in [
            (&["--adapter"][..], "needs a value"),
            (&["--adapter", "rocket"], "no adapter `rocket`"),
            (&["--cases", ""], "takes patterns"),
            (&["--cases", "1.*;2"], "takes patterns"),
            (&["--fast"], "unknown option `--fast`"),
        ] {
            let complaint = Options::parse(arguments).expect_err("a mistake");
            assert!(complaint.contains(told), "{complaint}");
        }
    }
}
