//! Pipelines, dependencies and tools as a repository declares them.

mod audit;
mod automated_tests;
mod dependency_scan;
mod dependency_updates;
mod ends_of_life;
pub(crate) mod gate;
mod image_scan;
mod lock_files;
mod pipeline;
mod security_scan;
mod up_to_date;

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    vec![
        Box::new(automated_tests::AutomatedTests),
        Box::new(dependency_scan::DependencyScan),
        Box::new(dependency_updates::DependencyUpdates),
        Box::new(image_scan::ImageScan),
        Box::new(pipeline::CheckedPipeline),
        Box::new(security_scan::SecurityScan),
        Box::new(up_to_date::UpToDate),
    ]
}
