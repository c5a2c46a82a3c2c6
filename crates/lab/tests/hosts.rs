//! The hosts of a lab, with real engines: up, cut, kill, and nothing left behind.

use lab::harness::{Trial, Verdict, run};
use lab::{Lab, LabError, LabGuard, Options, Part, http_get, now, test_image, wait_until};
use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    run(vec![
        Trial::plain("options_outside_their_limits_are_refused", refusals),
        Trial::lab("hosts_hear_each_other_until_cut_and_again_when_healed", cuts),
        Trial::lab("an_image_made_here_runs_on_every_engine", image_runs),
        Trial::lab("engines_survive_what_the_lab_does_to_them", engine_faults),
        Trial::lab("down_leaves_nothing_behind_even_after_a_crash", nothing_left),
    ])
}

/// A lab of its own name, so that a user's lab may be up at the same time.
fn options(hosts: u8) -> Options {
    let (root, name) = ("/var/lib/cluster-lab-test".into(), "clabt".to_owned());
    Options { hosts, root, name, subnet: "172.30.9".to_owned(), ..Options::default() }
}

fn fresh(hosts: u8) -> Result<LabGuard, LabError> {
    Lab::remove(&options(hosts))?;
    Ok(Lab::up(options(hosts))?.guard())
}

/// Whether one host's ping reaches another and comes back.
fn pings(lab: &Lab, from: u8, to: u8) -> bool {
    let address = lab.host(to).expect("the test names its own hosts").address.to_string();
    let busybox = ["ping", "-c", "1", "-W", "1", &address];
    lab.exec(from, "/bin/busybox", &busybox).is_ok_and(|done| done.success())
}

#[expect(clippy::unnecessary_wraps, reason = "every trial has the same form")]
fn refusals() -> Verdict {
    let bad = [
        Options { hosts: 0, ..options(3) },
        Options { hosts: 8, ..options(3) },
        Options { name: "docker".to_owned(), ..options(3) },
        Options { name: "clab_too_long".to_owned(), ..options(3) },
        Options { subnet: "172.30".to_owned(), ..options(3) },
        Options { root: "lab".into(), ..options(3) },
    ];
    for options in bad {
        assert!(matches!(options.check(), Err(LabError::Option(_))), "{options:?}");
    }
    Ok(())
}

fn cuts() -> Verdict {
    let lab = fresh(3)?;
    assert_eq!(lab.exec(2, "hostname", &[])?.stdout.trim(), "host2");
    assert!(pings(&lab, 1, 2) && pings(&lab, 2, 3));

    lab.cut(2)?;
    assert!(!pings(&lab, 1, 2) && pings(&lab, 1, 3));
    assert!(!lab.host_status(2)?.cable);
    lab.heal(2)?;
    assert!(pings(&lab, 1, 2));

    lab.cut_link(1, 3)?;
    assert!(!pings(&lab, 1, 3) && pings(&lab, 1, 2) && pings(&lab, 3, 2));
    assert_eq!(lab.host_status(1)?.deaf_to, [lab.host(3)?.address]);
    lab.heal_all()?;
    assert!(pings(&lab, 1, 3));

    // How many pings a host has received, answered or not.
    let heard = |host: u8| -> Result<String, LabError> {
        let script = "/bin/busybox awk '/^Icmp:/ { print $10 }' /proc/net/snmp";
        Ok(lab.exec(host, "sh", &["-c", script])?.ok()?.stdout)
    };
    lab.cut_one_way(1, 3)?;
    let before = (heard(1)?, heard(3)?);
    assert!(!pings(&lab, 1, 3) && !pings(&lab, 3, 1));
    assert_eq!(heard(3)?, before.1, "host3 is deaf to host1");
    assert_ne!(heard(1)?, before.0, "host1 still hears host3");
    Ok(())
}

fn image_runs() -> Verdict {
    let lab = fresh(2)?;
    let image = test_image("demo/web:7", "7")?.write(&lab.options().root)?;
    for host in lab.numbers() {
        lab.load_image(host, &image)?;
        let id = lab.docker(host, &["image", "inspect", "-f", "{{.Id}}", "demo/web:7"])?.ok()?;
        assert_eq!(id.stdout.trim(), image.id, "every engine agrees on the id");
        let publish = ["run", "-d", "--name", "web", "-p", "8080:80", "-e", "SLOT=4", "demo/web:7"];
        lab.docker(host, &publish)?.ok()?;
    }
    let address = SocketAddr::from((lab.host(2)?.address, 8080));
    let page = wait_until("a page", "docker logs", 10 * SECOND, SECOND / 20, || {
        Ok(http_get(address, "/", SECOND).ok())
    })?;
    assert!(page.body.ends_with("version 7 slot 4\n"), "{page:?}");
    assert_eq!(http_get(address, "/health", SECOND)?.status, 200);
    http_get(address, "/unhealthy", SECOND)?;
    assert_eq!(http_get(address, "/health", SECOND)?.status, 503);
    let shell = lab.docker(2, &["exec", "web", "sh", "-c", "echo $VERSION | wc -c"])?.ok()?;
    assert_eq!(shell.stdout.trim(), "2");

    let started = now();
    lab.docker(2, &["stop", "web"])?.ok()?;
    assert!(started.elapsed() < 9 * SECOND, "it ends when asked, not when killed");
    let code = lab.docker(2, &["inspect", "-f", "{{.State.ExitCode}}", "web"])?.ok()?;
    assert_eq!(code.stdout.trim(), "0");
    Ok(())
}

fn engine_faults() -> Verdict {
    let lab = Options { live_restore: true, ..options(1) };
    Lab::remove(&lab)?;
    let lab = Lab::up(lab)?.guard();
    let image = test_image("demo/web:1", "1")?.write(&lab.options().root)?;
    lab.load_image(1, &image)?;
    lab.docker(1, &["run", "-d", "--name", "web", "--restart", "always", "demo/web:1"])?.ok()?;
    let started = || -> Result<String, LabError> {
        let said = lab.docker(1, &["inspect", "-f", "{{.State.StartedAt}}", "web"])?;
        said.ok().map(|said| said.stdout)
    };
    let at = started()?;

    lab.kill(1, Part::Engine)?;
    assert!(!lab.host_status(1)?.engine);
    lab.start_engine(1)?;
    assert_eq!(started()?, at, "its containers live through a killed engine");

    lab.pause(1, Part::Engine)?;
    assert!(!lab.host_status(1)?.engine, "a frozen engine does not answer");
    lab.resume(1)?;
    wait_until("an answer", "dockerd.log", 5 * SECOND, SECOND / 20, || {
        Ok(lab.host_status(1)?.engine.then_some(()))
    })?;

    lab.power_off(1)?;
    assert!(!lab.host_status(1)?.on);
    assert!(matches!(lab.exec(1, "true", &[]), Err(LabError::HostOff { host: 1 })));
    lab.power_on(1)?;
    assert_ne!(started()?, at, "the plug was pulled: the container had to start anew");
    Ok(())
}

fn nothing_left() -> Verdict {
    let before = traces()?;
    let lab = Lab::up({
        Lab::remove(&options(2))?;
        options(2)
    })?;
    let image = test_image("demo/web:1", "1")?.write(&lab.options().root)?;
    lab.load_image(1, &image)?;
    lab.docker(1, &["run", "-d", "demo/web:1"])?.ok()?;
    assert!(matches!(Lab::up(options(2)), Err(LabError::AlreadyUp { hosts: 2, .. })));
    assert_ne!(traces()?, before);

    // A crash between any two steps: the file that describes the lab is gone, and half of a host.
    std::fs::remove_file("/var/lib/cluster-lab-test/lab.json")?;
    std::fs::write("/var/lib/cluster-lab-test/lab.json.new", "{")?;
    Command::new("ip").args(["link", "del", "clabt-host2"]).status()?;
    Lab::remove(&options(1))?;
    assert_eq!(traces()?, before);
    assert!(!Path::new("/var/lib/cluster-lab-test").exists());
    Lab::remove(&options(1))?;
    Ok(())
}

/// Everything on this machine that carries the test lab's name.
fn traces() -> Result<Vec<String>, std::io::Error> {
    let script = "ip -o link | grep -o 'clabt[^ :]*'; ip netns | grep -o 'clabt[^ ]*'; \
                  find /sys/fs/cgroup -name 'clabt*'; iptables -S | grep clabt; \
                  grep -o 'cluster-lab-test[^ ]*' /proc/*/mounts /proc/mounts 2>/dev/null; \
                  ps -eo args | grep '[c]lab-test/\\|[c]luster-lab-test'";
    let output = Command::new("sh").args(["-c", script]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}
