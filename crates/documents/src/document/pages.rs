//! Pages of which only the headings are read: rendered documentation, and help that the app itself shows. They say that
//! something is written, and never that it is enough.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;
use seaworthy_repository::{Repository, is_test};
use serde::Deserialize;

use super::DOCUMENT_FOLDERS;

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    /// Where it is.
    pub path: PathBuf,
    /// Line and words of each heading.
    pub headings: Vec<(usize, String)>,
    /// A template of the app; else rendered documentation.
    pub of_app: bool,
}

#[derive(Deserialize)]
struct Known {
    generators: Vec<String>,
    templates: Vec<String>,
    endings: Vec<String>,
    not: Vec<String>,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static KNOWN: LazyLock<Known> =
    LazyLock::new(|| toml::from_str(include_str!("pages.toml")).expect("what is known of pages is valid"));
#[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
static PATTERNS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        r#"(?i)<meta\s+name="generator"\s+content="([^"]*)""#,
        r"(?is)<h[1-4]\b[^>]*>(.{1,2000}?)</h[1-4]>",
        r#"(?s)<[^>]*>|\{%\s*\w+\s*["']|["']\s*%\}|\{#.*?#\}|&\w+;|¶"#,
    ]
    .map(|pattern| Regex::new(pattern).expect("the pattern is valid"))
});
/// A larger page was not written by people.
const LARGEST: usize = 1 << 20;
const MOST_PAGES: usize = 5_000;

/// The pages of a repository.
pub(super) fn pages(repository: &Repository) -> Vec<Page> {
    let found = repository.files().filter(|path| !is_test(path)).filter_map(|path| {
        let folders = || path.parent().into_iter().flat_map(Path::components);
        let folder_in =
            |known: &dyn Fn(&str) -> bool| folders().any(|part| part.as_os_str().to_str().is_some_and(known));
        let ending = path.extension()?.to_str()?;
        if KNOWN
            .not
            .iter()
            .any(|own| path.components().any(|part| part.as_os_str().to_string_lossy().contains(own.as_str())))
        {
            return None;
        }
        if !KNOWN.endings.iter().any(|own| own == ending) {
            return None;
        }
        let of_app = folder_in(&|name| KNOWN.templates.iter().any(|own| own == name));
        if !of_app && !folder_in(&|name| DOCUMENT_FOLDERS.contains(&name)) {
            return None;
        }
        let text = repository.text(path).filter(|text| text.len() <= LARGEST)?;
        let is_page = if of_app { text.contains("curl ") } else { is_rendered(&text) };
        is_page.then(|| Page { path: path.to_owned(), headings: headings(&text), of_app })
    });
    found.take(MOST_PAGES).collect()
}

fn is_rendered(text: &str) -> bool {
    let named = PATTERNS[0].captures(text).map(|found| found[1].to_lowercase());
    named.is_some_and(|named| KNOWN.generators.iter().any(|own| named.contains(own.as_str())))
}

fn headings(text: &str) -> Vec<(usize, String)> {
    let mut line = 1;
    let mut read = 0;
    let mut found = Vec::new();
    for heading in PATTERNS[1].captures_iter(text).take(500) {
        let at = heading.get(0).map_or(0, |whole| whole.start());
        line += text[read..at].matches('\n').count();
        read = at;
        let plain = PATTERNS[2].replace_all(&heading[1], " ");
        found.push((line, plain.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    found
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;
    use crate::document::{Documents, Found, topic};

    fn found(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        let documents = Documents::read(&repository);
        let topic = topic("auth-flow").unwrap();
        assert!(matches!(topic.find(&documents), Found::Nothing(_)));
        topic.on_a_page(&repository).unwrap_or_else(|| "Nothing".to_owned())
    }

    #[test]
    fn a_rendered_page_or_a_page_of_the_app_is_neither_there_nor_missing() {
        let page = |generator: &str| {
            let meta = format!("<meta name=\"generator\" content=\"{generator}\">");
            format!(
                "<head>{meta}</head>\n<nav><a>Authentication</a></nav>\n<h2 id=\"a\">Authentication<a href=\"#a\">¶</a></h2><p>x</p>"
            )
        };
        let rendered = found(&[("app/static/docs/a.html", &page("mkdocs-1.6.1, mkdocs-material-9"))]);
        assert!(rendered.starts_with("app/static/docs/a.html:3 is a rendered page"), "{rendered}");
        assert!(found(&[("app/static/docs/a.html", &page("a text editor"))]).starts_with("Nothing"));
        assert!(found(&[("app/static/a.html", &page("mkdocs"))]).starts_with("Nothing"));
        let help =
            "<h3>{% trans \"Authentication\" %}</h3>\n<pre>curl -H 'Authorization: Token x' https://a.invalid</pre>";
        assert!(
            found(&[("app/templates/api.html", help)]).starts_with("app/templates/api.html:1 is a page of the app")
        );
        // The form to sign in is no help.
        assert!(found(&[("app/templates/login.html", "<h3>Login</h3><form>")]).starts_with("Nothing"));
    }
}
