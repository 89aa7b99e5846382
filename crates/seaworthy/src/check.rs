//! Later.
pub fn main(_: crate::cli::CheckArguments) -> Result<std::process::ExitCode, crate::failure::Failure> {
    Ok(std::process::ExitCode::SUCCESS)
}
