//! Files of variables, as `.env` and its examples.

/// A line of such a file that names a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The variable.
    pub name: String,
    /// Its value, without quotes and what follows it.
    pub value: String,
    /// Its line, from 1.
    pub line: usize,
    /// It is switched off, and only shown.
    pub commented: bool,
    /// Words stand above it or behind it.
    pub explained: bool,
}

/// The entries of a text.
pub(crate) fn entries(text: &str) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let mut above = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        let commented = trimmed.starts_with('#');
        let plain = trimmed.trim_start_matches('#').trim_start();
        let plain = plain.strip_prefix("export ").unwrap_or(plain);
        match plain.split_once('=').filter(|(name, _)| is_name(name.trim_end(), commented)) {
            Some((name, value)) => {
                let (value, behind) = value_of(value);
                let explained = above || behind;
                found.push(Entry { name: name.trim_end().to_owned(), value, line: index + 1, commented, explained });
            }
            // A comment explains every line of the block below it; a link to where it is explained does as well.
            None if commented => above |= plain.split_whitespace().count() >= 2 || plain.starts_with("https://"),
            None if trimmed.is_empty() => above = false,
            None => {}
        }
    }
    found
}

fn is_name(name: &str, commented: bool) -> bool {
    let letters = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let begins = name.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    letters && begins && (!commented || !name.chars().any(|letter| letter.is_ascii_lowercase()))
}

/// The value, and whether a remark follows it.
fn value_of(text: &str) -> (String, bool) {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some((value, rest)) = text.strip_prefix(quote).and_then(|inner| inner.split_once(quote)) {
            return (value.to_owned(), rest.trim_start().starts_with('#'));
        }
    }
    match text.find(" #").or_else(|| text.starts_with('#').then_some(0)) {
        Some(at) => (text[..at].trim_end().to_owned(), true),
        None => (text.to_owned(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_explains_and_a_single_word_does_not() {
        let explained = |text: &str| entries(text)[0].explained;
        assert!(explained("# Prisma\n# https://a.invalid/urls#env\nDATABASE_URL=x\n"));
        assert!(!explained("# Prisma\nDATABASE_URL=x\n"));
    }

    #[test]
    fn names_values_and_remarks_are_read() {
        let text = "# Where the database is\nDATABASE_URL=\"postgres://x#y\"\nexport B=1 # why\n\nC=\n#D=4\n# see a=b for more\nnot a line\nE = 'a b'\n";
        let show = |entry: &Entry| {
            format!(
                "{}={}@{}{}{}",
                entry.name,
                entry.value,
                entry.line,
                if entry.commented { "c" } else { "" },
                if entry.explained { "e" } else { "" }
            )
        };
        assert_eq!(
            entries(text).iter().map(show).collect::<Vec<_>>(),
            ["DATABASE_URL=postgres://x#y@2e", "B=1@3e", "C=@5", "D=4@6c", "E=a b@9e"]
        );
    }
}
