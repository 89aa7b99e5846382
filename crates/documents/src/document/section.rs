//! A section of a document.

/// What stands under one heading, up to the next one.
#[derive(Debug, Default, Clone)]
pub(crate) struct Section {
    /// 1 for the title of a document; 0 for what stands before any heading.
    pub level: u8,
    /// The heading.
    pub title: String,
    /// The line of the heading, from 1.
    pub line: usize,
    /// The words of its own text, without code blocks and boxes to tick.
    pub words: usize,
    /// Its text, without code blocks.
    pub text: String,
    /// Code blocks.
    pub blocks: Vec<Block>,
    /// Links, images among them.
    pub links: Vec<Link>,
    /// Code within the text, with its line.
    pub codes: Vec<(usize, String)>,
    /// Rows of tables, headings among them.
    pub rows: Vec<Vec<String>>,
    /// Items of lists.
    pub items: usize,
    /// Boxes to tick.
    pub boxes: usize,
}

/// A code block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// As it is named, in lower case; empty when it is not.
    pub language: String,
    /// The code.
    pub text: String,
    /// The line of its first line of code.
    pub line: usize,
}

/// A link.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Where it leads.
    pub target: String,
    /// What it is called.
    pub text: String,
    /// Where it stands.
    pub line: usize,
    /// It shows a picture.
    pub image: bool,
}

impl Section {
    /// Adds text and counts its words.
    pub fn add_text(&mut self, text: &str) {
        self.words += text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count();
        self.text.push_str(text);
    }
}

impl Link {
    /// It leads to a page out of the repository.
    pub fn is_outside(&self) -> bool {
        self.target.starts_with("http") && !self.image
    }

    /// It leads to a file of the repository.
    pub fn is_relative(&self) -> bool {
        let target = self.target.trim();
        !target.is_empty()
            && !target.starts_with(['#', '/', '<', '{', '$', '@', '?', '\\'])
            && !target.split('/').next().is_some_and(|start| start.contains(':'))
            && !target.contains(['{', '<', '$'])
    }
}
