//! What a project has written down: whether it is there, is no template, and says what is so.
//!
//! One file a control. An inspection reads a [`Repository`](seaworthy_repository::Repository) and runs nothing of it. To
//! add one: write it beside the others and name it in [`all`].

mod api;
mod api_examples;
mod current;
mod document;
mod engineering;
mod env_vars;
mod interface;
mod licence;
mod operations;
mod routes;
mod runbooks;
mod security_policy;
mod written;

use seaworthy_repository::Inspection;

/// Every inspection of this room.
pub fn all() -> Vec<Box<dyn Inspection>> {
    vec![
        Box::new(licence::Licence),
        Box::new(api::ApiDocs),
        Box::new(api_examples::ApiExamples),
        Box::new(interface::AUTH_FLOW),
        Box::new(interface::API_VERSIONING),
        Box::new(interface::ERRORS),
        Box::new(engineering::ARCHITECTURE),
        Box::new(operations::REFACTORING),
        Box::new(operations::DEPLOY_GUIDE),
        Box::new(engineering::MIGRATIONS),
        Box::new(operations::ROLLBACK),
        Box::new(runbooks::RUNBOOKS),
        Box::new(operations::TROUBLESHOOTING),
        Box::new(operations::ONCALL),
        Box::new(operations::CAPACITY),
        Box::new(security_policy::SecurityPolicy),
        Box::new(engineering::SECURITY_POLICIES),
        Box::new(engineering::CONTRIBUTING),
        Box::new(env_vars::EnvironmentVariables),
        Box::new(current::Current),
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
