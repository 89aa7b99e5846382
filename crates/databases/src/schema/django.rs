//! Tables in Django's migrations.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Column, Foreign, Schema, Table,
    calls::{Argument, arguments, call, text, texts, value},
    plain,
};

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static OPERATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^\s*(?:migrations\.)?(CreateModel|AddField|AlterField|RemoveField|DeleteModel|RenameModel|RenameField|AddIndex|AddConstraint|AlterUniqueTogether|RunSQL)\s*\(").expect("the pattern is valid")
});

/// Reads the operations of one migration.
pub fn read(code: &str, place: &str, app: &str, schema: &mut Schema) {
    for found in OPERATION.captures_iter(code) {
        let Some(whole) = found.get(0) else { continue };
        let line = 1 + code[..whole.end()].matches('\n').count();
        let place = format!("{place}:{line}");
        let (arguments, _) = arguments(&code[whole.end() - 1..]);
        let of = |name: &str, at: usize| value(&arguments, name, Some(at)).and_then(text).unwrap_or_default();
        let table_of = |model: &str| format!("{app}_{}", plain(model));
        match &found[1] {
            "CreateModel" => {
                let mut table = Table { place: place.clone(), ..Table::default() };
                let fields = value(&arguments, "fields", Some(1)).unwrap_or_default();
                for item in self::arguments(fields).0 {
                    let pair = self::arguments(item.value).0;
                    let (Some(name), Some(field)) = (pair.first().and_then(|one| text(one.value)), pair.get(1)) else {
                        continue;
                    };
                    add_field(&mut table, &name, field.value, &place, app);
                }
                let options = value(&arguments, "options", Some(2)).unwrap_or_default();
                if let Some(at) = options.find("unique_together") {
                    together(&mut table, &options[at..]);
                }
                table.checks += options.matches("CheckConstraint(").count();
                table.indexes.extend(fields_of(options, "Index("));
                table.unique.extend(fields_of(options, "UniqueConstraint("));
                let unmanaged = options.contains("'abstract': True")
                    || options.contains("'proxy': True")
                    || options.contains("'managed': False");
                if !unmanaged {
                    schema.tables.insert(table_of(&of("name", 0)), table);
                }
            }
            "DeleteModel" => {
                schema.tables.remove(&table_of(&of("name", 0)));
            }
            "RenameModel" => {
                if let Some(table) = schema.tables.remove(&table_of(&of("old_name", 0))) {
                    schema.tables.insert(table_of(&of("new_name", 1)), table);
                }
            }
            "RunSQL" => match value(&arguments, "sql", Some(0)).map(texts).filter(|texts| !texts.is_empty()) {
                Some(statements) => statements.iter().for_each(|statement| super::sql::read(statement, &place, schema)),
                None => schema.unread.push(format!("{place}: statements that code puts together")),
            },
            name => {
                change(name, &arguments, &place, app, schema.tables.get_mut(&table_of(&of_model(&arguments, name))))
            }
        }
    }
}

fn of_model(arguments: &[Argument<'_>], operation: &str) -> String {
    let name = if operation == "AlterUniqueTogether" { "name" } else { "model_name" };
    value(arguments, name, Some(0)).and_then(text).unwrap_or_default()
}

fn change(operation: &str, arguments: &[Argument<'_>], place: &str, app: &str, table: Option<&mut Table>) {
    let Some(table) = table else { return };
    let name = value(arguments, "name", Some(1)).and_then(text).unwrap_or_default();
    match operation {
        "AddField" | "AlterField" => {
            remove(table, &name);
            add_field(table, &name, value(arguments, "field", Some(2)).unwrap_or_default(), place, app);
        }
        "RemoveField" => remove(table, &name),
        "RenameField" => {
            let (old, new) = (
                value(arguments, "old_name", Some(1)).and_then(text),
                value(arguments, "new_name", Some(2)).and_then(text),
            );
            if let (Some(old), Some(new)) = (old, new) {
                let (old, new) = (plain(&old), plain(&new));
                let all = table.columns.iter_mut().map(|column| &mut column.name);
                let lists = table
                    .indexes
                    .iter_mut()
                    .chain(&mut table.unique)
                    .chain(table.foreign.iter_mut().map(|key| &mut key.columns))
                    .flatten();
                for own in all.chain(lists) {
                    if *own == old {
                        new.clone_into(own);
                    } else if *own == format!("{old}_id") {
                        *own = format!("{new}_id");
                    }
                }
            }
        }
        "AddIndex" => table
            .indexes
            .extend(value(arguments, "index", Some(1)).into_iter().flat_map(|index| fields_of(index, "Index("))),
        "AddConstraint" => {
            let constraint = value(arguments, "constraint", Some(1)).unwrap_or_default();
            table.checks += usize::from(constraint.contains("CheckConstraint("));
            table.unique.extend(fields_of(constraint, "UniqueConstraint("));
        }
        "AlterUniqueTogether" => together(table, value(arguments, "unique_together", Some(1)).unwrap_or_default()),
        _ => {}
    }
}

fn remove(table: &mut Table, name: &str) {
    table.drop_column(name);
    table.drop_column(&format!("{name}_id"));
}

fn add_field(table: &mut Table, name: &str, field: &str, place: &str, app: &str) {
    let Some((kind, arguments)) = call(field) else { return };
    let kind = kind.rsplit('.').next().unwrap_or(kind);
    if kind.ends_with("ManyToManyField") || kind.starts_with("Generic") {
        return;
    }
    let is = |name: &str, word: &str| value(&arguments, name, None) == Some(word);
    let relation = kind.ends_with("ForeignKey") || kind.ends_with("OneToOneField") || kind == "ParentalKey";
    let column = if relation { format!("{}_id", plain(name)) } else { plain(name) };
    table.columns.push(Column { name: column.clone(), not_null: !is("null", "True") });
    if is("primary_key", "True") || kind.contains("AutoField") {
        table.primary = vec![column.clone()];
    }
    if is("unique", "True") || kind.ends_with("OneToOneField") {
        table.unique.push(vec![column.clone()]);
    }
    table.checks += usize::from(kind.starts_with("Positive"));
    // Django makes an index for each relation, unless it is told not to.
    if is("db_index", "True") || relation && !is("db_index", "False") || kind == "SlugField" {
        table.indexes.push(vec![column.clone()]);
    }
    if relation && !is("db_constraint", "False") {
        let target =
            value(&arguments, "to", Some(0)).map(|to| text(to).unwrap_or_else(|| to.to_owned())).unwrap_or_default();
        let target = if target.contains("AUTH_USER_MODEL") {
            "user".to_owned()
        } else {
            target.replace('.', "_").to_lowercase()
        };
        let target = if target.contains('_') { target } else { format!("{app}_{target}") };
        table.foreign.push(Foreign { columns: vec![column], table: target, place: place.to_owned() });
    }
}

fn fields_of(code: &str, call: &str) -> Vec<Vec<String>> {
    let starts = code.match_indices(call).filter(|(at, _)| {
        !code[..*at].ends_with(|letter: char| letter.is_ascii_alphanumeric() && call == "UniqueConstraint(")
    });
    let list = |at: usize| {
        let (arguments, _) = arguments(&code[at..]);
        let conditional = value(&arguments, "condition", None).is_some();
        value(&arguments, "fields", None)
            .filter(|_| !conditional)
            .map(|fields| texts(fields).iter().map(|name| plain(name.trim_start_matches('-'))).collect::<Vec<_>>())
    };
    starts.filter_map(|(at, word)| list(at + word.len() - 1)).collect()
}

fn together(table: &mut Table, code: &str) {
    for found in code.match_indices('(').chain(code.match_indices('[')) {
        let names = texts(&code[found.0..]);
        if names.len() > 1 {
            table.unique.push(names.iter().map(|name| plain(name)).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_their_changes() {
        let mut schema = Schema::default();
        let code = "class Migration(migrations.Migration):\n    operations = [\n        migrations.CreateModel(\n            name='Post',\n            fields=[\n                \
                    ('id', models.BigAutoField(primary_key=True)),\n                ('title', models.CharField(max_length=9)),\n                \
                    ('author', models.ForeignKey(on_delete=x, to=settings.AUTH_USER_MODEL)),\n                ('a', models.ForeignKey(db_index=False, to='blog.a', null=True)),\n            ],\n            \
                    options={'unique_together': {('title', 'author')}},\n        ),\n        migrations.AddField(\n            model_name='post',\n            name='n',\n            \
                    field=models.PositiveIntegerField(null=True),\n        ),\n        migrations.RemoveField(model_name='post', name='author'),\n    ]\n";
        read(code, "0001.py", "blog", &mut schema);
        let post = &schema.tables["blog_post"];
        assert_eq!(
            post.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
            ["id", "title", "a_id", "n"]
        );
        assert_eq!((post.foreign.len(), post.checks, post.foreign[0].table.as_str()), (1, 1, "blog_a"));
        assert!(!post.is_indexed(&["a_id".into()]));
    }
}
