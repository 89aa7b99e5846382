//! Compression of answers on their way: Zstandard (RFC 8878), Brotli (RFC 7932), gzip (RFC 1952).
//!
//! Two layers of one route. [`Negotiate`] stands outside of the cache and writes what a client takes in few ways, so that the
//! cache keeps few variants. [`Compress`] stands inside of it: what is stored is compressed, and a hit costs nothing more.

mod answer;
mod body;
mod encoder;
mod encoders;
mod layer;
mod negotiate;
mod own_tags;
mod settings;
pub(crate) mod tags;

pub use encoders::Encoders;
pub use layer::{Compress, CompressService};
pub(crate) use negotiate::negotiated;
pub use negotiate::{Negotiate, NegotiateService};
pub use own_tags::{OwnTags, OwnTagsService};
pub use settings::{CodingName, CompressionPolicy, CompressionSetting, CompressionSettings, WithCredentials};
