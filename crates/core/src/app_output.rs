//! What the app prints, on its way to the log: the seam between `deploy`, which reads it, and `observability`, which writes it.

/// Takes the lines that the app prints.
pub trait AppOutput: Send + Sync + 'static {
    /// One line without its line break; `stream` is `stdout` or `stderr`. It must not block: a slow log must not stop the
    /// app.
    fn line(&self, instance: &str, stream: &'static str, text: &str);
}
