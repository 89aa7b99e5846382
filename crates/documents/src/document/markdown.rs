//! Markdown, as every reader of it sees it.

use comrak::{
    Arena, Options,
    arena_tree::NodeEdge,
    nodes::{AstNode, NodeValue},
    parse_document,
};

use super::section::{Block, Link, Section};

/// The sections of a text.
pub(super) fn read(text: &str) -> Vec<Section> {
    let arena = Arena::new();
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.tasklist = true;
    options.extension.strikethrough = true;
    options.extension.autolink = true;
    options.extension.front_matter_delimiter = Some("---".to_owned());
    let root = parse_document(&arena, text, &options);
    let mut reader = Reader::default();
    reader.sections.push(Section { line: 1, ..Section::default() });
    for edge in root.traverse() {
        match edge {
            NodeEdge::Start(node) => reader.enter(node),
            NodeEdge::End(node) => reader.leave(node),
        }
    }
    reader.sections
}

/// Where the walk is.
#[derive(Default)]
struct Reader {
    sections: Vec<Section>,
    heading: bool,
    boxes: usize,
    link: Option<Link>,
    cell: bool,
}

impl Reader {
    fn enter<'a>(&mut self, node: &'a AstNode<'a>) {
        let data = node.data.borrow();
        let line = data.sourcepos.start.line;
        match &data.value {
            NodeValue::Heading(heading) => {
                self.sections.push(Section { level: heading.level, line, ..Section::default() });
                self.heading = true;
            }
            NodeValue::TaskItem(_) => {
                self.boxes += 1;
                self.with(|section| section.boxes += 1);
            }
            NodeValue::Item(_) => self.with(|section| section.items += 1),
            NodeValue::Text(text) => self.text(text),
            NodeValue::SoftBreak | NodeValue::LineBreak => self.text(" "),
            NodeValue::Code(code) => {
                self.text(&code.literal);
                let literal = code.literal.clone();
                self.with(|section| section.codes.push((line, literal)));
            }
            NodeValue::CodeBlock(block) => {
                let language = block.info.split([' ', ',', '{']).next().unwrap_or_default().to_lowercase();
                let block = Block { language, text: block.literal.clone(), line: line + usize::from(block.fenced) };
                self.with(|section| section.blocks.push(block));
            }
            NodeValue::HtmlBlock(block) => self.html(&block.literal, line),
            NodeValue::HtmlInline(text) => self.html(text, line),
            NodeValue::Link(link) => {
                self.end_of_link();
                self.link = Some(link_of(&link.url, line, false));
            }
            NodeValue::Image(link) => {
                let link = link_of(&link.url, line, true);
                self.with(|section| section.links.push(link));
            }
            NodeValue::TableRow(_) => self.with(|section| section.rows.push(Vec::new())),
            NodeValue::TableCell => {
                self.cell = true;
                self.with(|section| section.rows.last_mut().into_iter().for_each(|row| row.push(String::new())));
            }
            _ => {}
        }
    }

    fn leave<'a>(&mut self, node: &'a AstNode<'a>) {
        let data = node.data.borrow();
        match &data.value {
            NodeValue::Heading(_) => self.heading = false,
            NodeValue::TaskItem(_) => self.boxes = self.boxes.saturating_sub(1),
            NodeValue::Link(_) => self.end_of_link(),
            NodeValue::TableCell => {
                self.cell = false;
                self.text("\n");
            }
            NodeValue::Paragraph | NodeValue::Item(_) | NodeValue::CodeBlock(_) | NodeValue::HtmlBlock(_) => {
                // One that was never closed.
                self.end_of_link();
                self.text("\n");
            }
            _ => {}
        }
    }

    fn with(&mut self, change: impl FnOnce(&mut Section)) {
        if let Some(section) = self.sections.last_mut() {
            change(section);
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(link) = &mut self.link {
            link.text.push_str(text);
        }
        let (heading, in_box, cell) = (self.heading, self.boxes > 0, self.cell);
        self.with(|section| match (heading, in_box) {
            (true, _) => section.title.push_str(text.trim_end_matches('\n')),
            (false, true) => {}
            (false, false) => {
                section.add_text(text);
                if let Some(last) = section.rows.last_mut().and_then(|row| row.last_mut()).filter(|_| cell) {
                    last.push_str(text);
                }
            }
        });
    }

    /// Text, pictures and links that are written as HTML; what a link is called may come in a later piece.
    fn html(&mut self, html: &str, line: usize) {
        if html.trim_start().starts_with("<!--") {
            return;
        }
        for piece in html.split_inclusive('>') {
            let (plain, tag) = piece.split_once('<').unwrap_or((piece, ""));
            self.text(plain);
            let lower = tag.to_lowercase();
            if let Some(target) = attribute(tag, "src") {
                let link = link_of(target, line, true);
                self.with(|section| section.links.push(link));
            }
            if lower.starts_with("/a") && lower.trim_end_matches('>').trim() == "/a" {
                self.end_of_link();
            } else if let Some(target) = attribute(tag, "href") {
                self.end_of_link();
                self.link = Some(link_of(target, line, false));
            }
        }
    }

    fn end_of_link(&mut self) {
        if let Some(link) = self.link.take() {
            self.with(|section| section.links.push(link));
        }
    }
}

/// The value of an attribute of a tag.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = tag.split_once(&format!("{name}="))?;
    let quote = rest.chars().next().filter(|first| ['"', '\''].contains(first))?;
    rest[1..].split(quote).next()
}

fn link_of(target: &str, line: usize, image: bool) -> Link {
    Link { target: target.to_owned(), text: String::new(), line, image }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_blocks_tables_and_links_are_read() {
        let text = "---\ntitle: x\n---\nIntro.\n\n# Deploy `it`\nSee [the *guide*](docs/a.md#b) and ![](x.png).\n\n```sh title=a\nmake deploy\n```\n\n\
                    | Name | Meaning |\n|---|---|\n| `A` | first |\n\n- [ ] not yet\n- one\n\n<img src=\"y.svg\">\n\n```\nnever closed\n# no heading\n";
        let sections = read(text);
        assert_eq!(sections.len(), 2, "{sections:?}");
        let deploy = &sections[1];
        assert_eq!((deploy.title.as_str(), deploy.level, deploy.line), ("Deploy it", 1, 6));
        assert_eq!(deploy.blocks[0].language, "sh");
        assert_eq!((deploy.blocks[0].text.as_str(), deploy.blocks[0].line), ("make deploy\n", 10));
        let targets: Vec<&str> = deploy.links.iter().map(|link| link.target.as_str()).collect();
        assert_eq!(targets, ["docs/a.md#b", "x.png", "y.svg"]);
        assert_eq!(deploy.links.iter().find(|link| !link.image).unwrap().text, "the guide");
        assert_eq!(deploy.rows[1], ["A", "first"]);
        assert_eq!(deploy.boxes, 1);
        assert!(!deploy.text.contains("not yet"));
    }

    #[test]
    fn links_in_html_have_names() {
        let text = "<p align=\"center\">\n  <a href=\"https://a.b/x\">Contributing <b>guide</b></a> •\n  <a href='c.md'><img src=\"d.png\"></a>\n</p>\n\n\
                    See <a href=\"e.md\">the e</a> and [f](f.md).\n";
        let sections = read(text);
        let shown: Vec<(&str, &str, bool)> =
            sections[0].links.iter().map(|link| (link.target.as_str(), link.text.trim(), link.image)).collect();
        let expected = [
            ("https://a.b/x", "Contributing guide", false),
            ("d.png", "", true),
            ("c.md", "", false),
            ("e.md", "the e", false),
            ("f.md", "f", false),
        ];
        assert_eq!(shown, expected);
        assert!(sections[0].text.contains("Contributing guide"));
    }
}
