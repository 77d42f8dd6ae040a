//! The timed steps of one command, and the line that sums them up.

use std::time::Instant;

use crate::Result;

/// Runs steps one by one and remembers how each went.
#[derive(Debug)]
pub struct Steps {
    command: &'static str,
    began: Instant,
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    seconds: f64,
    passed: bool,
}

impl Steps {
    pub fn new(command: &'static str) -> Self {
        Self { command, began: Instant::now(), done: Vec::new() }
    }

    /// Runs one step, prints its complaint, and says whether it passed.
    pub fn run(&mut self, name: impl Into<String>, work: impl FnOnce() -> Result) -> bool {
        let name = name.into();
        println!("== {}: {name}", self.command);
        let began = Instant::now();
        let result = work();
        if let Err(reason) = &result {
            println!("{}: {name}: {reason}", self.command);
        }
        let passed = result.is_ok();
        self.done.push(Step { name, seconds: began.elapsed().as_secs_f64(), passed });
        passed
    }

    /// Prints the summary, or gives it back as the failure.
    pub fn finish(self) -> Result {
        let total = self.began.elapsed().as_secs_f64();
        let failed: Vec<&str> =
            self.done.iter().filter(|step| !step.passed).map(|step| step.name.as_str()).collect();
        if failed.is_empty() {
            let each: Vec<String> = self
                .done
                .iter()
                .map(|step| format!("{} {:.1} s", step.name, step.seconds))
                .collect();
            println!("xtask {}: passed in {total:.1} s ({})", self.command, each.join(", "));
            Ok(())
        } else {
            Err(format!("{}: failed after {total:.1} s: {}", self.command, failed.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_command_and_is_named() {
        let mut steps = Steps::new("sample");
        assert!(steps.run("first", || Ok(())));
        assert!(!steps.run("second", || Err("no".to_owned())));
        let summary = steps.finish().expect_err("one step failed");
        assert!(summary.ends_with(": second"), "{summary}");
    }

    #[test]
    fn passed_steps_pass() {
        let mut steps = Steps::new("sample");
        assert!(steps.run("only", || Ok(())));
        assert!(steps.finish().is_ok());
    }
}
