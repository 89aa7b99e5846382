//! One self-contained page: no script, nothing fetched, readable on a phone, in the dark, on paper and aloud.

mod view;

use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use seaworthy_evidence::Report;
use sha2::{Digest as _, Sha256};

use self::view::{Page, Transcript};

/// Its hash is in the page's policy: no other style, and no script at all, is taken.
const STYLE: &str = include_str!("../../templates/report.css");

/// The report as a page.
pub fn html(report: &Report) -> String {
    let mut text =
        Document { page: Page::new(report), style: STYLE, style_hash: STANDARD.encode(Sha256::digest(STYLE)) }
            .render()
            // The template only writes to a String, which cannot fail.
            .unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Template)]
#[template(path = "report.html")]
struct Document<'a> {
    page: Page,
    style: &'a str,
    style_hash: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seaworthy_evidence::{Target, Verdict};

    use super::*;
    use crate::sample;

    #[test]
    fn hostile_text_stays_text() {
        let page = html(&sample::report());
        assert!(page.contains("&#60;script&#62;alert(1)"), "the text itself is shown");
        for tag in ["<script", "<img", "<iframe", "javascript:alert(1)\"", "style=\"", " onload", "hunter2", "\u{1b}"] {
            assert!(!page.contains(tag), "{tag}");
        }
        assert_eq!(page.matches("</details>").count(), page.matches("<details").count());
        assert_eq!(page.matches("</pre>").count(), page.matches("<pre>").count());
    }

    #[test]
    fn nothing_is_fetched_and_only_this_style_is_allowed() {
        let page = html(&sample::report());
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        assert!(page.contains(&format!("default-src 'none'; style-src 'sha256-{hash}'")));
        assert!(page.contains(&format!("<style>{STYLE}</style>")), "any change would make the hash wrong");
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
        for attribute in ["src=", "href=\"http", "srcset=", "<link", "<base"] {
            assert!(!page.contains(attribute), "{attribute}");
        }
    }

    #[test]
    fn every_item_is_there_with_sign_word_and_number_and_nothing_is_hidden_from_the_summary() {
        let report = sample::report();
        let page = html(&report);
        assert_eq!(page.matches("<article ").count(), report.items.len());
        for verdict in Verdict::ALL {
            assert!(page.contains(&format!("href=\"#only-{verdict}\"")), "{verdict}");
        }
        assert!(page.contains("5 of 5 cases") && page.contains("2 of 5 cases"));
        assert!(page.contains("Ticked in the file, not proven"));
        let ids: Vec<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        for id in &ids {
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "{id} is there twice");
        }
        for target in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(ids.contains(&target), "#{target} leads nowhere");
        }
    }

    #[test]
    fn nothing_at_all_is_no_success() {
        let page = html(&Report { items: Vec::new(), findings: BTreeMap::new(), target: Target::default() });
        assert!(page.contains("0 of 0 items") && page.contains("Nothing was tried"));
    }
}
