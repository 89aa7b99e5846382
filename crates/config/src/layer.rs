//! One file of a config: its text, its values, and where each stands in the text.

use std::{fs, ops::Range, path::Path, sync::Arc};

use miette::NamedSource;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    finding::{ConfigError, Findings},
    masking::{cover, in_broken_toml, in_comments, secret_ranges},
    secret_ref::is_reference,
};

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Layer {
    pub name: String,
    pub table: toml::Table,
    text: String,
}

impl Layer {
    /// Reads and parses a file.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|reason| unreadable(path, &reason))?;
        Self::parse(&path.display().to_string(), text)
    }

    /// As [`Layer::read`], from text.
    pub(crate) fn parse(name: &str, text: String) -> Result<Self, ConfigError> {
        match text.parse::<toml::Table>() {
            Ok(table) => Ok(Self { name: name.to_owned(), table, text }),
            Err(error) => Err(syntax(&error, name, &text)),
        }
    }

    /// The line (from 1) on which the value at a path of this file begins.
    pub(crate) fn line_of(&self, path: &str) -> Option<usize> {
        self.span_of(path, false).map(|span| self.text[..span.start].matches('\n').count() + 1)
    }

    /// The bytes of the value (or of the key) at a dotted path; the nearest parent's when it is not written out.
    pub(crate) fn span_of(&self, path: &str, at_key: bool) -> Option<Range<usize>> {
        let document = DeTable::parse(&self.text).ok()?;
        let steps: Vec<&str> = path.split('.').collect();
        let (mut found, mut done) = (None, 0);
        let mut table = Some(document.get_ref());
        let mut list: Option<&[Spanned<DeValue<'_>>]> = None;
        while done < steps.len() {
            let (key, value, taken) = match (table, list) {
                // A quoted key may have dots of its own.
                (Some(table), _) => match member(table, &steps[done..]) {
                    Some((key, value, taken)) => (Some(key), value, taken),
                    None => break,
                },
                (None, Some(items)) => match steps[done].parse().ok().and_then(|index: usize| items.get(index)) {
                    Some(value) => (None, value, 1),
                    None => break,
                },
                (None, None) => break,
            };
            done += taken;
            found = Some((key, value.span()));
            table = value.get_ref().as_table();
            list = value.get_ref().as_array().map(|items| &items[..]);
        }
        found.map(|(key, value)| match key {
            Some(key) if at_key => key,
            _ => value,
        })
    }

    /// The text as it may be shown around an error, with secrets covered, and where in it `span` is then.
    pub(crate) fn shown(
        &self,
        is_secret: &dyn Fn(&[&str]) -> bool,
        span: Range<usize>,
    ) -> (Arc<NamedSource<String>>, Range<usize>) {
        let mut ranges = secret_ranges(&self.text);
        ranges.extend(in_comments(&self.text));
        if let Ok(document) = DeTable::parse(&self.text) {
            for (key, value) in document.get_ref() {
                secret_values(value, &mut vec![key.get_ref().as_ref()], is_secret, &mut ranges);
            }
        }
        covered(&self.name, &self.text, &ranges, span)
    }
}

/// The member that the first steps name, and how many steps its key takes.
fn member<'a, 'text>(
    table: &'a DeTable<'text>,
    steps: &[&str],
) -> Option<(Range<usize>, &'a Spanned<DeValue<'text>>, usize)> {
    (1..=steps.len()).find_map(|taken| {
        let name = steps[..taken].join(".");
        let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == name)?;
        Some((key.span(), value, taken))
    })
}

fn secret_values<'a>(
    value: &'a Spanned<DeValue<'_>>,
    path: &mut Vec<&'a str>,
    is_secret: &dyn Fn(&[&str]) -> bool,
    ranges: &mut Vec<Range<usize>>,
) {
    if let Some(table) = value.get_ref().as_table() {
        for (key, value) in table {
            path.push(key.get_ref().as_ref());
            secret_values(value, path, is_secret, ranges);
            path.pop();
        }
    } else if let Some(items) = value.get_ref().as_array() {
        for item in items {
            path.push("0");
            secret_values(item, path, is_secret, ranges);
            path.pop();
        }
    } else if !value.get_ref().as_str().is_some_and(is_reference) && is_secret(path) {
        ranges.push(value.span());
    }
}

fn covered(
    name: &str,
    text: &str,
    ranges: &[Range<usize>],
    span: Range<usize>,
) -> (Arc<NamedSource<String>>, Range<usize>) {
    let covered = cover(text, ranges);
    let span = covered.span(span);
    (Arc::new(NamedSource::new(name, covered.text).with_language("TOML")), span)
}

fn unreadable(path: &Path, reason: &std::io::Error) -> ConfigError {
    let mut findings = Findings::default();
    let message = format!("cannot read {}: {reason}", path.display());
    let help = "name the file with --config, or leave it out to run with defaults";
    findings.add("", "SEA_CONFIG_UNREADABLE", message, help);
    findings.into_error()
}

fn syntax(error: &toml::de::Error, name: &str, text: &str) -> ConfigError {
    let mut findings = Findings::default();
    findings.add("", "SEA_CONFIG_SYNTAX", error.message().to_owned(), "the file must be TOML 1.0");
    let mut error_found = findings.into_error();
    if let Some(span) = error.span() {
        let (shown, span) = covered(name, text, &in_broken_toml(text), span);
        let placed = error_found.findings.drain(..).map(|finding| finding.at(shown.clone(), span.clone())).collect();
        error_found.findings = placed;
    }
    error_found
}
