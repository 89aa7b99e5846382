//! Drives a headless Chromium through its DevTools protocol: what a person would see, load and press.
//!
//! The protocol runs over a pipe and not over a port: nobody else can reach the browser, and it ends by itself when we do,
//! however we end. One process serves a whole run; each [`Context`] is a browser of its own, without cookies or stores.

mod accessible;
mod browser;
mod connection;
mod error;
mod interception;
mod observed;
mod page;
mod process;
mod program;
mod seeing;
mod usage;
mod workers;

pub use accessible::Control;
pub use browser::{Browser, Context, Launch};
pub use error::BrowserError;
pub use interception::{Asked, Then};
pub use observed::{Answer, Dialog, Message, Observed, Request};
pub use page::{Device, Loaded, Page};
pub use program::{PACKAGES, find};
pub use seeing::{Seen, Text};
pub use usage::Usage;
