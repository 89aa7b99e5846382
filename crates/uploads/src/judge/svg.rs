//! What an SVG may not have: it is a document, and a browser that opens one runs it.

use std::{borrow::Cow, io::BufRead};

use quick_xml::{
    events::{BytesStart, Event},
    reader::Reader,
};

/// Elements that run or load something.
const ACTIVE: [&str; 9] =
    ["script", "foreignobject", "iframe", "embed", "object", "handler", "listener", "audio", "video"];
/// One event of a hostile file could be as long as the file.
const LONGEST_EVENT: u64 = 8 << 20;
const DEEPEST: usize = 256;

/// Why it is none, or has what is not taken. With `active`, scripts are taken, and declarations still are not.
pub(super) fn check(reader: impl BufRead, active: bool) -> Result<(), String> {
    let mut reader = Reader::from_reader(reader);
    let (mut buffer, mut depth, mut some) = (Vec::new(), 0_usize, false);
    let mut last = 0;
    loop {
        buffer.clear();
        let event =
            reader.read_event_into(&mut buffer).map_err(|error| format!("it is not well-formed XML ({error})"))?;
        let ends = match &event {
            Event::Start(element) | Event::Empty(element) => {
                if !some && local(element.name().as_ref()) != "svg" {
                    return Err("its root is not `svg`".into());
                }
                if some && depth == 0 {
                    return Err("it has two roots".into());
                }
                some = true;
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
        let position = reader.buffer_position();
        if depth > DEEPEST || position - last > LONGEST_EVENT {
            return Err("it is nested too deep, or has too large a part".into());
        }
        last = position;
        if ends {
            return if some && depth == 0 { Ok(()) } else { Err("it is not complete".into()) };
        }
    }
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
        let plain: String = value.chars().filter(|one| !one.is_whitespace() && !one.is_control()).collect();
        let plain = plain.to_lowercase();
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
