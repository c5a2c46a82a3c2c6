//! Child processes: other programs, and this very program in another part. They end with their handle.

use crate::{now, pause};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A child that is killed and reaped when its handle goes.
#[derive(Debug)]
pub struct Child(std::process::Child);

impl Child {
    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a program in the background, its output in a file.
///
/// # Errors
/// It is not there, or the file cannot be written.
pub fn spawn(command: &mut Command, log: &Path) -> std::io::Result<Child> {
    let output = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    let errors = output.try_clone()?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().map(Child)
}

/// This very program, to be started in another part.
///
/// # Errors
/// The system does not know where it is.
pub fn again(words: &[&str]) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words);
    Ok(command)
}

/// Where a program is installed, if it is.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut folders = std::env::split_paths(&path).chain(system);
    folders.find_map(|folder| Some(folder.join(program)).filter(|path| path.is_file()))
}

/// Whether somebody listens there within ten seconds.
pub fn wait_port(address: SocketAddr) -> bool {
    let start = now();
    while start.elapsed() < Duration::from_secs(10) {
        if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
            return true;
        }
        pause(Duration::from_millis(20));
    }
    false
}
