//! A checklist as the user wrote it: its items, and the bytes that are never changed but for a tick.

mod asks;
mod boxes;
mod claims;
mod damage;
mod encoding;
mod lines;
mod table;
mod tree;

use std::{collections::HashSet, fs, io, path::Path};

use schemars::JsonSchema;
use serde::Serialize;
use thiserror::Error;

use self::encoding::Wide;
pub(crate) use self::{boxes::MarkPlace, lines::split};
pub use self::{
    claims::Claim,
    damage::{Damage, Note},
};

/// One thing that the list asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Line in the file, from 1.
    pub line: usize,
    /// What it says, without its marker, with its encoding repaired; wrapped lines are joined.
    pub text: String,
    /// How it is written.
    pub form: Form,
    /// The tick found in the file, or a sign that says the same: a claim, never evidence.
    pub ticked: bool,
    /// What its text or its row says about its state.
    pub claim: Option<Claim>,
    /// Headings above it, outermost first.
    pub section: Vec<String>,
    /// Place in [`Checklist::items`] of the item that it stands under.
    pub parent: Option<usize>,
    /// Why the text cannot be trusted, when it cannot.
    pub damage: Option<Damage>,
    /// What is odd about it beside the others.
    pub notes: Vec<Note>,
    /// The controls that a comment on its line ties it to, as written: `<!-- seaworthy: control=edge.cors -->`.
    pub pin: Option<Vec<String>>,
    /// True when Markdown shows the line as code, so that a reader of the rendered page does not see the box.
    pub hidden: bool,
    /// True for a box that Markdown knows.
    usual: bool,
    /// Where the box's mark is in the file, when it may be written to.
    pub(crate) mark: Option<MarkPlace>,
}

/// How an item is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `- [ ] text`, or another box.
    Checkbox,
    /// `- text`.
    Bullet,
    /// `1. text`, a numbered heading without items of its own, or a numbered step of a script.
    Numbered,
    /// A row of a table with a column for the state.
    Row,
}

/// A file with its items.
#[derive(Debug)]
pub struct Checklist {
    /// The path as given.
    pub name: String,
    /// The user's bytes.
    pub bytes: Vec<u8>,
    /// In the order of their lines.
    pub items: Vec<Item>,
    /// A file in UTF-16, in UTF-8: what lines and marks are counted in.
    pub(crate) narrow: Option<(Wide, Vec<u8>)>,
    /// Lines of boxes that only Markdown sees.
    unread: Vec<usize>,
}

/// A checklist that cannot be read.
#[derive(Debug, Error)]
pub enum ChecklistError {
    /// Missing, or not allowed.
    #[error("cannot read the checklist {name}: {source}; check the path")]
    Unreadable {
        /// The path as given.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Nothing to check, which must never look like everything done.
    #[error("{0} has no item: write `- [ ] text` for each, or take bullets and numbers too with --all-asks")]
    Empty(String),
}

impl Checklist {
    /// Reads a file. `all_asks` takes what stands outside boxes too.
    pub fn read(path: &Path, all_asks: bool) -> Result<Self, ChecklistError> {
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(|source| ChecklistError::Unreadable { name: name.clone(), source })?;
        let checklist = Self::parse(name, bytes, all_asks);
        if checklist.items.is_empty() {
            return Err(ChecklistError::Empty(checklist.name));
        }
        Ok(checklist)
    }

    /// As [`Checklist::read`], from memory.
    pub fn parse(name: String, bytes: Vec<u8>, all_asks: bool) -> Self {
        let narrow = Wide::of(&bytes).map(|wide| (wide, wide.read(&bytes)));
        let lines = lines::split(narrow.as_ref().map_or(&bytes, |(_, text)| text));
        let mut items = asks::collect(&lines, all_asks);
        let shown = tree::box_lines(&lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n"));
        for item in &mut items {
            item.hidden = item.usual && !shown.contains(&item.line);
        }
        damage::compare(&mut items);
        // What does not come back byte by byte is not written to.
        if narrow.as_ref().is_some_and(|(wide, text)| wide.write(text) != bytes) {
            items.iter_mut().for_each(|item| item.mark = None);
        }
        let boxes: HashSet<usize> =
            items.iter().filter(|item| item.form == Form::Checkbox).map(|item| item.line).collect();
        let mut unread: Vec<usize> = shown.into_iter().filter(|line| !boxes.contains(line)).collect();
        unread.sort_unstable();
        Self { name, bytes, items, narrow, unread }
    }

    /// Boxes that Markdown does not show, by line.
    pub fn hidden_boxes(&self) -> Vec<usize> {
        self.items.iter().filter(|item| item.hidden).map(|item| item.line).collect()
    }

    /// Boxes that Markdown shows and the scan of lines does not take for one, by line: they are not checked.
    pub fn unread_boxes(&self) -> &[usize] {
        &self.unread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, all_asks: bool) -> Vec<Item> {
        Checklist::parse("list.md".into(), text.as_bytes().to_vec(), all_asks).items
    }

    fn texts(items: &[Item]) -> Vec<&str> {
        items.iter().map(|item| item.text.as_str()).collect()
    }

    #[test]
    fn boxes_are_found_in_every_list_style_with_their_sections() {
        let text = "# Launch\n\n## Edge\n- [ ] HTTPS\n* [x] **CORS** - allow-list\n  which wraps\n1. [X] limits\n\
                    > - [ ] quoted\n## Data\n+ [ ] backups\n    - [ ] restore\n- not a box\n";
        let items = parse(text, false);
        assert_eq!(
            texts(&items),
            ["HTTPS", "**CORS** - allow-list which wraps", "limits", "quoted", "backups", "restore"]
        );
        assert_eq!(items.iter().map(|item| item.line).collect::<Vec<_>>(), [4, 5, 7, 8, 10, 11]);
        assert_eq!(items.iter().map(|item| item.ticked).collect::<Vec<_>>(), [false, true, true, false, false, false]);
        assert_eq!(items[4].section, ["Launch", "Data"]);
        assert_eq!(items[5].parent, Some(4));
    }

    #[test]
    fn a_fence_that_never_closes_hides_no_box() {
        let text = "- [ ] one\n```sh\npip install x\n```\n```python\ncode = 1\n\n- [ ] two\n- [ ] three\n";
        let checklist = Checklist::parse("list.md".into(), text.as_bytes().to_vec(), false);
        assert_eq!(texts(&checklist.items), ["one", "two", "three"]);
        assert_eq!(checklist.hidden_boxes(), [8, 9]);
    }

    #[test]
    fn a_byte_order_mark_hides_nothing_and_hidden_lines_are_not_written_to() {
        let text = "\u{feff}- [ ] first\n<!--\n- [ ] commented\n-->\n```\n- [ ] example\n```\n";
        let items = parse(text, false);
        assert_eq!(texts(&items), ["first", "commented", "example"]);
        assert_eq!(items.iter().map(|item| item.mark.is_some()).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(items[0].mark.as_ref().unwrap().range, 6..7);
        assert_eq!(items.iter().map(|item| item.hidden).collect::<Vec<_>>(), [false, true, true]);
    }

    #[test]
    fn asks_outside_boxes_are_taken_on_demand_and_remarks_are_not() {
        let text = "# Plan\n## 1. Tests (HIGH)\n**Status**: none exist\n\n**What's missing**:\n- Unit tests\n- No CI\n\n\
                    **Risk Level**: high\n- It may break\n\n## Recommended tools\n- pytest\n\n## Next\n1. Set up backups\n\
                    2. Deploy\n\n### 3. Change the secret (2 min)\nIn the file.\n\n```bash\n# 1. Start everything\n./up\n```\n\
                    **For more users**: Requires a load balancer\n";
        let items = parse(text, true);
        let wanted = [
            "Unit tests",
            "No CI",
            "Set up backups",
            "Deploy",
            "Change the secret (2 min)",
            "Start everything",
            "For more users: Requires a load balancer",
        ];
        assert_eq!(texts(&items), wanted);
        assert_eq!(items[2].form, Form::Numbered);
        assert!(parse(text, false).is_empty());
    }

    #[test]
    fn wrong_encodings_are_repaired_for_reading_and_kept_in_the_bytes() {
        let original = "- [ ] Café \u{2014} naïve\n- ✅ done\n";
        let (as_latin, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(original.as_bytes());
        let bytes = as_latin.as_bytes().to_vec();
        let checklist = Checklist::parse("list.md".into(), bytes.clone(), true);
        assert_eq!(texts(&checklist.items), ["Café \u{2014} naïve", "✅ done"]);
        assert_eq!(checklist.bytes, bytes);
        let invalid = Checklist::parse("list.md".into(), b"- [ ] caf\xe9\r\n- [ ] two\r\n".to_vec(), false);
        assert_eq!(invalid.items[1].text, "two");
    }

    #[test]
    fn a_text_that_breaks_off_is_damaged() {
        assert_eq!(parse("- [ ] **Backups are\n", false)[0].damage, Some(Damage::CutOff));
        assert_eq!(parse("- [ ] **Backups** are\n", false)[0].damage, None);
    }

    #[test]
    fn an_empty_file_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Checklist::read(file.path(), true), Err(ChecklistError::Empty(_))));
        assert!(matches!(Checklist::read(Path::new("/nowhere"), true), Err(ChecklistError::Unreadable { .. })));
    }
}
