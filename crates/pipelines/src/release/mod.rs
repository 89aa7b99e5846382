//! How a repository's pipelines deploy, as far as their files show it.

mod deployment;
mod manual_approval;
mod pipeline_deploys;
mod smoke_tests;
mod staging;

use seaworthy_repository::Inspection;

/// Every inspection of this part.
pub(super) fn all() -> Vec<Box<dyn Inspection>> {
    vec![
        Box::new(pipeline_deploys::PipelineDeploys),
        Box::new(manual_approval::ManualApproval),
        Box::new(smoke_tests::SmokeTests),
        Box::new(staging::StagingDeploys),
    ]
}
