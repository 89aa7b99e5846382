//! `data.validation`: the database itself refuses what is invalid.

use seaworthy_containers::Runs;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::{indexes::no_schema, schema::Schema};

pub(super) struct Validation;

const HEAD: (&str, &str) = ("go.mod", "module a\nrequire github.com/lib/pq v1.0.0\n");

impl Inspection for Validation {
    fn control(&self) -> &'static str {
        "data.validation"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let text = "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, age int NOT NULL CHECK (age > 0));\n\
                    CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users (id), title text NOT NULL CHECK (title <> ''));\n";
        Sample::of(&[("migrations/000001_a.up.sql", text), HEAD, ("main.go", "package main\n")])
    }

    fn absent(&self) -> Sample {
        let text = "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int);\nCREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint, title text);\n";
        Sample::of(&[("migrations/000001_a.up.sql", text), HEAD, ("main.go", "package main\n")])
    }
}

fn look(repository: &Repository) -> Sighting {
    let Some(schema) = Schema::read(repository) else { return no_schema(repository, &Runs::read(repository)) };
    let mut cases = Cases::plan(4);
    let tables = schema.tables.len();
    let keyless: Vec<&String> = schema
        .tables
        .iter()
        .filter(|(_, table)| table.primary.is_empty() && table.unique.is_empty() && !table.columns.is_empty())
        .map(|(name, _)| name)
        .collect();
    let (loose, pointing) = loose(&schema);
    let own = |table: &super::schema::Table| {
        table
            .columns
            .iter()
            .filter(|column| !table.primary.contains(&column.name))
            .map(|column| column.not_null)
            .collect::<Vec<_>>()
    };
    let nullable: Vec<bool> = schema.tables.values().flat_map(own).collect();
    let not_null = nullable.iter().filter(|set| **set).count();
    let rules: usize = schema.tables.values().map(|table| table.checks + table.unique.len()).sum();
    cases.note(format!(
        "{}: {tables} tables, {} columns, {not_null} not null, {rules} unique or check, {} foreign keys",
        schema.source,
        nullable.len(),
        schema.foreign().count()
    ));
    if let Some(unread) = schema.unread.first() {
        return cases.gave_up(format!("not all of the schema could be read: {unread}"));
    }
    cases.tried(
        keyless.is_empty(),
        keyless.first().map_or_else(
            || format!("all {tables} tables have a primary key"),
            |name| format!("{} has neither primary nor unique key", schema.tables[*name].place),
        ),
    );
    references(&mut cases, &loose, pointing);
    match (not_null * 2 >= nullable.len(), not_null) {
        (true, _) => cases.tried(true, format!("{not_null} of {} columns are not null", nullable.len())),
        (false, 0) => cases.tried(false, format!("none of {} columns is NOT NULL", nullable.len())),
        (false, _) => cases.told_nothing(format!(
            "only {not_null} of {} columns are NOT NULL: whether the others may be empty is not seen",
            nullable.len()
        )),
    }
    match rules {
        0 => cases.tried(false, format!("no UNIQUE and no CHECK in {tables} tables")),
        _ => cases.tried(true, format!("{rules} unique and check constraints")),
    }
    let foreign = schema.foreign().count();
    cases.sighting(format!("{tables} tables with primary keys, {not_null} of {} columns not null, {rules} unique or check, {foreign} foreign keys", nullable.len()))
}

/// Columns like `user_id` beside a table `users` that are no foreign keys: the database lets in what points to nothing.
/// And how many columns point to a table.
fn loose(schema: &Schema) -> (Vec<String>, usize) {
    let (mut loose, mut pointing) = (Vec::new(), 0);
    for (name, table) in &schema.tables {
        for column in &table.columns {
            let camel = |column: &str| schema.source == "Prisma" && column.len() > 2 && column.ends_with("id");
            let stem = column.name.strip_suffix("_id");
            let stem = stem.or_else(|| column.name.strip_suffix("id").filter(|_| camel(&column.name)));
            // What identifies a row of its own table points nowhere.
            let own = table.primary.contains(&column.name);
            if own || !stem.is_some_and(|stem| points_to_a_table(schema, stem)) {
                continue;
            }
            pointing += 1;
            if !table.foreign.iter().any(|key| key.columns.contains(&column.name)) {
                loose.push(format!("{}: {name}.{}", table.place, column.name));
            }
        }
    }
    (loose, pointing)
}

fn references(cases: &mut Cases, loose: &[String], pointing: usize) {
    match loose.len() * 10 {
        0 => cases.tried(true, format!("all {pointing} columns that point to a table are foreign keys")),
        many if many >= pointing * 3 => cases.tried(
            false,
            format!("{} points to a table and is no foreign key, as {} of {pointing}", loose[0], loose.len()),
        ),
        _ => cases.told_nothing(format!(
            "{} may point to a table and is no foreign key, as {} of {pointing}",
            loose[0],
            loose.len()
        )),
    }
}

fn points_to_a_table(schema: &Schema, stem: &str) -> bool {
    let forms =
        [stem.to_owned(), format!("{stem}s"), format!("{stem}es"), format!("{}ies", stem.trim_end_matches('y'))];
    forms.iter().any(|form| schema.tables.contains_key(form))
}
