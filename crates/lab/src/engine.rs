//! A host's Docker Engine: start it, stop it, know that it answers.

use crate::{Host, LabError, clock, http, process};
use rustix::process::Signal;
use std::{os::unix::net::UnixStream, time::Duration};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_millis(20);

/// Starts the engine; returns before it answers.
pub(crate) fn start(host: &Host, live_restore: bool) -> Result<(), LabError> {
    let mut words: Vec<String> = vec![
        "dockerd".into(),
        format!("--data-root={}", host.engine_dir().display()),
        "--exec-root=/run/docker".into(),
        "--pidfile=/run/docker.pid".into(),
        format!("--host=unix://{}", host.docker_socket().display()),
        format!("--cgroup-parent=/{}", host.namespace),
        "--exec-opt=native.cgroupdriver=cgroupfs".into(),
    ];
    if live_restore {
        words.push("--live-restore".into());
    }
    host.spawn(&host.engine_log(), &[], &words)
}

/// Waits until the engine answers on its socket.
pub(crate) fn wait_ready(host: &Host) -> Result<(), LabError> {
    let what = format!("an answer of {}'s Docker Engine", host.name);
    clock::wait_until(&what, &host.engine_log().display().to_string(), START, EVERY, || {
        Ok(answers(host).then_some(()))
    })
}

/// Whether the engine answers a ping within a second.
pub(crate) fn answers(host: &Host) -> bool {
    let limit = Duration::from_secs(1);
    let Ok(mut stream) = UnixStream::connect(host.docker_socket()) else { return false };
    let timed = stream.set_read_timeout(Some(limit)).and(stream.set_write_timeout(Some(limit)));
    timed.is_ok()
        && http::exchange(&mut stream, "docker", "/_ping").is_ok_and(|reply| reply.status == 200)
}

/// The engine's process.
pub(crate) fn pid(host: &Host) -> Option<i32> {
    let found = process::of_host(host.first()?);
    found.into_iter().find(|p| p.program == "dockerd").map(|p| p.pid)
}

/// Sends a signal to the engine and waits for its end.
pub(crate) fn stop(host: &Host, signal: Signal) -> Result<(), LabError> {
    let Some(pid) = pid(host) else { return Ok(()) };
    process::signal(pid, signal);
    let what = format!("the end of {}'s Docker Engine", host.name);
    clock::wait_until(&what, &host.engine_log().display().to_string(), STOP, EVERY, || {
        Ok((!process::alive(pid)).then_some(()))
    })
}
