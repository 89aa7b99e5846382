//! How an app keeps its data, as code, migrations, configuration and documents show it.
//!
//! One file a control. An inspection reads a [`Repository`](seaworthy_repository::Repository) and runs nothing of it. To
//! add one: write it beside the others and name it in [`all`].

mod cache_stores;
mod credentials;
mod database;
mod encryption_rest;
mod encryption_transit;
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

pub use cache_stores::{CacheStore, CacheStores, cache_stores};

/// Every inspection of this room.
pub fn all() -> Vec<Box<dyn Inspection>> {
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

#[cfg(test)]
mod tests {
    use seaworthy_repository::{Inspection, Outcome, Repository, Sample};

    pub fn outcome(inspection: &dyn Inspection, sample: &Sample) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample.write(folder.path()).unwrap();
        inspection.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    pub fn broken(outcome: &Outcome, word: &str) -> bool {
        matches!(outcome, Outcome::Broken(reason) if reason.contains(word))
    }

    #[test]
    fn every_inspection_tells_its_samples_apart() {
        let folder = tempfile::tempdir().unwrap();
        seaworthy_repository::exercise(&super::all(), folder.path());
    }
}
