//! Documents: whether they are there, are no templates, and say what is so.

mod api;
mod api_examples;
mod current;
mod engineering;
mod env_vars;
mod interface;
mod licence;
mod operations;
mod runbooks;
mod security_policy;
mod written;

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
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
