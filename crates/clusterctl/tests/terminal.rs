//! The program on a terminal: a tree that is redrawn, keys that are passed on raw, and the terminal set back.
#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod fake;

use api::v1::exec_reply::Part as Reply;
use api::v1::exec_request::Part as Asked;
use api::v1::*;
use fake::{Fake, Place, node, replica, service};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::thread::JoinHandle;

/// A terminal of 60 columns: our end of it, and the end of the program.
struct Terminal {
    ours: File,
    theirs: File,
}

impl Terminal {
    fn open() -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = File::options().read(true).write(true).open(name).unwrap();
        let size = Winsize { ws_row: 20, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&theirs, size).unwrap();
        Self { ours: File::from(ours), theirs }
    }

    fn spawn(&self, mut command: Command) -> Child {
        let end = || self.theirs.try_clone().unwrap();
        command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
    }

    /// Collects what the program shows, until its end of the terminal is closed everywhere.
    fn watch(&self) -> JoinHandle<String> {
        let mut ours = self.ours.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut shown, mut piece) = (Vec::new(), [0; 4096]);
            while let Ok(read @ 1..) = ours.read(&mut piece) {
                shown.extend_from_slice(&piece[..read]);
            }
            String::from_utf8_lossy(&shown).into_owned()
        })
    }
}

#[test]
fn progress_is_redrawn_in_place() {
    let fake = Fake::new();
    fake.set(|s| {
        s.nodes = vec![node("node1")];
        s.deploy_reply.index = 10;
        s.services = vec![vec![service("web", 1)]];
        let steps = ["starting", "running"];
        s.replicas = steps.map(|step| vec![replica("web.1", step, "")]).to_vec();
    });
    let place = Place::with(&fake);
    place.write("compose.yml", "name: shop\nservices: {web: {image: nginx}}\n");
    let terminal = Terminal::open();
    let shown = terminal.watch();
    let code = terminal.spawn(place.command("deploy")).wait().unwrap().code();
    drop(terminal);
    let shown = shown.join().unwrap();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("shop/web.1  Starting on node2"), "{shown:?}");
    let last = shown.rsplit("\x1b[3F").next().unwrap();
    assert!(last.len() < shown.len() && last.contains("[+] Deploying shop 1/1"), "{shown:?}");
    assert!(last.contains("\x1b[32m✔\x1b[0m shop/web.1  Running on node2"), "{last:?}");
}

#[test]
fn keys_go_to_the_container_untouched_and_the_terminal_is_set_back() {
    let fake = Fake::new();
    fake.set(|s| s.exec = vec![Reply::Output(b"bye".to_vec()), Reply::ExitCode(5)]);
    types(&fake, "exec -it web.2 -- sh", 5);
}

#[test]
fn keys_go_to_what_is_run_once_as_well() {
    let fake = Fake::new();
    let ended = ReplicaSummary { exit_code: Some(6), ..replica("mine.1", "ended", "") };
    fake.set(|s| {
        s.exec = vec![Reply::Output(b"bye".to_vec())];
        s.replicas = vec![vec![replica("mine.1", "running", "")]];
        s.replicas_after_exec = vec![vec![ended]];
    });
    types(&fake, "run -it --name mine web sh", 6);
    let run = fake.set(|s| s.runs.remove(0));
    assert!(run.tty && run.interactive, "{run:?}");
}

/// Types at a terminal until what runs ends.
fn types(fake: &Fake, words: &str, code: i32) {
    let place = Place::with(fake);
    let mut terminal = Terminal::open();
    let shown = terminal.watch();
    let before = tcgetattr(&terminal.theirs).unwrap();
    let mut child = terminal.spawn(place.command(words));
    while tcgetattr(&terminal.theirs).unwrap().local_modes.contains(LocalModes::ICANON) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the terminal was raw");
        std::thread::yield_now();
    }
    // Ctrl-C is a key like any other; Ctrl-D ends the fake's command.
    terminal.ours.write_all(b"ls\x03\r\x04").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(code));
    let after = tcgetattr(&terminal.theirs).unwrap();
    assert_eq!((after.local_modes, after.input_modes), (before.local_modes, before.input_modes));
    drop(terminal);
    assert!(shown.join().unwrap().contains("bye"));
    let asked = fake.set(|s| s.exec_asked.clone());
    assert!(asked.contains(&Asked::Size(Size { rows: 20, columns: 60 })), "{asked:?}");
    let keys = asked.iter().filter_map(|part| match part {
        Asked::Input(bytes) => Some(bytes.clone()),
        _ => None,
    });
    assert_eq!(keys.collect::<Vec<_>>().concat(), b"ls\x03\r\x04");
}
