//! Tables in Alembic's operations, and in SQL that code hands over.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Column, Foreign, Schema, Table,
    calls::{Argument, arguments, call, text, texts, value},
    plain, sql,
};

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static OPERATION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(op|batch_op|batch)\.(\w+)\s*\(").expect("the pattern is valid"));
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static QUERY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?s)\.query\s*\(\s*(?:`([^`]*)`|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')"#)
        .expect("the pattern is valid")
});

/// Reads what `upgrade` does.
pub fn read(code: &str, place: &str, schema: &mut Schema) {
    let start = code.find("def upgrade").unwrap_or(code.len());
    let end = code[start..].find("def downgrade").map_or(code.len(), |end| start + end);
    let body = &code[start..end];
    let mut batch = String::new();
    for found in OPERATION.captures_iter(body) {
        let Some(whole) = found.get(0) else { continue };
        let line = 1 + code[..start + whole.start()].matches('\n').count();
        let before = body[..whole.start()].rsplit('\n').next().unwrap_or_default();
        if before.trim_start().starts_with('#') {
            continue;
        }
        let (arguments, _) = arguments(&body[whole.end() - 1..]);
        let first = arguments.first().map(|one| one.value).unwrap_or_default();
        let (in_batch, name) = (&found[1] != "op", &found[2]);
        if name == "batch_alter_table" {
            batch = text(first).unwrap_or_default();
            continue;
        }
        if name == "execute" {
            let inner = call(first)
                .filter(|(name, _)| name.ends_with("text"))
                .and_then(|(_, inner)| inner.first().map(|one| one.value));
            match text(inner.unwrap_or(first)) {
                Some(statement) => sql::read(&statement, &format!("{place}:{line}"), schema),
                None => schema.unread.push(format!("{place}:{line}: statements that code puts together")),
            }
            continue;
        }
        let place = format!("{place}:{line}");
        operation(name, &arguments, in_batch.then_some(batch.as_str()), &place, schema);
    }
}

/// Reads the statements that TypeORM's `up` hands over.
pub fn read_queries(code: &str, place: &str, schema: &mut Schema) {
    let end = ["async down(", " down("].iter().filter_map(|mark| code.find(mark)).min().unwrap_or(code.len());
    for found in QUERY.captures_iter(&code[..end]) {
        let statement =
            found.iter().skip(1).flatten().next().map(|text| text.as_str().replace("\\\"", "\"").replace("\\'", "'"));
        sql::read(&statement.unwrap_or_default(), place, schema);
    }
    if code[..end].contains("queryRunner.createTable") || code[..end].contains("queryRunner.addColumn") {
        schema.unread.push(format!("{place}: tables that code puts together"));
    }
}

fn operation(name: &str, arguments: &[Argument<'_>], batch: Option<&str>, place: &str, schema: &mut Schema) {
    let (table_name, rest) = table_of(name, arguments, batch);
    if name == "create_table" {
        let mut table = Table { place: place.to_owned(), ..Table::default() };
        arguments.iter().skip(1).for_each(|one| element(one.value, &mut table, place));
        schema.tables.insert(plain(&table_name), table);
        return;
    }
    if name == "drop_table" {
        schema.tables.remove(&plain(&table_name));
        return;
    }
    let Some(table) = schema.table(&table_name) else { return };
    match name {
        "add_column" => arguments.iter().skip(rest).for_each(|one| element(one.value, table, place)),
        "drop_column" => {
            let column = arguments.get(rest).and_then(|one| text(one.value));
            column.into_iter().for_each(|column| table.drop_column(&column));
        }
        "alter_column" => {
            let column = value(arguments, "column_name", Some(rest)).and_then(text).unwrap_or_default();
            if let (Some(nullable), Some(column)) = (value(arguments, "nullable", None), table.column(&column)) {
                column.not_null = nullable == "False";
            }
        }
        // The first argument of an index or a constraint is its own name, also in a batch.
        _ => constraint(name, arguments, if batch.is_some() { 1 } else { rest }, table, place),
    }
}

/// The table of an operation, and where its other arguments begin.
fn table_of(name: &str, arguments: &[Argument<'_>], batch: Option<&str>) -> (String, usize) {
    // In a batch the table is not among the arguments.
    if let Some(table) = batch {
        return (table.to_owned(), 0);
    }
    let second = name.starts_with("create_") && name != "create_table"
        || name.starts_with("drop_") && name != "drop_table" && name != "drop_column";
    if second {
        let table = value(arguments, "table_name", Some(1)).or_else(|| value(arguments, "source_table", Some(1)));
        return (table.and_then(text).unwrap_or_default(), 2);
    }
    let first = arguments.first().filter(|one| one.name.is_none()).and_then(|one| text(one.value));
    (first.unwrap_or_default(), 1)
}

/// An operation that adds an index or a constraint; its columns are the argument at `list`.
fn constraint(name: &str, arguments: &[Argument<'_>], list: usize, table: &mut Table, place: &str) {
    let names = |key: &str, at: usize| -> Vec<String> {
        value(arguments, key, Some(at)).map(texts).unwrap_or_default().iter().map(|name| plain(name)).collect()
    };
    match name {
        "create_index" => {
            let columns = names("columns", list);
            let partial = arguments.iter().any(|one| one.name.is_some_and(|name| name.ends_with("_where")));
            match value(arguments, "unique", None) == Some("True") {
                _ if partial => {}
                true => table.unique.push(columns),
                false => table.indexes.push(columns),
            }
        }
        "create_unique_constraint" => table.unique.push(names("columns", list)),
        "create_check_constraint" => table.checks += 1,
        "create_foreign_key" => {
            // Behind its name: in a batch the table it refers to, else the table itself first.
            let target = if list == 1 { 1 } else { 2 };
            let table_name = value(arguments, "referent_table", Some(target)).and_then(text).unwrap_or_default();
            let columns = names("local_cols", target + 1);
            table.foreign.push(Foreign { columns, table: plain(&table_name), place: place.to_owned() });
        }
        _ => {}
    }
}

/// A column or constraint in `create_table`.
fn element(code: &str, table: &mut Table, place: &str) {
    let Some((name, arguments)) = call(code) else { return };
    let kind = name.rsplit('.').next().unwrap_or(name);
    let names = |arguments: &[Argument<'_>]| {
        arguments
            .iter()
            .filter(|one| one.name.is_none())
            .filter_map(|one| text(one.value))
            .map(|name| plain(&name))
            .collect::<Vec<_>>()
    };
    match kind {
        "Column" => {
            let Some(column) = arguments.first().and_then(|one| text(one.value)).map(|name| plain(&name)) else {
                return;
            };
            let primary = value(&arguments, "primary_key", None) == Some("True");
            let not_null = primary || value(&arguments, "nullable", None) == Some("False");
            table.columns.push(Column { name: column.clone(), not_null });
            if primary {
                table.primary.push(column.clone());
            }
            if value(&arguments, "unique", None) == Some("True") {
                table.unique.push(vec![column.clone()]);
            }
            if value(&arguments, "index", None) == Some("True") {
                table.indexes.push(vec![column.clone()]);
            }
            for (_, inner) in
                arguments.iter().filter_map(|one| call(one.value)).filter(|(name, _)| name.ends_with("ForeignKey"))
            {
                let target = inner.first().and_then(|one| text(one.value)).unwrap_or_default();
                let target = target.rsplit_once('.').map_or(target.clone(), |(table, _)| table.to_owned());
                table.foreign.push(Foreign {
                    columns: vec![column.clone()],
                    table: plain(&target),
                    place: place.to_owned(),
                });
            }
        }
        "PrimaryKeyConstraint" => table.primary = names(&arguments),
        "UniqueConstraint" => table.unique.push(names(&arguments)),
        "CheckConstraint" => table.checks += 1,
        "Index" => table.indexes.push(names(&arguments).into_iter().skip(1).collect()),
        "ForeignKeyConstraint" => {
            let columns = arguments
                .first()
                .map(|one| texts(one.value))
                .unwrap_or_default()
                .iter()
                .map(|name| plain(name))
                .collect();
            let target =
                arguments.get(1).map(|one| texts(one.value)).unwrap_or_default().into_iter().next().unwrap_or_default();
            let target = target.rsplit_once('.').map_or(target.clone(), |(table, _)| table.to_owned());
            table.foreign.push(Foreign { columns, table: plain(&target), place: place.to_owned() });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_batches_and_statements() {
        let mut schema = Schema::default();
        let code = "revision = 'a'\ndef upgrade():\n    op.create_table('posts',\n        sa.Column('id', sa.Integer(), nullable=False),\n        \
                    sa.Column('user_id', sa.Integer(), sa.ForeignKey('users.id'), nullable=True),\n        sa.Column('tag_id', sa.Integer()),\n        \
                    sa.ForeignKeyConstraint(['tag_id'], ['tags.id'], ),\n        sa.PrimaryKeyConstraint('id'),\n        sa.UniqueConstraint('id', 'tag_id'))\n    \
                    op.create_index(op.f('ix'), 'posts', ['user_id'], unique=False)\n    # op.drop_table('posts')\n    \
                    with op.batch_alter_table('posts') as batch_op:\n        batch_op.add_column(sa.Column('x', sa.Integer(), nullable=False))\n        \
                    batch_op.create_index('ix_tag', ['tag_id'])\n    op.execute('ALTER TABLE posts ENABLE ROW LEVEL SECURITY')\n\
                    def downgrade():\n    op.drop_table('posts')\n";
        read(code, "v.py", &mut schema);
        let posts = &schema.tables["posts"];
        assert_eq!((posts.columns.len(), posts.foreign.len(), posts.primary.len(), posts.unique.len()), (4, 2, 1, 1));
        assert!(posts.is_indexed(&["user_id".into()]) && posts.is_indexed(&["tag_id".into()]) && posts.secured);
        let mut schema = Schema::default();
        read_queries(
            "async up(q) { await q.query(`CREATE TABLE \"a\" (\"id\" int)`); }\nasync down(q) { await q.query(`DROP TABLE \"a\"`) }",
            "m.ts",
            &mut schema,
        );
        assert_eq!(schema.tables.len(), 1);
    }
}
