//! What folders are taken for.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]
fn main() {
    for folder in std::env::args().skip(1) {
        if let Ok(repository) = seaworthy_repository::Repository::open(std::path::Path::new(&folder)) {
            println!("{folder}: {:?}", repository.kind());
        }
    }
}
