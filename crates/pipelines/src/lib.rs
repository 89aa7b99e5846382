//! What runs before a release: pipelines, the dependencies and tools that a repository declares, and how a release gets out.
//!
//! One file a control. An inspection reads a [`Repository`](seaworthy_repository::Repository) and runs nothing of it. To
//! add one: write it beside the others and name it in [`all`].

mod audit;
mod automated_tests;
mod dependency_scan;
mod dependency_updates;
mod ends_of_life;
mod gate;
mod image_scan;
mod lock_files;
mod pipeline;
mod release;
mod security_scan;
mod up_to_date;

use seaworthy_repository::Inspection;

/// Every inspection of this room.
pub fn all() -> Vec<Box<dyn Inspection>> {
    let mut all = release::all();
    all.extend(checks());
    all
}

fn checks() -> Vec<Box<dyn Inspection>> {
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

#[cfg(test)]
mod tests {
    #[test]
    fn every_inspection_tells_its_samples_apart() {
        let folder = tempfile::tempdir().unwrap();
        seaworthy_repository::exercise(&super::all(), folder.path());
    }
}
