//! Which lines ask for something.
//!
//! A box always does. Outside boxes, bullets and numbers do, unless their heading or the label above them says that they
//! only describe: risks, tools, the present state.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Form, Item,
    claims::{self, Claim},
    damage,
    lines::{Kind, Line},
    table::{self, Part, Row},
};

/// Headings whose lists ask for nothing.
const DESCRIBING_HEADINGS: &[&str] = &[
    "recommended tools",
    "useful tools",
    "tools",
    "references",
    "resources",
    "further reading",
    "current state",
    "legend",
    "glossary",
    "table of contents",
];
/// Labels (`**Risks**:`) whose lists ask for nothing.
const DESCRIBING_LABELS: &[&str] =
    &["risk", "recommendation", "note", "only do this", "legend", "reference", "resource", "estimated", "example"];
/// More of a text or a heading is not kept: nobody writes such a line, and every item would carry it.
const LONGEST: usize = 2000;
/// What ties a line to controls.
static PIN: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(r"<!--\s*seaworthy:\s*control\s*=\s*([A-Za-z0-9_.,\s-]*?)\s*-->").expect("the pattern is valid")
});
/// Words that make a plain sentence an ask.
const DEMANDS: &[&str] = &["requires ", "require ", "needs ", "must have "];

/// The state of the scan.
#[derive(Default)]
struct Scan {
    items: Vec<Item>,
    headings: Vec<(usize, String)>,
    label: Option<String>,
    /// Open items by indent, for parents.
    open: Vec<(usize, usize)>,
    /// Place of a numbered heading that is taken back when items follow below it: then it was only their title.
    pending: Option<usize>,
}

pub(super) fn collect(lines: &[Line], all_asks: bool) -> Vec<Item> {
    let (code, commented, tables) = (fenced(lines), commented(lines), table::parts(lines));
    let mut scan = Scan::default();
    for (((line, shell), part), in_comment) in lines.iter().zip(&code).zip(&tables).zip(commented) {
        // A box counts wherever it stands: better shown twice than lost. Where a reader does not see it, our marker would
        // show or end a comment: that line stays as it is.
        let unseen = *shell != Code::Outside || in_comment;
        let kind = line.kind();
        match (&kind, part, shell) {
            (_, Some(Part::Asks(row)), _) if row.ticked.is_some() => scan.row(line, row, unseen),
            (_, Some(Part::Asks(row)), Code::Outside) if all_asks => scan.row(line, row, unseen),
            (_, Some(_), Code::Outside) => scan.open.clear(),
            (Kind::Item { checked: Some(_), .. }, ..) => scan.item(line, &kind, unseen),
            (_, _, Code::Inside { shell }) => scan.script_step(line, *shell && all_asks),
            (Kind::Item { .. }, _, Code::Outside) if all_asks => scan.item(line, &kind, unseen),
            (Kind::Item { .. }, _, Code::Outside) => scan.open.clear(),
            (Kind::Heading { level, text }, _, Code::Outside) => scan.heading(line, *level, text, all_asks),
            (Kind::Text { indent, text }, _, Code::Outside) => scan.text(line, *indent, text, all_asks),
            (Kind::Blank | Kind::Fence { .. }, _, Code::Outside) => scan.pause(),
        }
    }
    scan.items
}

/// Whether a line is inside a fence that closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Outside,
    Inside { shell: bool },
}

/// A fence that never closes is taken for a slip: what follows it is text.
fn fenced(lines: &[Line]) -> Vec<Code> {
    let mut code = vec![Code::Outside; lines.len()];
    let mut open: Option<(usize, bool)> = None;
    for (index, line) in lines.iter().enumerate() {
        let Kind::Fence { info } = line.kind() else { continue };
        match open {
            // A closing fence has no info string (CommonMark 4.5); one that has opens another block.
            Some((start, shell)) if info.is_empty() => {
                code[start..=index].fill(Code::Inside { shell });
                open = None;
            }
            _ => open = Some((index, matches!(info, "bash" | "sh" | "shell" | "console" | "zsh"))),
        }
    }
    code
}

/// Lines that begin or end inside an HTML comment: what is appended to them would be in it, or end it.
fn commented(lines: &[Line]) -> Vec<bool> {
    let mut inside = false;
    lines
        .iter()
        .map(|line| {
            let begins_inside = inside;
            inside = match (line.text.rfind("<!--"), line.text.rfind("-->")) {
                (Some(open), Some(close)) => open > close,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => inside,
            };
            begins_inside || inside
        })
        .collect()
}

impl Scan {
    fn item(&mut self, line: &Line, kind: &Kind<'_>, unseen: bool) {
        let Kind::Item { indent, numbered, checked, partly, usual, text } = kind else { return };
        let form = match (checked, numbered) {
            (Some(_), _) => Form::Checkbox,
            (None, true) => Form::Numbered,
            (None, false) => Form::Bullet,
        };
        if form != Form::Checkbox && self.describes() {
            return;
        }
        self.take_back_title();
        self.open.retain(|(other, _)| other < indent);
        let mut item = self.new_item(line, text, form);
        item.ticked = checked.unwrap_or(item.claim == Some(Claim::Done));
        if *partly {
            item.claim = Some(Claim::Partly);
        }
        item.parent = self.open.last().map(|(_, index)| *index);
        item.usual = *usual;
        item.mark = line.mark().filter(|_| form == Form::Checkbox && !unseen);
        self.open.push((*indent, self.items.len()));
        self.items.push(item);
    }

    fn row(&mut self, line: &Line, row: &Row, unseen: bool) {
        self.take_back_title();
        self.open.clear();
        let form = if row.ticked.is_some() { Form::Checkbox } else { Form::Row };
        let mut item = self.new_item(line, &row.text, form);
        item.claim = row.claim;
        item.ticked = row.ticked.unwrap_or(row.claim == Some(Claim::Done));
        item.mark = row.mark.clone().filter(|_| !unseen);
        self.items.push(item);
    }

    /// A numbered heading was only a title when items follow it.
    fn take_back_title(&mut self) {
        if let Some(heading) = self.pending.take()
            && heading + 1 == self.items.len()
        {
            self.items.pop();
        }
    }

    fn heading(&mut self, line: &Line, level: usize, text: &str, all_asks: bool) {
        self.label = None;
        self.open.clear();
        self.headings.retain(|(other, _)| *other < level);
        let numbered = text.split_once(['.', ')']).filter(|(number, _)| number.parse::<u16>().is_ok());
        if let Some((_, rest)) = numbered
            && all_asks
            && !self.describes()
        {
            let item = self.new_item(line, rest.trim(), Form::Numbered);
            self.pending = Some(self.items.len());
            self.items.push(item);
        }
        self.headings.push((level, head(text).to_owned()));
    }

    fn text(&mut self, line: &Line, indent: usize, text: &str, all_asks: bool) {
        let wraps = self.open.last().filter(|(open, _)| indent > *open).map(|(_, index)| *index);
        if let Some(item) = wraps.and_then(|index| self.items.get_mut(index)) {
            if item.damage.is_none() && item.text.len() < LONGEST {
                item.text.push(' ');
                item.text.push_str(head(&without_comments(text)));
                item.text.truncate(item.text.trim_end().len());
            }
            item.pin = item.pin.take().or_else(|| pin(text));
            return;
        }
        self.open.clear();
        // A line of its own with a sign before it, as in chat messages. A warning sign is more often a remark.
        let claim = claims::of_sign(text).filter(|_| all_asks && !text.starts_with('⚠') && !text.ends_with(':'));
        if claim.is_some() && !self.describes() {
            let mut item = self.new_item(line, text, Form::Bullet);
            item.ticked = claim == Some(Claim::Done);
            self.items.push(item);
            return;
        }
        let plain = text.replace("**", "");
        let Some((label, rest)) = plain.split_once(':') else { return };
        if !(text.starts_with("**") || rest.trim().is_empty()) {
            return;
        }
        let rest = rest.trim().to_lowercase();
        if all_asks && DEMANDS.iter().any(|word| rest.starts_with(word)) && !self.describes() {
            let item = self.new_item(line, &plain, Form::Bullet);
            self.items.push(item);
        }
        self.label = Some(label.trim().to_lowercase());
    }

    /// `# 1. Start the services` in a shell script.
    fn script_step(&mut self, line: &Line, wanted: bool) {
        self.pause();
        let step = line.text.trim().strip_prefix('#').map(str::trim).and_then(|text| text.split_once(['.', ')']));
        let Some((_, text)) = step.filter(|(number, _)| wanted && number.parse::<u16>().is_ok()) else { return };
        let item = self.new_item(line, text.trim(), Form::Numbered);
        self.items.push(item);
    }

    /// After a blank line, text no longer continues the item above it.
    fn pause(&mut self) {
        if let Some((indent, _)) = self.open.last_mut() {
            *indent = (*indent).max(1);
        }
    }

    fn describes(&self) -> bool {
        let heading = |text: &str| DESCRIBING_HEADINGS.contains(&plain_heading(text).as_str());
        let label = |text: &str| DESCRIBING_LABELS.iter().any(|word| text.starts_with(word));
        self.headings.iter().any(|(_, text)| heading(text)) || self.label.as_deref().is_some_and(label)
    }

    fn new_item(&self, line: &Line, text: &str, form: Form) -> Item {
        let pin = pin(&line.text);
        let text = without_comments(head(text));
        Item {
            line: line.number,
            form,
            ticked: false,
            claim: claims::of_text(&text),
            section: self.headings.iter().map(|(_, text)| text.clone()).collect(),
            parent: None,
            damage: damage::of_text(&text),
            notes: Vec::new(),
            pin,
            hidden: false,
            usual: false,
            mark: None,
            text,
        }
    }
}

/// The controls that a line's comment ties it to.
fn pin(line: &str) -> Option<Vec<String>> {
    let ids = PIN.captures(line)?.get(1)?.as_str();
    Some(ids.split([',', ' ']).filter(|id| !id.is_empty()).map(str::to_owned).collect())
}

/// The beginning of a text, all of it where it is of a sane length.
fn head(text: &str) -> &str {
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end])
}

/// The text that a reader sees: HTML comments (our own markers among them) are not.
fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut seen = String::new();
    while let Some((before, after)) = rest.split_once("<!--") {
        seen.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, after)| after);
    }
    seen.push_str(rest);
    seen.trim().to_owned()
}

/// A heading without its decoration.
fn plain_heading(text: &str) -> String {
    let letters = |character: char| character.is_alphanumeric() || character == ' ';
    let text: String = text.chars().filter(|character| letters(*character)).collect();
    text.trim().to_lowercase()
}
