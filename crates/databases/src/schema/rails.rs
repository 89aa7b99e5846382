//! Tables in Rails' `schema.rb`.

use std::sync::LazyLock;

use regex::Regex;
use seaworthy_repository::Repository;

use super::{Column, Foreign, Schema, Table, plain};

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static COLUMN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^t\.(\w+)\s+["':](\w+)"#).expect("the pattern is valid"));
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static NAMES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"["'](\w+)["']"#).expect("the pattern is valid"));

/// Reads the schema, when there is one.
pub fn read(repository: &Repository) -> Option<Schema> {
    let text = repository.text("db/schema.rb")?;
    let mut schema = Schema { source: "db/schema.rb".into(), ..Schema::default() };
    schema.indexes_foreign_keys = repository.depends_on("ruby", &["mysql2", "trilogy"]);
    tables(&text, &mut schema);
    (!schema.tables.is_empty()).then_some(schema)
}

fn tables(text: &str, schema: &mut Schema) {
    let mut open: Option<(String, Table)> = None;
    for (index, line) in text.lines().enumerate() {
        let (line, place) = (line.trim(), format!("db/schema.rb:{}", index + 1));
        let names: Vec<String> = NAMES.captures_iter(line).map(|found| plain(&found[1])).collect();
        if let (true, Some(name)) = (line.starts_with("create_table"), names.first()) {
            let primary = if line.contains("id: false") { Vec::new() } else { vec!["id".into()] };
            open = Some((name.clone(), Table { place, primary, ..Table::default() }));
        } else if line == "end" {
            schema.tables.extend(open.take());
        } else if line.starts_with("add_foreign_key") && names.len() >= 2 {
            let column =
                line.split_once("column:").and_then(|(_, rest)| NAMES.captures(rest)).map(|found| plain(&found[1]));
            let column = column.unwrap_or_else(|| format!("{}_id", singular(&names[1])));
            if let Some(table) = schema.table(&names[0]) {
                table.foreign.push(Foreign { columns: vec![column], table: names[1].clone(), place });
            }
        } else if let Some((_, table)) = &mut open {
            if line.starts_with("t.index") {
                let list =
                    line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or(line, |(list, _)| list);
                let columns = NAMES.captures_iter(list).map(|found| plain(&found[1])).collect();
                if line.contains("unique: true") {
                    table.unique.push(columns)
                } else if !line.contains("where:") {
                    table.indexes.push(columns)
                }
            } else if line.starts_with("t.check_constraint") {
                table.checks += 1;
            } else if let Some(found) = COLUMN.captures(line) {
                table.columns.push(Column { name: plain(&found[2]), not_null: line.contains("null: false") });
            }
        }
    }
}

fn singular(name: &str) -> String {
    match name.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => {
            name.strip_suffix("sses").map_or_else(|| name.trim_end_matches('s').to_owned(), |stem| format!("{stem}ss"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_keys() {
        let mut schema = Schema::default();
        tables(
            "create_table \"posts\", force: :cascade do |t|\n  t.bigint \"user_id\", null: false\n  t.string \"a\"\n  t.index [\"user_id\"], name: \"x\"\nend\nadd_foreign_key \"posts\", \"users\"\n",
            &mut schema,
        );
        let posts = &schema.tables["posts"];
        assert_eq!((posts.columns.len(), posts.foreign.len()), (2, 1));
        assert!(posts.is_indexed(&posts.foreign[0].columns));
        assert_eq!(singular("categories"), "category");
    }
}
