//! Stacks as people have them, with the real programs, run from the files of `cluster-config/`.

use crate::cluster::{Cluster, MANAGERS, Step, eventually, hold, options};
use lab::harness::Verdict;
use std::path::{Path, PathBuf};
use std::process::Command;

const IMAGES: [&str; 4] = ["intro-nginx:1", "intro-php-fpm:1", "intro-app:1", "intro-mariadb:1"];

/// The stack of an introduction to Docker, with nginx, php-fpm and mariadb from Debian packages: on three nodes
/// and on one it serves a page with a value of the environment and a row of the database.
pub(crate) fn the_introduction_runs() -> Verdict {
    let cluster = Cluster::formed(options("clabi", 10, 3), &MANAGERS)?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster-config/intro");
    load_images(&cluster, &folder)?;
    let file = folder.join("docker-compose.yml").display().to_string();
    cluster.say(2, &["deploy", "-f", &file])?;
    served(&cluster)?;
    cluster.say(1, &["down", "-p", "intro", "--volumes"])?;
    for other in ["host2", "host3"] {
        cluster.say(1, &["nodes", "drain", other])?;
    }
    cluster.say(1, &["deploy", "-f", &file])?;
    served(&cluster)?;
    let nodes: Vec<String> = cluster.ps(1, "intro")?.into_iter().map(|r| r.node).collect();
    assert!(nodes.iter().all(|n| n == "host1"), "{nodes:?}");
    Ok(())
}

/// Builds the images on the first host and brings them to the others.
fn load_images(cluster: &Cluster, folder: &Path) -> Step<()> {
    let socket = format!("unix://{}", cluster.host(1)?.docker_socket().display());
    let script = folder.join("images/build.sh");
    let built = Command::new(script).env("DOCKER_HOST", socket).output()?;
    hold(built.status.success(), || String::from_utf8_lossy(&built.stderr).into_owned())?;
    let saved: PathBuf = cluster.write("intro.tar", "")?;
    let path = saved.display().to_string();
    let words: Vec<&str> = ["save", "-o", &path].into_iter().chain(IMAGES).collect();
    cluster.docker(1, &words)?.ok()?;
    cluster.say(1, &["image", "load", &path])?;
    Ok(())
}

/// Every host serves the page.
fn served(cluster: &Cluster) -> Step<()> {
    for host in MANAGERS {
        eventually("the page", || {
            let page = cluster.ask(host, 80, "/")?;
            let text = page.body;
            let whole = text.contains("FOO is hello") && text.contains("says good morning");
            hold(page.status == 200 && whole, || format!("host {host}: {} {text}", page.status))
        })?;
    }
    Ok(())
}

/// A service that is built where it is deployed from runs on every node, and no registry is asked.
pub(crate) fn what_is_built_runs_everywhere(cluster: &Cluster) -> Verdict {
    let compose = cluster.write(
        "built/docker-compose.yml",
        "name: built\nservices:\n  web:\n    build: .\n    deploy: {mode: global}\n",
    )?;
    cluster.write("built/Dockerfile", "FROM e2e/web:1\nENV GREETING=first\n")?;
    let (file, socket) = (compose.display().to_string(), cluster.host(1)?.docker_socket());
    let deploy = || -> Step<()> {
        let mut command = cluster.clusterctl_command(1)?;
        command.args(["deploy", "-f", &file]);
        let done = command.env("DOCKER_HOST", format!("unix://{}", socket.display())).output()?;
        hold(done.status.success(), || String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let greeting = |host: u8| -> Step<String> {
        let replica = format!("web.host{host}");
        let words = ["exec", "-p", "built", &replica, "--", "/bin/sh", "-c", "echo $GREETING"];
        Ok(cluster.say(host, &words)?.stdout.trim().to_owned())
    };
    deploy()?;
    for host in MANAGERS {
        assert_eq!(greeting(host)?, "first", "on host {host}");
    }
    cluster.write("built/Dockerfile", "FROM e2e/web:1\nENV GREETING=second\n")?;
    deploy()?;
    for host in MANAGERS {
        assert_eq!(greeting(host)?, "second", "on host {host}");
    }
    cluster.undeploy(1, "built")?;
    Ok(())
}
