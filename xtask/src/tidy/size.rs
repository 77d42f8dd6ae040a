//! No source file is long.

use crate::tidy::finding::Finding;

pub const RULE: &str = "file-size";

const LONGEST: usize = 500;
const LONG: usize = 400;

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if !path.ends_with(".rs") || lines <= LONG {
        return Vec::new();
    }
    let message = format!("{lines} lines, at most {LONGEST} are allowed; split it by concept");
    let finding = Finding::new(RULE, path, lines, message);
    vec![if lines > LONGEST { finding } else { finding.warning() }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finding::Weight;

    #[test]
    fn weight_grows_with_length() {
        let weight =
            |lines: usize| check("a.rs", &"\n".repeat(lines)).first().map(|finding| finding.weight);
        assert_eq!(weight(400), None);
        assert_eq!(weight(401), Some(Weight::Warning));
        assert_eq!(weight(500), Some(Weight::Warning));
        assert_eq!(weight(501), Some(Weight::Failure));
    }

    #[test]
    fn only_rust_is_measured() {
        assert_eq!(check("data.json", &"\n".repeat(9_000)), []);
    }
}
