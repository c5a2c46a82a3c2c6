//! The engines by themselves: the image on each, how many containers run, and how fast they start containers
//! with nobody in between but the `docker` command line.

use anyhow::Context;
use benches::{median, say, seconds};
use lab::{ImageFile, Lab, test_image};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

/// The image that all containers are made of.
pub(crate) const IMAGE: &str = "bench/web:1";
/// Replicas before and after scaling.
pub(crate) const FEW: usize = 4;
/// Replicas that a host is lost with.
pub(crate) const MANY: usize = 30;

/// Makes the image, a small server without a health check, and brings it to every engine.
pub(crate) fn load_image(lab: &Lab) -> anyhow::Result<ImageFile> {
    let none = serde_json::json!({ "Test": ["NONE"] });
    let image = test_image(IMAGE, "1")?.set("Healthcheck", none).write(&lab.options().root)?;
    for host in lab.numbers() {
        lab.load_image(host, &image)?;
    }
    Ok(image)
}

/// Containers that run on some hosts, as their engines say.
pub(crate) fn running(lab: &Lab, hosts: &[u8]) -> anyhow::Result<usize> {
    thread::scope(|scope| {
        let asked: Vec<_> = hosts.iter().map(|&host| scope.spawn(move || on(lab, host))).collect();
        asked.into_iter().map(|one| one.join().expect("asking an engine does not panic")).sum()
    })
}

/// Asks one engine over its socket: the command line would cost more than the answer.
fn on(lab: &Lab, host: u8) -> anyhow::Result<usize> {
    let mut stream = UnixStream::connect(lab.host(host)?.docker_socket())?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /containers/json HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    anyhow::ensure!(text.contains(" 200 OK"), "the engine of host{host} said: {text}");
    Ok(text.matches("\"State\":\"running\"").count())
}

/// Waits until so many containers run on some hosts; seconds since `start`.
pub(crate) fn until(
    lab: &Lab,
    hosts: &[u8],
    count: usize,
    start: std::time::Instant,
    limit: Duration,
) -> anyhow::Result<f64> {
    let mut seen = 0;
    while start.elapsed() < limit {
        // An engine that is busy may answer late; that is no result.
        seen = running(lab, hosts).unwrap_or(seen);
        if seen == count {
            return Ok(seconds(start));
        }
        lab::pause(Duration::from_millis(50));
    }
    anyhow::bail!("{seen} of {count} containers run on hosts {hosts:?} after {limit:?}")
}

/// Seconds until as many more containers run as scaling starts, all asked for at once over the three engines:
/// the median of three rounds.
pub(crate) fn parallel_starts(lab: &Lab, image: &str) -> anyhow::Result<f64> {
    let hosts: Vec<u8> = lab.numbers().collect();
    let mut took = Vec::new();
    for round in 0..3 {
        let start = lab::now();
        thread::scope(|scope| {
            let runs: Vec<_> = (0..MANY - FEW)
                .map(|n| {
                    let (host, name) = (hosts[n % hosts.len()], format!("par{round}-{n}"));
                    let words = ["run", "-d", "--pull=never", "--name", &name, image];
                    let words = words.map(str::to_owned);
                    scope.spawn(move || {
                        lab.docker(host, &words.each_ref().map(String::as_str))?.ok().map(drop)
                    })
                })
                .collect();
            let mut ended = runs.into_iter();
            ended.try_for_each(|run| run.join().expect("starting a container does not panic"))
        })
        .context("docker run")?;
        took.push(until(lab, &hosts, MANY - FEW, start, Duration::from_secs(60))?);
        for &host in &hosts {
            let ids = lab.docker(host, &["ps", "-aq"])?.ok()?.stdout;
            let words: Vec<&str> = ["rm", "-f"].into_iter().chain(ids.split_whitespace()).collect();
            lab.docker(host, &words)?.ok()?;
        }
    }
    say(&format!("engines alone, {} containers at once: {took:.2?} s", MANY - FEW));
    Ok(median(&took))
}
