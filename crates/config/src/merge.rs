//! One file laid over another: tables merge key by key, everything else replaces.

use toml::Value;

use crate::{origin::Origins, tree::is_list_of_tables};

/// Where a value is: in the merged config, and in which file under which path of its own.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub at: &'a str,
    pub layer: usize,
    pub own: &'a str,
}

/// Lays `over` over `base`. With `matched_by`, the entries of two lists of tables are the same where they have the same
/// text under that key; such entries merge, and others are appended.
pub(crate) fn lay_over(
    base: &mut Value,
    over: &Value,
    matched_by: Option<&str>,
    place: Place<'_>,
    origins: &mut Origins,
) {
    let Place { at, layer, own } = place;
    match (&mut *base, over, matched_by) {
        (Value::Table(table), Value::Table(over), _) => {
            for (key, value) in over {
                let (at, own) = (format!("{at}.{key}"), format!("{own}.{key}"));
                match table.get_mut(key) {
                    Some(there) => lay_over(there, value, None, Place { at: &at, layer, own: &own }, origins),
                    None => {
                        origins.record(&at, layer, &own, value);
                        table.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(more), Some(key)) if is_list_of_tables(over) => {
            match_entries(items, more, key, place, origins);
        }
        _ => {
            origins.forget(at);
            origins.record(at, layer, own, over);
            *base = over.clone();
        }
    }
}

fn match_entries(items: &mut Vec<Value>, more: &[Value], key: &str, place: Place<'_>, origins: &mut Origins) {
    let Place { at, layer, own } = place;
    let mut taken = vec![false; items.len()];
    for (number, entry) in more.iter().enumerate() {
        let name = name_of(entry, key);
        // An entry that is written twice is a conflict, which validation shall see: it is matched only once.
        let same =
            (0..taken.len()).find(|index| !taken[*index] && name.is_some() && name_of(&items[*index], key) == name);
        let own = format!("{own}.{number}");
        match same {
            Some(index) => {
                taken[index] = true;
                let at = format!("{at}.{index}");
                lay_over(&mut items[index], entry, None, Place { at: &at, layer, own: &own }, origins);
            }
            None => {
                origins.record(&format!("{at}.{}", items.len()), layer, &own, entry);
                items.push(entry.clone());
            }
        }
    }
}

/// Blanks between words do not count.
fn name_of(entry: &Value, key: &str) -> Option<String> {
    let text = entry.get(key)?.as_str()?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use crate::{
        Document, HumanDuration,
        fixture::{flag, render, sections, two_files},
    };

    #[test]
    fn tables_merge_by_key_and_lists_and_values_are_replaced() {
        let mut document = two_files(
            "[edge]\nlisten = \"a\"\nworkers = 2\nhosts = [\"x\", \"y\"]\n[edge.timeouts]\nfirst_byte = \"1s\"\n",
            "[edge]\nworkers = 3\nhosts = [\"z\"]\n",
        );
        let (_, edge, _) = sections(&mut document);
        assert_eq!((edge.listen.as_str(), edge.workers, edge.hosts), ("a", 3, vec!["z".to_owned()]));
        assert_eq!(edge.timeouts.first_byte, HumanDuration::seconds(1));
        document.finish().unwrap();
    }

    #[test]
    fn routes_are_matched_by_their_requests_and_others_are_appended() {
        let mut document = two_files(
            "[[route]]\nmatch = \"GET /a\"\nfirst_byte = \"1s\"\nlimit = 1\n[[route]]\nmatch = \"/b\"\n",
            "[[route]]\nmatch = \"/c\"\nlimit = 3\n[[route]]\nmatch = \"GET  /a\"\nlimit = 2\n[[route]]\nmatch = \"/c\"\n",
        );
        let (_, _, routes) = sections(&mut document);
        let seen: Vec<(&str, Option<usize>)> =
            routes.0.iter().map(|route| (route.r#match.as_str(), route.limit)).collect();
        assert_eq!(seen, [("GET  /a", Some(2)), ("/b", None), ("/c", Some(3)), ("/c", None)]);
        assert_eq!(routes.0[0].first_byte, Some(HumanDuration::seconds(1)));
    }

    #[test]
    fn a_finding_points_into_the_file_that_the_value_came_from() {
        let mut document = two_files(
            "[edge]\nlisten = 7\n[[route]]\nmatch = \"/a\"\n[[route]]\nmatch = \"/b\"\nlimit = \"x\"\n",
            "\n[edge]\nworkers = 100\nlisen = 1\n[[route]]\nmatch = \"/b\"\nfirst_byte = \"soon\"\n[egde]\n",
        );
        sections(&mut document);
        let found = document.finish().unwrap_err().findings;
        for (what, file, line) in [
            ("invalid type: integer `7`", "seaworthy.toml", 2),
            ("invalid type: string \"x\"", "seaworthy.toml", 7),
            ("too many workers", "seaworthy.production.toml", 3),
            ("unknown key `lisen`", "seaworthy.production.toml", 4),
            ("`soon` does not start", "seaworthy.production.toml", 7),
            ("unknown section `egde`", "seaworthy.production.toml", 8),
        ] {
            let finding = found.iter().find(|finding| finding.message.starts_with(what));
            let place = finding.and_then(|finding| finding.place()).map(|(file, line, _)| (file, line));
            assert_eq!(place, Some((file, line)), "{what} in {found:?}");
        }
    }

    #[test]
    fn flags_go_over_everything_and_are_named() {
        let variables = [("SEAWORTHY_EDGE__LISTEN".to_owned(), "b".to_owned())];
        let text = "[app]\nto = \"x\"\n[edge]\nlisten = \"a\"\n".to_owned();
        let document = Document::parse("seaworthy.toml", text, variables.into_iter()).unwrap();
        let flags = [
            flag("edge.listen", "--listen", Some("c")),
            flag("edge.workers", "--workers", Some("99")),
            flag("app.to", "-- COMMAND", None),
        ];
        let mut document = document.with_overrides(&flags);
        let (app, edge, _) = sections(&mut document);
        assert_eq!((edge.listen.as_str(), edge.workers, app.to), ("c", 99, None));
        assert!(render(document).contains("too many workers (set by --workers on the command line)"));
    }
}
