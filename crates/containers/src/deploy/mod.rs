//! Containers, and what they are told in production.

mod compose;
mod container;
mod image_optimized;
mod prod_config;
mod servers;
mod worker_pool;

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    vec![
        Box::new(compose::Compose),
        Box::new(container::Container),
        Box::new(image_optimized::ImageOptimized),
        Box::new(prod_config::ProdConfig),
        Box::new(worker_pool::WorkerPool),
    ]
}

#[cfg(test)]
pub(crate) mod tests {
    use seaworthy_repository::{Inspection, Outcome, Repository, Sample};

    pub fn outcome(inspection: &dyn Inspection, sample: &Sample) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample.write(folder.path()).unwrap();
        inspection.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    pub fn holds(outcome: &Outcome) -> bool {
        *outcome == Outcome::Holds
    }

    pub fn broken(outcome: &Outcome, word: &str) -> bool {
        matches!(outcome, Outcome::Broken(reason) if reason.contains(word))
    }
}
