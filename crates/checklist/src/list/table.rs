//! Rows of tables that ask for something: those with a box, and those of a table with a column for the state.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{
    boxes::{self, MarkPlace},
    claims::{self, Claim},
    lines::Line,
};

/// What a row says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub text: String,
    /// Of its box, when it has one.
    pub ticked: Option<bool>,
    pub claim: Option<Claim>,
    pub mark: Option<MarkPlace>,
}

/// A line of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The header, the line below it, or a row that asks for nothing.
    Other,
    Asks(Row),
}

static SEPARATOR: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(r"^[\s>]*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$").expect("the pattern is valid")
});

const STATE_HEADERS: &[&str] = &[
    "status",
    "state",
    "done",
    "done?",
    "complete",
    "completed",
    "complete?",
    "ready",
    "ready?",
    "ok",
    "ok?",
    "pass",
    "implemented",
    "implemented?",
    "progress",
    "✓",
    "✅",
    "✔",
    "in place",
    "in place?",
];
const NAME_HEADERS: &[&str] = &[
    "item",
    "task",
    "check",
    "requirement",
    "control",
    "feature",
    "action",
    "what",
    "description",
    "topic",
    "todo",
    "gap",
    "name",
    "criterion",
    "criteria",
    "question",
    "measure",
    "step",
];
const DETAIL_HEADERS: &[&str] = &["description", "detail", "details", "requirement", "what", "how", "explanation"];

/// What each line is, for those that belong to a table.
pub(super) fn parts(lines: &[Line]) -> Vec<Option<Part>> {
    let mut parts: Vec<Option<Part>> = lines.iter().map(|_| None).collect();
    let mut index = 1;
    while index < lines.len() {
        let header = &lines[index - 1].text;
        if !(lines[index].text.contains('|') && header.contains('|') && SEPARATOR.is_match(&lines[index].text)) {
            index += 1;
            continue;
        }
        let columns = Columns::new(header);
        parts[index - 1] = Some(Part::Other);
        parts[index] = Some(Part::Other);
        index += 1;
        while index < lines.len() && lines[index].text.contains('|') {
            parts[index] = Some(columns.row(&lines[index]).map_or(Part::Other, Part::Asks));
            index += 1;
        }
    }
    parts
}

struct Columns {
    names: Vec<String>,
}

impl Columns {
    fn new(header: &str) -> Self {
        let name = |cell: &str| cell.trim().trim_matches(['*', '`', '_']).to_lowercase();
        Self { names: cells(header.as_bytes()).into_iter().map(|cell| name(&header[cell])).collect() }
    }

    fn is(&self, column: usize, wanted: &[&str]) -> bool {
        self.names.get(column).is_some_and(|name| wanted.contains(&name.as_str()))
    }

    fn row(&self, line: &Line) -> Option<Row> {
        let places = cells(line.text.as_bytes());
        let texts: Vec<&str> = places.iter().map(|place| line.text[place.clone()].trim()).collect();
        let boxed = texts.iter().enumerate().find_map(|(column, cell)| Some((column, box_in(cell)?)));
        let state = (0..texts.len())
            .find(|column| self.is(*column, STATE_HEADERS))
            .or_else(|| texts.iter().position(|cell| claims::of_sign(cell).is_some() && cell.chars().count() <= 3));
        if boxed.is_none() && state.is_none() {
            return None;
        }
        let text = match &boxed {
            Some((_, found)) if !found.text.is_empty() => found.text.to_owned(),
            _ => self.text(&texts, boxed.as_ref().map(|(column, _)| *column), state)?,
        };
        let mark = boxed.as_ref().and_then(|(column, _)| {
            let place = cells(&line.raw).get(*column)?.clone();
            boxes::mark(&line.raw[place.clone()], line.start + place.start)
        });
        let claim = state.and_then(|column| claims::of_cell(texts[column])).or_else(|| claims::of_text(&text));
        Some(Row { text, ticked: boxed.map(|(_, found)| found.ticked), claim, mark })
    }

    /// The cell that names the thing, and what explains it.
    fn text(&self, texts: &[&str], boxed: Option<usize>, state: Option<usize>) -> Option<String> {
        let speaks = |column: &usize| {
            Some(*column) != boxed && Some(*column) != state && texts[*column].chars().any(char::is_alphabetic)
        };
        let candidates: Vec<usize> = (0..texts.len()).filter(speaks).collect();
        let name = candidates.iter().find(|column| self.is(**column, NAME_HEADERS)).or(candidates.first())?;
        let detail = candidates.iter().find(|column| *column != name && self.is(**column, DETAIL_HEADERS));
        Some(match detail {
            Some(detail) => format!("{} - {}", texts[*name], texts[*detail]),
            None => texts[*name].to_owned(),
        })
    }
}

/// A box alone in a cell, or before its text.
fn box_in(cell: &str) -> Option<boxes::Found<'_>> {
    let listed = cell.strip_prefix(['-', '*', '+']).map(str::trim_start);
    boxes::at_start(listed.unwrap_or(cell), true)
}

/// Where the cells are; `\|` is text (GitHub's tables, 4.10).
fn cells(line: &[u8]) -> Vec<Range<usize>> {
    let (mut cells, mut start) = (Vec::new(), 0);
    for (index, byte) in line.iter().enumerate() {
        if *byte == b'|' && (index == 0 || line[index - 1] != b'\\') {
            cells.push(start..index);
            start = index + 1;
        }
    }
    cells.push(start..line.len());
    let blank = |cell: &Range<usize>| line[cell.clone()].iter().all(|byte| byte.is_ascii_whitespace() || *byte == b'>');
    if cells.len() > 1 && cells.first().is_some_and(blank) {
        cells.remove(0);
    }
    if cells.len() > 1 && cells.last().is_some_and(blank) {
        cells.pop();
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::lines::split;

    fn rows(text: &str) -> Vec<Row> {
        let asks = |part| match part {
            Some(Part::Asks(row)) => Some(row),
            _ => None,
        };
        parts(&split(text.as_bytes())).into_iter().filter_map(asks).collect()
    }

    #[test]
    fn rows_with_boxes_are_read_whichever_column_has_them() {
        let found =
            rows("| | Item | Owner |\n|---|---|---|\n| [ ] | HTTPS | Bob |\n| [x] | CORS | Eve |\n\n| a | b |\n");
        assert_eq!(found.iter().map(|row| row.text.as_str()).collect::<Vec<_>>(), ["HTTPS", "CORS"]);
        assert_eq!(found.iter().map(|row| row.ticked).collect::<Vec<_>>(), [Some(false), Some(true)]);
        assert_eq!(found[0].mark.as_ref().unwrap().range, 36..37);
        assert_eq!(rows("Task | Done\n--- | ---\nHTTPS \\| TLS | ☐\n")[0].text, "HTTPS \\| TLS");
    }

    #[test]
    fn a_column_for_the_state_makes_rows_items() {
        let found = rows(
            "| # | Check | Description | Status |\n|:-:|--|--|--|\n| 1 | CORS | allow-list | ✅ |\n| 2 | TLS | | TODO |\n",
        );
        assert_eq!(found[0].text, "CORS - allow-list");
        assert_eq!(found.iter().map(|row| row.claim).collect::<Vec<_>>(), [Some(Claim::Done), Some(Claim::Open)]);
        assert!(rows("| Tool | Use |\n|--|--|\n| k6 | load |\n").is_empty());
    }
}
