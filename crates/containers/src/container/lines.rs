//! The lines of a Dockerfile as its builder joins them: continuations, comments between them, heredocs.

use std::sync::LazyLock;

use regex::Regex;

/// One instruction's text.
#[derive(Debug, Default)]
pub struct Line {
    /// Where it begins, from 1.
    pub number: usize,
    /// In one line.
    pub text: String,
    /// What its heredocs hold.
    pub heredocs: Vec<String>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static HEREDOC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?:^|\s)\d*<<(-?)["']?([A-Za-z_]\w*)["']?"#).expect("the pattern is valid"));

/// Joins the lines of a text.
pub fn logical_lines(text: &str) -> Vec<Line> {
    let text = text.trim_start_matches('\u{feff}');
    let escape = escape(text);
    let mut lines = text.lines().enumerate();
    let mut joined = Vec::new();
    let mut open: Option<Line> = None;
    while let Some((index, raw)) = lines.next() {
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let mut line = open.take().unwrap_or_else(|| Line { number: index + 1, ..Line::default() });
        if let Some(start) = raw.trim_end().strip_suffix(escape) {
            line.text.push_str(start);
            line.text.push(' ');
            open = Some(line);
            continue;
        }
        line.text.push_str(raw.trim_end());
        if may_hold_heredocs(&line.text) {
            let marks: Vec<(bool, String)> =
                HEREDOC.captures_iter(&line.text).map(|mark| (!mark[1].is_empty(), mark[2].to_owned())).collect();
            for (tabs, mark) in marks {
                match heredoc(&mut lines, tabs, &mark) {
                    (body, true) => line.heredocs.push(body),
                    (_, false) => line.problem = Some(format!("the heredoc {mark} never ends")),
                }
            }
        }
        joined.push(line);
    }
    joined.extend(open);
    joined
}

fn heredoc<'t>(lines: &mut impl Iterator<Item = (usize, &'t str)>, tabs: bool, mark: &str) -> (String, bool) {
    let mut body = String::new();
    for (_, line) in lines {
        let plain = if tabs { line.trim_start_matches('\t') } else { line };
        if plain == mark {
            return (body, true);
        }
        body.push_str(plain);
        body.push('\n');
    }
    (body, false)
}

fn may_hold_heredocs(text: &str) -> bool {
    let keyword = text.split_whitespace().next().unwrap_or_default();
    ["RUN", "COPY", "ADD"].iter().any(|one| keyword.eq_ignore_ascii_case(one))
}

/// The character that joins lines: a directive in the first lines may name another one.
fn escape(text: &str) -> char {
    for line in text.lines() {
        let Some(directive) = line.trim().strip_prefix('#') else { break };
        let Some((key, value)) = directive.split_once('=') else { break };
        if key.trim().eq_ignore_ascii_case("escape") && value.trim() == "`" {
            return '`';
        }
    }
    '\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        logical_lines(text).into_iter().map(|line| (line.number, line.text)).collect()
    }

    #[test]
    fn continuations_with_comments_and_blank_lines_between() {
        let text = "FROM a\nRUN x \\\n  # why\n\n  && y\n# RUN z\nCMD c\n";
        assert_eq!(texts(text), [(1, "FROM a".into()), (2, "RUN x    && y".into()), (7, "CMD c".into())]);
    }

    #[test]
    fn another_escape_and_heredocs() {
        assert_eq!(texts("# escape=`\nFROM a\nCOPY c:\\ `\n d\n").len(), 2);
        let lines = logical_lines(
            "FROM a\nRUN <<EOF\npip install x\n# FROM b\nEOF\nCOPY <<-\"A\" <<B /x/\n\t1\n\tA\n2\nB\nUSER u\n",
        );
        assert_eq!(lines.iter().map(|line| line.heredocs.len()).collect::<Vec<_>>(), [0, 1, 2, 0]);
        assert_eq!(lines[2].heredocs, ["1\n", "2\n"]);
        assert!(logical_lines("RUN <<EOF\nx\n")[0].problem.is_some());
        assert!(logical_lines("RUN cat <<<x\nCMD y\n")[0].heredocs.is_empty());
    }
}
