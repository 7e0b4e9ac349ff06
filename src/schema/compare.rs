//! The difference between two schemas.
//!
//! In: two schemas, each a list of lines. Out: the lines in which they differ.

/// Returns the lines in which two schemas differ. A line with `-` is only in the first
/// schema, a line with `+` only in the second. The result is empty if they are equal.
pub(crate) fn difference(first: &[String], second: &[String]) -> String {
    // The length of the longest common subsequence from each pair of positions on.
    let mut common = vec![vec![0_usize; second.len() + 1]; first.len() + 1];
    for i in (0..first.len()).rev() {
        for j in (0..second.len()).rev() {
            common[i][j] = match first[i] == second[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut text = String::new();
    while i < first.len() || j < second.len() {
        let (sign, line) = match (first.get(i), second.get(j)) {
            (Some(one), Some(other)) if one == other => {
                (i, j) = (i + 1, j + 1);
                continue;
            }
            (Some(one), other) if other.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                i += 1;
                ('-', one)
            }
            (_, Some(other)) => {
                j += 1;
                ('+', other)
            }
            // This arm is unreachable, because the loop ends when both lists have ended.
            (_, None) => break,
        };
        text += &format!("\n  {sign} {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_has_lines_of_only_one_schema() {
        let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        assert_eq!(difference(&lines("abc"), &lines("abc")), "");
        assert_eq!(difference(&lines("abc"), &lines("adc")), "\n  - b\n  + d");
        assert_eq!(difference(&lines("ab"), &lines("ba")), "\n  - a\n  + a");
        assert_eq!(difference(&lines(""), &lines("a")), "\n  + a");
        assert_eq!(difference(&lines("ab"), &lines("")), "\n  - a\n  - b");
    }
}
