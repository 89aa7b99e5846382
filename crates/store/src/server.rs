//! A real server for tests: Redis, or what `SEAWORTHY_TEST_STORE` names (Valkey).

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use fred::{
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value},
};

use crate::{
    address::config,
    connection::{BEAT, client},
};

/// A real server; killed when it is dropped.
pub(crate) struct Server {
    process: Child,
    pub port: u16,
}

impl Server {
    /// `None`: it is not on this machine, and that is no failure.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        Self::start_at(free_port(), arguments)
    }

    pub fn start_at(port: u16, arguments: &[&str]) -> Option<Self> {
        let program = std::env::var("SEAWORTHY_TEST_STORE").unwrap_or_else(|_| "redis-server".into());
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]).args(arguments);
        match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(process) => Some(Self { process, port }),
            Err(error) => {
                let required = std::env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
                assert!(!required, "install the Debian package redis-server: {error}");
                None
            }
        }
    }

    /// Killed as by `kill -9`.
    pub fn kill(mut self) -> u16 {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.port
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub async fn ask(&self, words: &[&str]) -> Value {
        self.ask_at(&format!("redis://127.0.0.1:{}", self.port), words).await
    }

    pub async fn ask_at(&self, address: &str, words: &[&str]) -> Value {
        let client = client(&config(address, None).unwrap(), 5 * BEAT).unwrap();
        let task = client.init().await.unwrap();
        let name: String = words[0].to_owned();
        let command = CustomCommand::new(name, ClusterHash::Custom(0), false);
        let arguments: Vec<String> = words[1..].iter().map(|&word| word.to_owned()).collect();
        let answer = client.custom(command, arguments).await.unwrap();
        task.abort();
        answer
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
