//! What the suite found, and whether that is good enough.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use serde_json::Value;

use crate::Result;

/// Other outcomes (`FAILED`, and whatever the suite may invent) fail the run.
const GOOD_BEHAVIOURS: [&str; 4] = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"];
/// Other closes (`WRONG CODE`, `UNCLEAN`, `FAILED BY CLIENT`) fail the run.
const GOOD_CLOSES: [&str; 2] = ["OK", "INFORMATIONAL"];

/// The outcome of every case, in the suite's order.
#[derive(Debug)]
pub struct Report {
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    /// `1.2.3`, as numbers.
    id: Vec<u32>,
    behaviour: String,
    close: String,
    details: String,
}

impl Report {
    /// Reads the suite's `index.json`, which has one agent.
    pub fn parse(index: &str) -> Result<Self> {
        let index: Value = serde_json::from_str(index)
            .map_err(|error| format!("the suite's index.json should be JSON: {error}"))?;
        let agents = index.as_object().filter(|agents| agents.len() == 1);
        let cases = agents.and_then(|agents| agents.values().next()?.as_object());
        let Some(cases) = cases else {
            return Err("the suite's index.json should have one agent with its cases".to_owned());
        };
        let mut cases =
            cases.iter().map(|(id, case)| Case::parse(id, case)).collect::<Result<Vec<_>>>()?;
        cases.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(Self { cases })
    }

    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// A line for each set of cases that are not OK in the same way; the reasons come from the
    /// cases' own reports in `folder`.
    pub fn remarks(&self, folder: &Path) -> Vec<String> {
        let mut alike: BTreeMap<(bool, &str, &str, String), Vec<String>> = BTreeMap::new();
        for case in self.cases.iter().filter(|case| !case.is_ok()) {
            let key =
                (!case.fails(), case.behaviour.as_str(), case.close.as_str(), case.reason(folder));
            alike.entry(key).or_default().push(case.name());
        }
        alike
            .into_iter()
            .map(|((passes, behaviour, close, reason), names)| {
                let word = if passes { "note" } else { "FAIL" };
                format!("{word}: {behaviour}, close {close}: {}\n      {reason}", names.join(" "))
            })
            .collect()
    }

    /// Whether every case is good, and as many ran as expected.
    pub fn verdict(&self, expected: Option<usize>) -> Result {
        let failed = self.cases.iter().filter(|case| case.fails()).count();
        let ran = self.len();
        if failed > 0 {
            return Err(format!("{failed} of {ran} cases failed, listed above"));
        }
        match expected {
            Some(expected) if expected != ran => {
                Err(format!("{expected} cases should have run, and {ran} did"))
            }
            None if ran == 0 => Err("no case has such a number; see `--cases`".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Counts per group, behaviours first, then closes.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let behaviours: BTreeSet<&str> = self.cases.iter().map(|case| &*case.behaviour).collect();
        let closes: BTreeSet<&str> = self.cases.iter().map(|case| &*case.close).collect();
        let mut groups: BTreeMap<u32, Vec<&Case>> = BTreeMap::new();
        for case in &self.cases {
            groups.entry(case.group()).or_default().push(case);
        }
        let headings = behaviours
            .iter()
            .map(|behaviour| (*behaviour).to_owned())
            .chain(closes.iter().map(|close| format!("close {close}")));
        let headings: Vec<String> = headings.collect();
        writeln!(f, "group  cases  {}", headings.join("  "))?;
        let rows = groups.iter().map(|(group, cases)| (group.to_string(), cases.clone()));
        for (name, cases) in rows.chain([("all".to_owned(), self.cases.iter().collect())]) {
            let counts = behaviours
                .iter()
                .map(|wanted| cases.iter().filter(|case| case.behaviour == *wanted).count())
                .chain(
                    closes
                        .iter()
                        .map(|wanted| cases.iter().filter(|case| case.close == *wanted).count()),
                );
            write!(f, "{name:>5}  {:>5}", cases.len())?;
            for (count, heading) in counts.zip(&headings) {
                write!(f, "  {count:>width$}", width = heading.len())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Case {
    fn parse(id: &str, case: &Value) -> Result<Self> {
        let text = |name: &str| {
            case.get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| format!("case {id} in index.json should have a text `{name}`"))
        };
        let numbers: std::result::Result<Vec<u32>, _> = id.split('.').map(str::parse).collect();
        Ok(Self {
            id: numbers.map_err(|error| format!("`{id}` should be a case number: {error}"))?,
            behaviour: text("behavior")?,
            close: text("behaviorClose")?,
            details: text("reportfile")?,
        })
    }

    fn group(&self) -> u32 {
        self.id.first().copied().unwrap_or_default()
    }

    fn name(&self) -> String {
        self.id.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
    }

    fn is_ok(&self) -> bool {
        self.behaviour == "OK" && self.close == "OK"
    }

    fn fails(&self) -> bool {
        !GOOD_BEHAVIOURS.contains(&self.behaviour.as_str())
            || !GOOD_CLOSES.contains(&self.close.as_str())
    }

    /// The suite's own words on this case.
    fn reason(&self, folder: &Path) -> String {
        let file = folder.join(Path::new(&self.details).with_extension("json"));
        let details: Option<Value> =
            fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok());
        let Some(details) = details else {
            return "(the case has no report of its own)".to_owned();
        };
        let say = |name: &str| details.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        format!("{} {}", say("result"), say("resultClose"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(cases: &[(&str, &str, &str)]) -> Report {
        let cases: serde_json::Map<String, Value> = cases
            .iter()
            .map(|(id, behaviour, close)| {
                let case = serde_json::json!({
                    "behavior": behaviour,
                    "behaviorClose": close,
                    "reportfile": "none.html",
                });
                ((*id).to_owned(), case)
            })
            .collect();
        Report::parse(&serde_json::json!({ "testbed": cases }).to_string()).expect("it is an index")
    }

    #[test]
    fn good_outcomes_pass() {
        for behaviour in GOOD_BEHAVIOURS {
            for close in GOOD_CLOSES {
                assert_eq!(report(&[("1.1.1", behaviour, close)]).verdict(Some(1)), Ok(()));
            }
        }
    }

    #[test]
    fn bad_outcomes_fail() {
        for (behaviour, close) in [
            ("FAILED", "OK"),
            ("UNHEARD OF", "OK"),
            ("OK", "WRONG CODE"),
            ("OK", "UNCLEAN"),
            ("OK", "FAILED BY CLIENT"),
            ("OK", "FAILED"),
        ] {
            let report = report(&[("1.1.1", "OK", "OK"), ("1.1.2", behaviour, close)]);
            let complaint = report.verdict(Some(2)).expect_err("one case is bad");
            assert!(complaint.contains("1 of 2"), "{complaint}");
            let remarks = report.remarks(Path::new("."));
            assert_eq!(remarks.len(), 1);
            assert!(remarks[0].starts_with("FAIL") && remarks[0].contains("1.1.2"), "{remarks:?}");
        }
    }

    #[test]
    fn a_run_that_tested_too_little_fails() {
        let one = report(&[("1.1.1", "OK", "OK")]);
        assert!(one.verdict(Some(301)).is_err());
        assert_eq!(one.verdict(None), Ok(()));
        assert!(report(&[]).verdict(None).is_err());
    }

    #[test]
    fn counts_are_per_group_in_numeric_order() {
        let table = report(&[
            ("10.1.1", "OK", "OK"),
            ("2.1", "NON-STRICT", "OK"),
            ("2.10", "OK", "OK"),
            ("2.9", "OK", "UNCLEAN"),
        ])
        .to_string();
        let rows: Vec<Vec<&str>> =
            table.lines().skip(1).map(|row| row.split_whitespace().collect()).collect();
        assert_eq!(
            rows,
            [
                ["2", "3", "1", "2", "2", "1"],
                ["10", "1", "0", "1", "1", "0"],
                ["all", "4", "1", "3", "3", "1"],
            ]
        );
    }

    #[test]
    fn a_strange_index_is_told() {
        for index in [
            "",
            "[]",
            "{}",
            r#"{"a": {}, "b": {}}"#,
            r#"{"a": {"1.x": {}}}"#,
            r#"{"a": {"1": {}}}"#,
        ] {
            assert!(Report::parse(index).is_err(), "{index}");
        }
    }
}
