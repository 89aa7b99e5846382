//! The data layer as code and migrations show it.

mod credentials;
mod database;
mod documents;
mod encryption_rest;
mod encryption_transit;
mod engines;
mod indexes;
mod migration_tools;
mod migrations;
mod migrations_tested;
mod plans;
mod pool;
mod privacy;
mod query_optimization;
mod query_timeout;
mod read_replicas;
mod schema;
mod stores;
mod tenant_isolation;
mod validation;
mod vectors;

use seaworthy_repository::Inspection;

pub(crate) use documents::measurement;
pub(crate) use engines::Engines;
pub(crate) use stores::is_for_development;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    vec![
        Box::new(credentials::Credentials),
        Box::new(database::Database),
        Box::new(encryption_rest::EncryptionRest),
        Box::new(encryption_transit::EncryptionTransit),
        Box::new(indexes::Indexes),
        Box::new(migrations::Migrations),
        Box::new(migrations_tested::MigrationsTested),
        Box::new(plans::DisasterRecovery),
        Box::new(plans::RecoveryObjectives),
        Box::new(pool::Pool),
        Box::new(privacy::Gdpr),
        Box::new(privacy::Retention),
        Box::new(query_optimization::QueryOptimization),
        Box::new(query_timeout::QueryTimeout),
        Box::new(read_replicas::ReadReplicas),
        Box::new(tenant_isolation::TenantIsolation),
        Box::new(validation::Validation),
        Box::new(vectors::BatchSize),
        Box::new(vectors::Managed),
        Box::new(vectors::Persistence),
    ]
}
