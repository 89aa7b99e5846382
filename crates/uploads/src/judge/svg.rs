//! What an SVG may not have: it is a document, and a browser that opens one runs it.

use std::{
    borrow::Cow,
    io::{self, BufRead, Read},
};

use quick_xml::{
    events::{BytesStart, Event},
    reader::Reader,
};

/// Elements that run or load something.
const ACTIVE: [&str; 9] =
    ["script", "foreignobject", "iframe", "embed", "object", "handler", "listener", "audio", "video"];
/// One tag or text of a hostile file could be as long as the file, and the parser keeps one whole. Pictures stand in
/// attributes.
const LONGEST_EVENT: usize = 8 << 20;
const DEEPEST: usize = 256;
/// The parser keeps the names of all elements that are open.
const LONGEST_NAME: usize = 1024;
/// Of an element: each is compared with all before it.
const MOST_ATTRIBUTES: usize = 1000;

/// Ends when one event is too long.
struct Guarded<R> {
    reader: R,
    left: usize,
}

impl<R: BufRead> Read for Guarded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = into.len().min(self.left);
        let read = self.reader.read(&mut into[..room])?;
        self.left -= read;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Guarded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other(format!("a tag or a text of more than {LONGEST_EVENT} bytes")));
        }
        let filled = self.reader.fill_buf()?;
        Ok(&filled[..filled.len().min(self.left)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.reader.consume(amount);
    }
}

/// Why it is none, or has what is not taken. With `active`, scripts are taken, and declarations still are not.
pub(super) fn check(reader: impl BufRead, active: bool) -> Result<(), String> {
    let mut reader = Reader::from_reader(Guarded { reader, left: LONGEST_EVENT });
    let (mut buffer, mut depth, mut some) = (Vec::new(), 0_usize, false);
    loop {
        buffer.clear();
        reader.get_mut().left = LONGEST_EVENT;
        let event = reader.read_event_into(&mut buffer).map_err(|error| broken(&error))?;
        let ends = match &event {
            Event::Start(element) | Event::Empty(element) => {
                if !some && local(element.name().as_ref()) != "svg" {
                    return Err("its root is not `svg`".into());
                }
                if some && depth == 0 {
                    return Err("it has two roots".into());
                }
                some = true;
                bounded(element)?;
                if !active {
                    inactive(element)?;
                }
                depth += usize::from(matches!(event, Event::Start(_)));
                false
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                false
            }
            // Entities of a document of its own could stand for anything.
            Event::DocType(text) if text.contains('[') || (text.contains("://") && !text.contains("//www.w3.org/")) => {
                return Err("it declares entities, or loads declarations".into());
            }
            Event::PI(text) if !active && text.to_ascii_lowercase().starts_with("xml-") => {
                return Err("it loads a style sheet".into());
            }
            Event::Decl(declaration) => {
                let encoding = declaration.encoding().and_then(Result::ok).unwrap_or(Cow::Borrowed("utf-8"));
                if !encoding.eq_ignore_ascii_case("utf-8") {
                    return Err("it is not UTF-8".into());
                }
                false
            }
            Event::Eof => true,
            _ => false,
        };
        if depth > DEEPEST {
            return Err("it is nested too deep".into());
        }
        if ends {
            return if some && depth == 0 { Ok(()) } else { Err("it is not complete".into()) };
        }
    }
}

fn broken(error: &quick_xml::Error) -> String {
    match error {
        quick_xml::Error::Io(error) => format!("it has {error}"),
        error => format!("it is not well-formed XML ({error})"),
    }
}

fn bounded(element: &BytesStart<'_>) -> Result<(), String> {
    if element.name().as_ref().len() > LONGEST_NAME {
        return Err(format!("it has a name of more than {LONGEST_NAME} bytes"));
    }
    // Unchecked: the check for repeated ones is what costs.
    if element.attributes().with_checks(false).take(MOST_ATTRIBUTES + 1).count() > MOST_ATTRIBUTES {
        return Err(format!("it has an element of more than {MOST_ATTRIBUTES} attributes"));
    }
    Ok(())
}

fn inactive(element: &BytesStart<'_>) -> Result<(), String> {
    let name = local(element.name().as_ref());
    if ACTIVE.contains(&name.as_str()) {
        return Err(format!("it has an element `{name}`"));
    }
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| format!("it has an attribute that is none ({error})"))?;
        let key = local(attribute.key.as_ref());
        if key.starts_with("on") {
            return Err(format!("it has an event handler `{key}`"));
        }
        let value = quick_xml::escape::unescape(&attribute.value)
            .map_err(|_| "it uses entities that are not XML's own".to_owned())?;
        // Browsers leave white space and control characters out of a scheme.
        let shown = value.chars().filter(|one| !one.is_whitespace() && !one.is_control());
        let plain: String = shown.flat_map(char::to_lowercase).collect();
        let loads = matches!(key.as_str(), "href" | "src" | "data" | "action" | "from" | "to" | "values" | "by");
        if plain.contains("javascript:") || plain.contains("vbscript:") || plain.contains("data:text/") {
            return Err(format!("it has a script in `{key}`"));
        }
        if loads && plain.starts_with("data:") && !is_picture(&plain) {
            return Err(format!("it has a document in `{key}`"));
        }
    }
    Ok(())
}

/// Of formats that are pictures alone; an SVG in an SVG has not been looked at.
fn is_picture(value: &str) -> bool {
    ["png", "jpeg", "jpg", "gif", "webp", "avif"].iter().any(|kind| value.starts_with(&format!("data:image/{kind}")))
}

fn local(name: &str) -> String {
    name.rsplit(':').next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_pass_and_programs_do_not() {
        let svg = |inside: &str| {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" xmlns:s=\"http://www.w3.org/2000/svg\">{inside}</svg>\n"
            )
        };
        let plain = [
            "<g><path d=\"M0 0\"/><text>&lt;script> &amp; more</text></g>",
            "<use xlink:href=\"#a\"/><a href=\"https://example.com\">x</a><style>rect{fill:red}</style>",
            "<image href=\"data:image/png;base64,AAAA\"/>",
        ];
        for inside in plain {
            assert_eq!(check(svg(inside).as_bytes(), false), Ok(()), "{inside}");
        }
        let large = "x".repeat(LONGEST_EVENT + 1);
        let many: String = (0..=MOST_ATTRIBUTES).map(|number| format!(" a{number}=\"\"")).collect();
        for (inside, why) in [
            (format!("<rect a=\"{large}\"/>"), "a tag or a text"),
            (format!("<!--{large}-->"), "a tag or a text"),
            (large.clone(), "a tag or a text"),
            (format!("<a{large}/>"), "a tag or a text"),
            (format!("<{}/>", &large[..=LONGEST_NAME]), "a name"),
            (format!("<rect{many}/>"), "attributes"),
            (format!("{}{}", "<g>".repeat(256), "</g>".repeat(256)), "too deep"),
        ] {
            for active in [false, true] {
                let said = check(svg(&inside).as_bytes(), active).unwrap_err();
                assert!(said.contains(why), "{said}");
            }
        }
        let active = [
            "<script>alert(1)</script>",
            "<s:script>alert(1)</s:script>",
            "<SCRIPT/>",
            "<rect onload=\"alert(1)\"/>",
            "<rect OnClick='x'/>",
            "<a href=\"java&#10;script:alert(1)\">x</a>",
            "<a xlink:href=\"&#106;avascript:alert(1)\">x</a>",
            "<foreignObject><b/></foreignObject>",
            "<image href=\"data:image/svg+xml;base64,AAAA\"/>",
            "<use href=\"data:text/html,x\"/>",
            "<?xml-stylesheet href='x'?>",
            "<set attributeName=\"href\" to=\"javascript:x\"/>",
        ];
        for inside in active {
            assert!(check(svg(inside).as_bytes(), false).is_err(), "{inside}");
            assert_eq!(check(svg(inside).as_bytes(), true), Ok(()), "{inside}");
        }
        let broken = [
            "<html><svg/></html>",
            "<svg><g></svg>",
            "<svg>",
            "",
            "text",
            "<svg/><svg/>",
            "<!DOCTYPE svg [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><svg>&x;</svg>",
            "<?xml version=\"1.0\" encoding=\"utf-7\"?><svg/>",
        ];
        for text in broken {
            assert!(check(text.as_bytes(), true).is_err(), "{text}");
        }
    }
}
