//! Later.
pub fn main(_: crate::cli::DemoArguments) -> Result<std::process::ExitCode, crate::failure::Failure> {
    Ok(std::process::ExitCode::SUCCESS)
}
pub fn app_main(_: &crate::cli::DemoAppArguments) -> Result<std::process::ExitCode, crate::failure::Failure> {
    Ok(std::process::ExitCode::SUCCESS)
}
