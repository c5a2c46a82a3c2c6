//! The server inside test images: answers over HTTP/1.1 who it is, and misbehaves when told to.
//!
//! One file, standard library only, because the lab compiles it on its own into a static program that can
//! run in an image without anything else. Its environment tells it how to behave:
//!
//! | variable | effect |
//! |---|---|
//! | `PORT` | where it listens, default 80 |
//! | `VERSION`, `SLOT` | shown in its answers |
//! | `START_DELAY_MS` | waits so long before it listens |
//! | `DELAY_MS` | waits so long before each answer |
//! | `CRASH_AFTER_MS` | exits with code 3 so long after its start |
//! | `FAIL_HEALTH` | when set and not empty, `/health` says 503 |
//! | `FAIL_HEALTH_AFTER_MS` | from then on, `/health` says 503 |
//! | `LOG_REQUESTS` | when set and not empty, one line per request |
//! | `LOG_EVERY_MS` | a line `tick N` so often |
//!
//! Paths: `/` who am I; `/health`; `/env` its environment; `/file/PATH` a file's content; `/write/PATH/TEXT`
//! writes one; `/sleep/MS` answers late; `/unhealthy` and `/healthy` switch the health; `/crash/CODE` exits.
//! A file `/tmp/stop` asks it to finish open requests and end. `lab-server check` asks a running server for
//! its health: the image's health check. `lab-server ask ADDRESS:PORT` asks another who it is; `tell FROM TO TEXT` sends
//! a datagram, and `hear PORT FILE` writes down those that come; `keep ADDRESS:PORT FILE` asks again and again over one
//! connection, and keeps in the file how often it was answered, or that it broke. All take addresses, no names.
#![expect(clippy::print_stdout, reason = "a container's standard output is its log")]
#![expect(clippy::disallowed_methods, reason = "a test server waits and ticks in real time")]

use std::{
    env, fs,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// Requests that are being answered.
static OPEN: AtomicUsize = AtomicUsize::new(0);
/// What `/health` says, unless the environment says otherwise.
static SICK: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check"] => return check(),
        ["ask", server] => return told(ask(server)),
        ["tell", from, to, text] => return told(tell(from, to, text)),
        ["hear", port, file] => return told(hear(port, file)),
        ["keep", server, file] => return told(keep(server, file)),
        _ => {}
    }
    thread::sleep(millis("START_DELAY_MS").unwrap_or_default());
    after("CRASH_AFTER_MS", || std::process::exit(3));
    after("FAIL_HEALTH_AFTER_MS", || SICK.store(true, Ordering::SeqCst));
    tick();
    if let Ok(port) = env::var("UDP_PORT") {
        thread::spawn(move || identify(&port));
    }
    let listener = match TcpListener::bind(("0.0.0.0", port())) {
        Ok(listener) => listener,
        Err(error) => {
            println!("cannot listen on port {}: {error}", port());
            return ExitCode::from(1);
        }
    };
    println!("{} listens on port {}", identity(), port());
    serve(&listener);
    println!("{} ends", identity());
    ExitCode::SUCCESS
}

/// Accepts until asked to stop, then waits for open requests.
fn serve(listener: &TcpListener) {
    thread::spawn(|| {
        while fs::metadata("/tmp/stop").is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        while OPEN.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        println!("{} was asked to stop", identity());
        std::process::exit(0);
    });
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => {
                OPEN.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    converse(stream);
                    OPEN.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Out of file descriptors, say: others must be closed first.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Answers the requests of one connection until the client has had enough.
fn converse(stream: TcpStream) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some((path, close)) = request(&mut reader) {
        thread::sleep(millis("DELAY_MS").unwrap_or_default());
        let (status, body) = answer(&path);
        if flag("LOG_REQUESTS") {
            println!("{} {status} {path}", identity());
        }
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
            body.len(),
            if close { "close" } else { "keep-alive" }
        );
        let sent = writer.write_all(&[head.as_bytes(), body.as_bytes()].concat());
        if sent.is_err() || close {
            return;
        }
    }
}

/// Reads one request's head: its path, and whether the client wants the connection closed afterwards.
fn request(reader: &mut impl BufRead) -> Option<(String, bool)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut close = line.trim_end().ends_with("HTTP/1.0");
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|bytes| *bytes > 0)?;
        let header = header.trim().to_ascii_lowercase();
        match header.split_once(':') {
            None => return Some((path, close)),
            Some(("connection", value)) => close = value.trim() == "close",
            Some(_) => {}
        }
    }
}

fn answer(path: &str) -> (&'static str, String) {
    const FINE: &str = "200 OK";
    let (word, rest) =
        path[1.min(path.len())..].split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    match word {
        "" => (FINE, format!("{}\n", identity())),
        "health" if SICK.load(Ordering::SeqCst) || flag("FAIL_HEALTH") => {
            ("503 Service Unavailable", "sick\n".to_owned())
        }
        "health" => (FINE, "fine\n".to_owned()),
        "healthy" | "unhealthy" => {
            SICK.store(word == "unhealthy", Ordering::SeqCst);
            (FINE, format!("{word}\n"))
        }
        "env" => (FINE, environment()),
        "file" => match fs::read_to_string(format!("/{rest}")) {
            Ok(text) => (FINE, text),
            Err(error) => ("404 Not Found", format!("{error}\n")),
        },
        "write" => write(rest),
        "sleep" => {
            thread::sleep(Duration::from_millis(rest.parse().unwrap_or(0)));
            (FINE, format!("{}\n", identity()))
        }
        "crash" => std::process::exit(rest.parse().unwrap_or(3)),
        _ => ("404 Not Found", "no such page\n".to_owned()),
    }
}

fn environment() -> String {
    let lines: Vec<_> = env::vars().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{}\n", lines.join("\n"))
}

fn write(rest: &str) -> (&'static str, String) {
    let (path, text) = rest.rsplit_once('/').unwrap_or((rest, ""));
    match fs::write(format!("/{path}"), text) {
        Ok(()) => ("200 OK", "written\n".to_owned()),
        Err(error) => ("500 Internal Server Error", format!("{error}\n")),
    }
}

/// Asks a running server for its health, for the image's health check.
fn check() -> ExitCode {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    };
    match ask() {
        Ok(line) if line.contains(" 200 ") => ExitCode::SUCCESS,
        Ok(line) => {
            println!("{}", line.trim());
            ExitCode::from(1)
        }
        Err(error) => {
            println!("{error}");
            ExitCode::from(1)
        }
    }
}

/// Asks a server, by address, who it is.
fn ask(server: &str) -> io::Result<String> {
    let address = server.parse().map_err(io::Error::other)?;
    let limit = Some(Duration::from_secs(2));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(limit)?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.split_once("\r\n\r\n").map_or(text.clone(), |(_, body)| body.to_owned()))
}

/// Sends a datagram from one address to another.
fn tell(from: &str, to: &str, text: &str) -> io::Result<String> {
    let address = |text: &str| text.parse::<SocketAddr>().map_err(io::Error::other);
    UdpSocket::bind(address(from)?)?.send_to(text.as_bytes(), address(to)?)?;
    Ok(String::new())
}

/// Answers every datagram that comes to a port with who this is.
fn identify(port: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", port.parse().map_err(io::Error::other)?))?;
    let mut buffer = [0; 2048];
    loop {
        let (_, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(identity().as_bytes(), from)?;
    }
}

/// Writes the datagrams that come to a port into a file, for ever.
fn hear(port: &str, file: &str) -> io::Result<String> {
    let socket = UdpSocket::bind(("0.0.0.0", port.parse().map_err(io::Error::other)?))?;
    let mut file = fs::File::create(file)?;
    let mut buffer = [0; 2048];
    loop {
        let length = socket.recv(&mut buffer)?;
        file.write_all(&buffer[..length])?;
    }
}

/// Asks over one connection until it breaks.
fn keep(server: &str, file: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut answers = 0;
    let mut answer = || {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::Error::from(ErrorKind::UnexpectedEof));
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(bytes) = line.strip_prefix("content-length:") {
                length = bytes.trim().parse().map_err(io::Error::other)?;
            } else if line.is_empty() {
                return reader.read_exact(&mut vec![0; length]);
            }
        }
    };
    loop {
        if let Err(error) = answer() {
            fs::write(file, format!("broken after {answers}: {error}"))?;
            return Err(error);
        }
        answers += 1;
        // In one step: whoever looks sees a whole number.
        fs::write(format!("{file}.new"), answers.to_string())?;
        fs::rename(format!("{file}.new"), file)?;
        thread::sleep(Duration::from_millis(50));
    }
}

fn told(outcome: io::Result<String>) -> ExitCode {
    match outcome {
        Ok(text) => {
            println!("{}", text.trim());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::from(1)
        }
    }
}

fn identity() -> String {
    let text = |key: &str| env::var(key).unwrap_or_else(|_| "-".to_owned());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let slot = env::var("SLOT").unwrap_or_else(|_| text("CLUSTER_SLOT"));
    format!("host {} version {} slot {slot}", host.trim(), text("VERSION"))
}

fn tick() {
    let Some(every) = millis("LOG_EVERY_MS") else { return };
    thread::spawn(move || {
        for count in 1_u64.. {
            thread::sleep(every);
            println!("tick {count}");
        }
    });
}

fn after(key: &str, act: impl FnOnce() + Send + 'static) {
    if let Some(wait) = millis(key) {
        thread::spawn(move || {
            thread::sleep(wait);
            act();
        });
    }
}

fn millis(key: &str) -> Option<Duration> {
    env::var(key).ok()?.parse().ok().map(Duration::from_millis)
}

fn flag(key: &str) -> bool {
    env::var(key).is_ok_and(|value| !value.is_empty())
}

fn port() -> u16 {
    env::var("PORT").ok().and_then(|text| text.parse().ok()).unwrap_or(80)
}
