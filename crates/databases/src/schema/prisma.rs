//! Tables in a Prisma schema.

use seaworthy_repository::Repository;

use super::{Column, Foreign, Schema, Table, plain};

/// Reads the schema, when there is one.
pub fn read(repository: &Repository) -> Option<Schema> {
    let paths = repository.ending(&["prisma"]).filter(|path| !seaworthy_repository::is_test(path));
    let mut schema = Schema { source: "Prisma".into(), ..Schema::default() };
    for path in paths {
        let text = repository.text(path)?;
        schema.indexes_foreign_keys |= text.contains("provider = \"mysql\"");
        if text.contains("provider = \"mongodb\"") {
            return None;
        }
        models(&text, &path.display().to_string(), &mut schema);
    }
    (!schema.tables.is_empty()).then_some(schema)
}

fn models(text: &str, place: &str, schema: &mut Schema) {
    let mut open: Option<(String, Table)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let at = format!("{place}:{}", index + 1);
        if let Some(name) = line.strip_prefix("model ").and_then(|rest| rest.split_whitespace().next()) {
            open = Some((plain(name), Table { place: at, ..Table::default() }));
        } else if line == "}" {
            schema.tables.extend(open.take());
        } else if let Some((_, table)) = &mut open {
            field(line, at, table);
        }
    }
}

fn field(line: &str, place: String, table: &mut Table) {
    let list = |mark: &str| line.split_once(mark).map(|(_, rest)| names(rest)).unwrap_or_default();
    if line.starts_with("@@") {
        match () {
            () if line.starts_with("@@index") => table.indexes.push(list("@@index")),
            () if line.starts_with("@@unique") => table.unique.push(list("@@unique")),
            () if line.starts_with("@@id") => table.primary = list("@@id"),
            () => {}
        }
        return;
    }
    let mut words = line.split_whitespace();
    let (Some(name), Some(kind)) = (words.next(), words.next()) else { return };
    if let Some((_, relation)) = line.split_once("@relation(") {
        if let Some((_, fields)) = relation.split_once("fields:") {
            table.foreign.push(Foreign {
                columns: names(fields),
                table: plain(kind.trim_end_matches(['?', '[', ']'])),
                place,
            });
        }
        return;
    }
    // A list of another model is no column; a list of texts is one, and harms nothing when it is left out.
    if kind.ends_with("[]") {
        return;
    }
    let scalar = ["String", "Boolean", "Int", "BigInt", "Float", "Decimal", "DateTime", "Json", "Bytes", "Unsupported"];
    let base = kind.trim_end_matches('?');
    let is_column = scalar.iter().any(|own| base.starts_with(own))
        || base.chars().next().is_some_and(char::is_uppercase) && line.contains("@default");
    let column = plain(name);
    if line.contains("@id") {
        table.primary = vec![column.clone()];
    }
    if line.contains("@unique") {
        table.unique.push(vec![column.clone()]);
    }
    if is_column {
        table.columns.push(Column { name: column, not_null: !kind.ends_with('?') });
    }
}

/// `[a, b(sort: Desc)]` as names.
fn names(text: &str) -> Vec<String> {
    let inner = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(inner, _)| inner);
    inner
        .split(',')
        .map(|part| plain(part.split('(').next().unwrap_or(part)))
        .filter(|name| !name.is_empty() && !name.contains(':'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_relations_and_indexes() {
        let mut schema = Schema::default();
        let text = "model Post {\n  id Int @id @default(autoincrement())\n  author User @relation(fields: [authorId], references: [id])\n  authorId Int\n  title String? // @unique\n  tags Tag[]\n  @@index([authorId, title(sort: Desc)])\n}\nenum X {\n  A\n}\n";
        models(text, "schema.prisma", &mut schema);
        let post = &schema.tables["post"];
        assert_eq!((post.columns.len(), post.foreign.len(), post.unique.len()), (3, 1, 0));
        assert!(post.is_indexed(&post.foreign[0].columns) && post.foreign[0].place == "schema.prisma:3");
    }
}
