//! Whether the app got a request that it has not answered.

/// Travels in the extensions of an answer that we give in the app's place. Layers that must know whether a request took
/// effect ask for it; an answer without it is the app's own, or was given before anybody asked the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The app has seen nothing of the request.
    NotSent,
    /// The app may have seen all of it, and nobody knows what it did.
    Unanswered,
}
