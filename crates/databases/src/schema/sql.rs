//! Tables in SQL: `CREATE TABLE`, `CREATE INDEX`, `ALTER TABLE` and what takes them back, in any dialect.

use super::{Column, Foreign, Schema, Table, plain};

/// A word, sign or text of SQL, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token<'s> {
    text: &'s str,
    line: usize,
}

/// Reads the statements of a text into the schema.
pub fn read(text: &str, place: &str, schema: &mut Schema) {
    let tokens = tokens(text);
    for statement in tokens.split(|token| token.text == ";") {
        let words: Vec<String> = statement.iter().take(12).map(|token| token.text.to_uppercase()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["CREATE", "TABLE" | "TEMP" | "TEMPORARY" | "UNLOGGED", ..] => create_table(statement, place, schema),
            ["CREATE", "INDEX", ..] => create_index(&statement[2..], false, schema),
            ["CREATE", "UNIQUE", ..] => create_index(statement.get(3..).unwrap_or_default(), true, schema),
            ["CREATE", "POLICY", ..] => {
                let on = statement.iter().position(|token| token.text.eq_ignore_ascii_case("on"));
                schema.policies.extend(on.and_then(|on| name(&statement[on + 1..])).map(|(name, _)| name));
            }
            ["ALTER", "TABLE", ..] => alter_table(&statement[2..], place, schema),
            ["DROP", "TABLE", ..] => {
                for token in &statement[2..] {
                    schema.tables.remove(&plain(token.text));
                }
            }
            _ => {}
        }
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let rest = &text[at..];
        let length = match bytes[at] {
            b'\n' | b' ' | b'\t' | b'\r' => 1,
            b'-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |end| end + 4),
            quote @ (b'\'' | b'"' | b'`') => {
                let length = quoted(rest, quote);
                found.push(Token { text: &rest[..length], line });
                length
            }
            b'$' => {
                let tag = rest[1..].find('$').map(|end| &rest[..end + 2]);
                let tag = tag.filter(|tag| {
                    tag[1..tag.len() - 1].chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
                });
                tag.map_or(1, |tag| rest[tag.len()..].find(tag).map_or(rest.len(), |end| end + 2 * tag.len()))
            }
            letter
                if letter.is_ascii_alphanumeric()
                    || letter == b'_'
                    || letter >= 0x80
                    || letter == b'[' && rest[1..].starts_with(|next: char| next.is_ascii_alphabetic()) =>
            {
                let end = if letter == b'[' {
                    rest.find(']').map_or(rest.len(), |end| end + 1)
                } else {
                    rest.find(|next: char| !(next.is_alphanumeric() || next == '_' || next == '$'))
                        .unwrap_or(rest.len())
                };
                let end = end.max(rest.chars().next().map_or(1, char::len_utf8));
                found.push(Token { text: &rest[..end], line });
                end
            }
            _ => {
                found.push(Token { text: &rest[..1], line });
                1
            }
        };
        line += rest[..length].matches('\n').count();
        at += length;
    }
    found
}

fn quoted(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    bytes.len()
}

/// A name at the beginning, with what is before its points; and how many tokens it takes.
fn name(tokens: &[Token<'_>]) -> Option<(String, usize)> {
    let skipped = tokens
        .iter()
        .take_while(|token| ["IF", "NOT", "EXISTS", "ONLY"].contains(&token.text.to_uppercase().as_str()))
        .count();
    let mut taken = skipped + 1;
    let mut last = tokens.get(skipped)?;
    while tokens.get(taken).is_some_and(|token| token.text == ".") {
        last = tokens.get(taken + 1)?;
        taken += 2;
    }
    Some((plain(last.text), taken))
}

/// What stands between the first bracket and the one that closes it, and how many tokens that takes.
fn within<'t, 's>(tokens: &'t [Token<'s>]) -> Option<(&'t [Token<'s>], usize)> {
    let open = tokens.iter().position(|token| token.text == "(")?;
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&tokens[open + 1..at], at + 1));
        }
    }
    None
}

/// Pieces between commas that are in no bracket.
fn items<'t, 's>(tokens: &'t [Token<'s>]) -> Vec<&'t [Token<'s>]> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0_i64, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" => depth += 1,
            ")" => depth -= 1,
            "," if depth == 0 => {
                found.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&tokens[start..]);
    found
}

/// Names in a list: the first word of each piece.
fn columns(tokens: &[Token<'_>]) -> Vec<String> {
    items(tokens).iter().filter_map(|item| item.first()).map(|token| plain(token.text)).collect()
}

fn create_table(statement: &[Token<'_>], place: &str, schema: &mut Schema) {
    let at = statement.iter().position(|token| token.text.eq_ignore_ascii_case("table")).unwrap_or(1);
    let Some((table_name, taken)) = name(&statement[at + 1..]) else { return };
    let place = format!("{place}:{}", statement[0].line);
    let Some((body, _)) = within(&statement[at + 1 + taken..]) else {
        // Made from a query, or a part of another table.
        let part = statement.iter().any(|token| token.text.eq_ignore_ascii_case("partition"));
        if !part {
            schema.unread.push(format!("{place}: {table_name}"));
        }
        return;
    };
    let mut table = Table { place, ..Table::default() };
    for item in items(body) {
        element(item, &mut table);
    }
    schema.tables.insert(table_name, table);
}

const CONSTRAINTS: &[&str] =
    &["CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "KEY", "INDEX", "EXCLUDE", "FULLTEXT", "SPATIAL", "LIKE"];

/// A column or a constraint.
fn element(item: &[Token<'_>], table: &mut Table) {
    let Some(first) = item.first() else { return };
    let upper: Vec<String> = item.iter().map(|token| token.text.to_uppercase()).collect();
    let has = |words: &[&str]| {
        upper.windows(words.len()).position(|own| own.iter().zip(words).all(|(own, word)| own == word))
    };
    let place = format!("{}:{}", table.place.rsplit_once(':').map_or("", |(file, _)| file), first.line);
    let is_constraint = CONSTRAINTS.contains(&upper[0].as_str())
        && upper.get(1).is_none_or(|next| {
            upper[0] == "CONSTRAINT"
                || next == "("
                || next == "KEY"
                || next == "INDEX"
                || item.iter().any(|token| token.text == "(")
        });
    if is_constraint {
        let Some((list, after)) = within(item) else { return };
        let list = columns(list);
        match () {
            () if has(&["PRIMARY", "KEY"]).is_some() => table.primary = list,
            () if has(&["FOREIGN", "KEY"]).is_some() => {
                let target = item[after..].iter().position(|token| token.text.eq_ignore_ascii_case("references"));
                let target =
                    target.and_then(|at| name(&item[after + at + 1..])).map(|(name, _)| name).unwrap_or_default();
                table.foreign.push(Foreign { columns: list, table: target, place });
            }
            () if has(&["CHECK"]).is_some() || upper[0] == "EXCLUDE" => table.checks += 1,
            () if has(&["UNIQUE"]).is_some() => table.unique.push(list),
            () if upper[0] == "KEY" || upper[0] == "INDEX" => table.indexes.push(list),
            () => {}
        }
        return;
    }
    let column = plain(first.text);
    let not_null = has(&["NOT", "NULL"]).is_some()
        || has(&["PRIMARY", "KEY"]).is_some()
        || upper.get(1).is_some_and(|kind| kind.contains("SERIAL"));
    table.columns.retain(|own| own.name != column);
    table.columns.push(Column { name: column.clone(), not_null });
    if has(&["PRIMARY", "KEY"]).is_some() {
        table.primary = vec![column.clone()];
    }
    if has(&["UNIQUE"]).is_some() {
        table.unique.push(vec![column.clone()]);
    }
    table.checks += usize::from(has(&["CHECK"]).is_some());
    // Only in a table's list do words refer; a column may be called so in a default.
    if let Some(at) = has(&["REFERENCES"]) {
        let target = name(&item[at + 1..]).map(|(name, _)| name).unwrap_or_default();
        table.foreign.push(Foreign { columns: vec![column], table: target, place });
    }
}

fn create_index(tokens: &[Token<'_>], unique: bool, schema: &mut Schema) {
    let Some(on) = tokens.iter().position(|token| token.text.eq_ignore_ascii_case("on")) else { return };
    let Some((table_name, taken)) = name(&tokens[on + 1..]) else { return };
    let Some((list, after)) = within(&tokens[on + 1 + taken..]) else { return };
    let list = columns(list);
    // A partial index does not serve every row.
    let partial = tokens[on + 1 + taken + after..].iter().any(|token| token.text.eq_ignore_ascii_case("where"));
    if let Some(table) = schema.table(&table_name).filter(|_| !partial) {
        if unique { table.unique.push(list) } else { table.indexes.push(list) }
    }
}

fn alter_table(tokens: &[Token<'_>], place: &str, schema: &mut Schema) {
    let Some((table_name, taken)) = name(tokens) else { return };
    let line = tokens.first().map_or(1, |token| token.line);
    let Some(mut table) = schema.tables.remove(&table_name) else {
        return;
    };
    let mut new_name = table_name;
    let own_place = std::mem::replace(&mut table.place, format!("{place}:{line}"));
    for action in items(&tokens[taken..]) {
        let upper: Vec<String> = action.iter().map(|token| token.text.to_uppercase()).collect();
        let words: Vec<&str> = upper.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["ADD", "COLUMN", "IF", "NOT", "EXISTS", ..] => element(&action[5..], &mut table),
            ["ADD", "COLUMN", "(", ..] | ["ADD", "(", ..] => {
                let list = within(action).map(|(list, _)| items(list)).unwrap_or_default();
                list.into_iter().for_each(|item| element(item, &mut table));
            }
            ["ADD", "COLUMN", ..] => element(&action[2..], &mut table),
            ["ADD", ..] => element(&action[1..], &mut table),
            ["DROP", "COLUMN", rest @ ..] => {
                let skipped = if rest.first() == Some(&"IF") { 4 } else { 2 };
                action.get(skipped).into_iter().for_each(|token| table.drop_column(token.text));
            }
            ["ALTER", "COLUMN", _, "SET", "NOT", "NULL", ..] | ["ALTER", _, "SET", "NOT", "NULL", ..] => {
                let at = if words[1] == "COLUMN" { 2 } else { 1 };
                table.column(action[at].text).into_iter().for_each(|column| column.not_null = true);
            }
            ["ALTER", "COLUMN", _, "DROP", "NOT", "NULL", ..] => {
                table.column(action[2].text).into_iter().for_each(|column| column.not_null = false);
            }
            ["ENABLE", "ROW", ..] => table.secured = true,
            ["DISABLE", "ROW", ..] => table.secured = false,
            ["RENAME", "TO", ..] => new_name = action.get(2).map_or(new_name, |token| plain(token.text)),
            ["RENAME", "COLUMN", _, "TO", _, ..] => {
                let new = plain(action[4].text);
                rename(&mut table, &plain(action[2].text), &new);
            }
            _ => {}
        }
    }
    table.place = own_place;
    schema.tables.insert(new_name, table);
}

fn rename(table: &mut Table, old: &str, new: &str) {
    let keys = table.foreign.iter_mut().map(|key| &mut key.columns);
    let lists = table.indexes.iter_mut().chain(&mut table.unique).chain([&mut table.primary]).chain(keys).flatten();
    let names = table.columns.iter_mut().map(|column| &mut column.name).chain(lists);
    names.filter(|name| *name == old).for_each(|name| new.clone_into(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_keys_and_what_is_changed_later() {
        let mut schema = Schema::default();
        let text = "-- CREATE TABLE no (a int);\nCREATE TABLE IF NOT EXISTS \"public\".users (\n  id bigserial PRIMARY KEY,\n  email text NOT NULL UNIQUE,\n  \
                    age int CHECK (age > 0, true),\n  key text\n);\nCREATE TABLE posts (id int, user_id int REFERENCES users(id) ON DELETE CASCADE, b int NOT NULL,\n \
                    PRIMARY KEY (id), CONSTRAINT f FOREIGN KEY (b) REFERENCES x.y (id), UNIQUE KEY k (b, id));\nCREATE INDEX CONCURRENTLY i ON posts USING btree (user_id DESC);\n\
                    CREATE INDEX ON posts (b) WHERE b > 1;\nALTER TABLE ONLY posts ADD COLUMN c int NOT NULL, DROP COLUMN b, ALTER COLUMN user_id SET NOT NULL;\n\
                    ALTER TABLE users ENABLE ROW LEVEL SECURITY;\nCREATE POLICY p ON users USING (true);\nCREATE FUNCTION f() AS $$ CREATE TABLE z (a int); $$ LANGUAGE sql;\n\
                    INSERT INTO t VALUES ('it''s; CREATE TABLE q (a int)');\nCREATE TABLE `gone` (a int);\nDROP TABLE IF EXISTS `gone`;\n";
        read(text, "a.sql", &mut schema);
        assert_eq!(schema.tables.keys().collect::<Vec<_>>(), ["posts", "users"]);
        let users = &schema.tables["users"];
        assert_eq!((users.columns.len(), users.checks, users.unique.len(), users.secured), (4, 1, 1, true));
        assert!(users.columns[0].not_null && users.columns[1].not_null && !users.columns[2].not_null);
        let posts = &schema.tables["posts"];
        assert_eq!(posts.foreign.len(), 1, "{posts:?}");
        assert!(posts.is_indexed(&["user_id".into()]) && posts.columns.iter().any(|column| column.name == "c"));
        assert_eq!(posts.foreign[0].place, "a.sql:8");
        assert!(schema.policies.contains("users") && schema.unread.is_empty());
    }

    #[test]
    fn what_is_broken_does_not_break_us() {
        for text in [
            "CREATE TABLE",
            "CREATE TABLE a (",
            "ALTER TABLE",
            "CREATE INDEX",
            "CREATE UNIQUE",
            "'",
            "$a$",
            "((((",
            "DROP TABLE",
            "é ü [x",
            "CREATE TABLE a (b",
            "CREATE TABLE a ())",
        ] {
            read(text, "a", &mut Schema::default());
        }
    }
}
