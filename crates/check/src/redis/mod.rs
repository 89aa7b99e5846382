//! A small client of Redis, Valkey and what speaks like them: enough to look at one, and to fill a copy.

mod address;
pub(crate) mod reply;
mod scratch;

use std::{collections::HashMap, io, net::IpAddr, time::Duration};

use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

pub(crate) use address::{Address, Place, is_address};
pub(crate) use reply::Reply;
pub(crate) use scratch::Scratch;
#[cfg(test)]
pub(crate) use scratch::program;

use crate::{
    http::Stream,
    tls::{self, HandshakeError, Trust},
};

/// A connection, and each answer, is waited for so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a server.
pub(crate) struct Redis {
    stream: Box<dyn Stream>,
    /// What was read and is not yet an answer.
    buffer: Vec<u8>,
}

/// No answer, or not the wanted one.
#[derive(Debug, Error)]
pub(crate) enum RedisError {
    /// Nobody listens, or it broke off.
    #[error("{0}")]
    Lost(String),
    /// The server refuses, in its own words.
    #[error("it answers: {0}")]
    Refused(String),
}

/// What `INFO` says: names and values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Info(HashMap<String, String>);

impl Redis {
    /// Connects, and logs in where the address has a login.
    pub(crate) async fn connect(address: &Address, trust: &Trust) -> Result<Self, RedisError> {
        let lost = |error: io::Error| RedisError::Lost(format!("no connection to {address}: {error}"));
        let connecting = async {
            Ok(match &address.place {
                Place::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(lost)?) as Box<dyn Stream>,
                Place::Tcp { host, port, encrypted } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(lost)?;
                    match encrypted {
                        true => encrypted_stream(stream, host, trust).await?,
                        false => Box::new(stream),
                    }
                }
            })
        };
        let stream = timeout(PATIENCE, connecting)
            .await
            .map_err(|_| RedisError::Lost(format!("no connection to {address} within {PATIENCE:?}")))??;
        let mut redis = Self { stream, buffer: Vec::new() };
        if let Some((user, password)) = &address.login {
            let login: Vec<&str> = ["AUTH"].into_iter().chain(user.as_deref()).chain([password.expose()]).collect();
            redis.ask(&login).await?;
        }
        Ok(redis)
    }

    /// Asks, and takes what the server answers; a refusal is an error.
    pub(crate) async fn ask(&mut self, words: &[&str]) -> Result<Reply, RedisError> {
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        let asking = async {
            self.stream.write_all(request.as_bytes()).await?;
            self.stream.flush().await?;
            self.answer().await
        };
        let lost = |why: &dyn std::fmt::Display| RedisError::Lost(format!("the connection broke off: {why}"));
        match timeout(PATIENCE, asking).await {
            Ok(Ok(Reply::Error(why))) => Err(RedisError::Refused(why)),
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(lost(&error)),
            Err(_) => Err(lost(&format_args!("no answer within {PATIENCE:?}"))),
        }
    }

    async fn answer(&mut self) -> io::Result<Reply> {
        loop {
            let read =
                reply::read(&self.buffer).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why.to_string()))?;
            if let Some((reply, length)) = read {
                self.buffer.drain(..length);
                return Ok(reply);
            }
            if self.buffer.len() > reply::LONGEST * 2 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer that is too long"));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// What the server says of itself.
    pub(crate) async fn info(&mut self) -> Result<Info, RedisError> {
        let reply = self.ask(&["INFO"]).await?;
        Ok(Info::read(reply.text().unwrap_or_default()))
    }

    /// A setting, where the server tells its settings: a managed one mostly does not.
    pub(crate) async fn setting(&mut self, name: &str) -> Result<Option<String>, RedisError> {
        match self.ask(&["CONFIG", "GET", name]).await {
            Ok(reply) => Ok(reply.list().get(1).and_then(Reply::text).map(str::to_owned)),
            Err(RedisError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// On loopback nobody stands in between: there a certificate need not be one that this machine trusts.
async fn encrypted_stream(stream: TcpStream, host: &str, trust: &Trust) -> Result<Box<dyn Stream>, RedisError> {
    let loopback = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
    match tls::handshake(stream, host, trust, loopback).await {
        Ok((stream, _)) => Ok(Box::new(stream)),
        Err(HandshakeError::Untrusted(why)) => {
            Err(RedisError::Lost(format!("no TLS with {host}: its certificate is not to be trusted: {why}")))
        }
        Err(HandshakeError::Failed(why)) => Err(RedisError::Lost(format!("no TLS with {host}: {why}"))),
    }
}

impl Info {
    /// Reads `name:value` lines; headings begin with `#`.
    pub(crate) fn read(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        Self(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// A value.
    pub(crate) fn of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A value that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.of(name)?.parse().ok()
    }

    /// Everything that begins so: `db0`, `slave1`.
    pub(crate) fn beginning<'i>(&'i self, start: &'i str) -> impl Iterator<Item = (&'i str, &'i str)> {
        let all = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(move |(name, _)| {
            name.strip_prefix(start)
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
        })
    }

    /// Name and version of the server: `("valkey", "8.1.4")`.
    pub(crate) fn version(&self) -> Option<(&'static str, &str)> {
        if let Some(version) = self.of("dragonfly_version") {
            return Some(("dragonfly", version));
        }
        match self.of("valkey_version") {
            Some(version) => Some(("valkey", version)),
            None => Some(("redis", self.of("redis_version")?)),
        }
    }
}

/// Whether a host is this machine by its name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
