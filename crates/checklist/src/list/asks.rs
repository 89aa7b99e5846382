//! Which lines ask for something.
//!
//! A box always does. Outside boxes, bullets and numbers do, unless their heading or the label above them says that they
//! only describe: risks, tools, the present state.

use super::{
    Damage, Form, Item,
    lines::{Kind, Line},
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
    let (code, commented) = (fenced(lines), commented(lines));
    let mut scan = Scan::default();
    for (line, shell) in lines.iter().zip(&code) {
        let kind = line.kind();
        match (&kind, shell) {
            // A box counts wherever it stands: better shown twice than lost.
            (Kind::Item { checked: Some(_), .. }, _) => {
                scan.item(line, &kind);
                // Where a reader does not see the box, our marker would show or end a comment: that line stays as it is.
                if (*shell != Code::Outside || commented[line.number - 1])
                    && let Some(item) = scan.items.last_mut()
                {
                    item.mark = None;
                }
            }
            (_, Code::Inside { shell }) => scan.script_step(line, *shell && all_asks),
            (Kind::Item { .. }, Code::Outside) if all_asks => scan.item(line, &kind),
            (Kind::Item { .. }, Code::Outside) => scan.open.clear(),
            (Kind::Heading { level, text }, Code::Outside) => scan.heading(line, *level, text, all_asks),
            (Kind::Text { indent, text }, Code::Outside) => scan.text(line, *indent, text, all_asks),
            (Kind::Blank | Kind::Fence { .. }, Code::Outside) => scan.pause(),
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

/// Lines that begin inside an HTML comment.
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
            begins_inside
        })
        .collect()
}

impl Scan {
    fn item(&mut self, line: &Line, kind: &Kind<'_>) {
        let Kind::Item { indent, numbered, checked, text } = kind else { return };
        let form = match (checked, numbered) {
            (Some(_), _) => Form::Checkbox,
            (None, true) => Form::Numbered,
            (None, false) => Form::Bullet,
        };
        if form != Form::Checkbox && self.describes() {
            return;
        }
        if let Some(heading) = self.pending.take()
            && heading + 1 == self.items.len()
        {
            self.items.pop();
        }
        self.open.retain(|(other, _)| other < indent);
        let mut item = self.new_item(line, text, form);
        item.ticked = checked.unwrap_or(false);
        item.parent = self.open.last().map(|(_, index)| *index);
        item.mark = if form == Form::Checkbox { line.mark() } else { None };
        self.open.push((*indent, self.items.len()));
        self.items.push(item);
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
        self.headings.push((level, text.to_owned()));
    }

    fn text(&mut self, line: &Line, indent: usize, text: &str, all_asks: bool) {
        let wraps = self.open.last().filter(|(open, _)| indent > *open).map(|(_, index)| *index);
        if let Some(item) = wraps.and_then(|index| self.items.get_mut(index)) {
            if item.damage.is_none() && item.text.len() < 2000 {
                item.text.push(' ');
                item.text.push_str(text);
            }
            return;
        }
        self.open.clear();
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
        // Bold text that opens and never closes was cut; code may hold anything.
        let bold = text.split('`').step_by(2).map(|piece| piece.matches("**").count()).sum::<usize>();
        Item {
            line: line.number,
            text: without_comments(text),
            form,
            ticked: false,
            section: self.headings.iter().map(|(_, text)| text.clone()).collect(),
            parent: None,
            damage: (bold % 2 == 1).then_some(Damage::CutOff),
            hidden: false,
            mark: None,
        }
    }
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
