//! `data.tenant-isolation`: rows or schemas of one tenant are closed to another by the database.

use std::sync::LazyLock;

use regex::Regex;
use seaworthy_containers::Runs;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::{indexes::no_schema, schema::Schema};

pub(super) struct TenantIsolation;

const TENANTS: &[&str] =
    &["tenant", "organization", "organisation", "workspace", "company", "customer", "account", "team", "client", "org"];

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static BY_SCHEMA: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"django_tenants\.postgresql_backend|tenant_schemas\.postgresql_backend|\bTenantSyncRouter\b"#)
        .expect("the pattern is valid")
});

const HEAD: (&str, &str) = ("go.mod", "module a\nrequire github.com/lib/pq v1.0.0\n");
const TABLES: &str = "CREATE TABLE tenants (id bigint PRIMARY KEY);\nCREATE TABLE notes (id bigint PRIMARY KEY, tenant_id bigint NOT NULL REFERENCES tenants);\n\
                      CREATE TABLE files (id bigint PRIMARY KEY, tenant_id bigint NOT NULL REFERENCES tenants);\nALTER TABLE notes ENABLE ROW LEVEL SECURITY;\n\
                      CREATE POLICY own ON notes USING (tenant_id = current_setting('app.tenant')::bigint);\n";

impl Inspection for TenantIsolation {
    fn control(&self) -> &'static str {
        "data.tenant-isolation"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let text = format!(
            "{TABLES}ALTER TABLE files ENABLE ROW LEVEL SECURITY;\nCREATE POLICY own ON files USING (tenant_id = current_setting('app.tenant')::bigint);\n"
        );
        Sample::of(&[("migrations/000001_a.up.sql", &text), HEAD, ("main.go", "package main\n")])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[("migrations/000001_a.up.sql", TABLES), HEAD, ("main.go", "package main\n")])
    }
}

fn look(repository: &Repository) -> Sighting {
    let by_schema = repository.sources().iter().find(|(_, source)| BY_SCHEMA.is_match(&source.code));
    if let Some((path, _)) = by_schema {
        return Sighting::unclear(format!(
            "{} gives each tenant a schema of its own; whether its role can read another's is only seen live",
            path.display()
        ));
    }
    let Some(schema) = Schema::read(repository) else { return no_schema(repository, &Runs::read(repository)) };
    let of_tenant = |name: &str| TENANTS.iter().any(|word| name == format!("{word}_id") || name == format!("{word}id"));
    let carrying: Vec<_> =
        schema.tables.iter().filter(|(_, table)| table.columns.iter().any(|column| of_tenant(&column.name))).collect();
    if carrying.is_empty() {
        return without_tenants(&schema);
    }
    let secured: Vec<_> =
        carrying.iter().filter(|(name, table)| table.secured && schema.policies.contains(*name)).collect();
    let mut cases = Cases::plan(carrying.len());
    cases.note(format!(
        "{} of {} tables carry a tenant, {} with row-level security and a policy",
        carrying.len(),
        schema.tables.len(),
        secured.len()
    ));
    if secured.is_empty() {
        let (_, first) = carrying[0];
        return Sighting::unclear(format!(
            "{} of {} tables carry a tenant (first {}), none has row-level security: only the queries keep tenants apart, and only a sweep over the API tells whether all do",
            carrying.len(),
            schema.tables.len(),
            first.place
        ));
    }
    for (name, table) in &carrying {
        let closed = table.secured && schema.policies.contains(*name);
        cases.tried(
            closed,
            format!(
                "{}: {name} carries a tenant and {}",
                table.place,
                if closed { "is closed by a policy" } else { "has no row-level security, though other tables have" }
            ),
        );
    }
    if let Some(unread) = schema.unread.first() {
        cases.told_nothing(format!("not all of the schema could be read: {unread}"));
    }
    cases.sighting(format!("all {} tables that carry a tenant have row-level security and a policy", carrying.len()))
}

/// No column names a tenant that is known.
fn without_tenants(schema: &Schema) -> Sighting {
    let unread = schema.unread.first().map(String::as_str);
    let named =
        schema.tables.keys().any(|name| TENANTS.iter().any(|word| name.split('_').any(|part| part.starts_with(word))));
    // Rows that belong to a user keep customers apart as well.
    let owned = schema.tables.values().flat_map(|table| &table.columns).any(|column| {
        ["user_id", "userid", "owner_id", "author_id", "member_id", "created_by_id", "profile_id"]
            .contains(&column.name.as_str())
    });
    if owned {
        return Sighting::unclear(
            "rows belong to users and to no larger tenant: whether one reaches another's is only seen by a sweep over the API",
        );
    }
    match (unread, named) {
        (None, false) => Sighting::not_applicable(format!(
            "none of {} tables has a tenant, organisation, workspace or account",
            schema.tables.len()
        )),
        _ => Sighting::unclear("no table names its tenant in a column that is known"),
    }
}
