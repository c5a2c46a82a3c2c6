//! Images that a Compose file says how to make: made by the Docker Engine of this machine, named after their
//! content, and brought to every node. The engine is asked through `docker`, so its contexts and `DOCKER_HOST` hold;
//! no shell is involved.

use crate::command::image;
use crate::failure::Failure;
use crate::session::Session;
use crate::text;
use compose::Build;
use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Hexadecimal digits of an image's id that go into its name.
const DIGITS: usize = 12;

/// Makes the images and brings them to every node, also one that runs already: a node may have joined since. Returns what they are called, by service. One that
/// the file gives a name is only made when that was asked for: it may come from a registry.
pub(crate) async fn all(
    session: &Session,
    project: &str,
    builds: &[Build],
    asked: bool,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut built = BTreeMap::new();
    for build in builds.iter().filter(|b| asked || b.image.is_none()) {
        let service = text::safe(&build.service);
        session.out.say(&format!("Building {service} ..."));
        let image = make(project, build).await?;
        bring(session, &image).await?;
        built.insert(build.service.clone(), image);
    }
    Ok(built)
}

/// Makes one image; returns its name.
async fn make(project: &str, build: &Build) -> Result<String, Failure> {
    let family = format!("{project}-{}", build.service).to_lowercase();
    let name = build.image.clone().unwrap_or_else(|| format!("{family}:latest"));
    let mut child = docker(&arguments(build, &name));
    // Its progress is not this command's answer.
    child.stdout(Stdio::from(io::stderr()));
    let inline = build.dockerfile_inline.as_deref();
    child.stdin(if inline.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = child.spawn().map_err(|e| unavailable(&e))?;
    if let (Some(text), Some(mut stdin)) = (inline, child.stdin.take()) {
        // A builder that ends early says why itself.
        let _ = stdin.write_all(text.as_bytes()).await;
    }
    let status = child.wait().await.map_err(|e| unavailable(&e))?;
    done(status, &format!("building {}", build.service))?;
    if build.image.is_some() {
        return Ok(name);
    }
    let id = answer(&["image", "inspect", "--format", "{{.Id}}", &name]).await?;
    let digits = id.trim().trim_start_matches("sha256:");
    let tagged = format!("{family}:{}", digits.get(..DIGITS).unwrap_or(digits));
    answer(&["image", "tag", &name, &tagged]).await?;
    Ok(tagged)
}

fn arguments(build: &Build, name: &str) -> Vec<String> {
    let mut words: Vec<String> = ["build", "--tag", name].map(str::to_owned).into();
    let mut put = |flag: &str, value: &str| words.push(format!("{flag}={value}"));
    for (key, value) in &build.args {
        put("--build-arg", &format!("{key}={value}"));
    }
    for (key, value) in &build.labels {
        put("--label", &format!("{key}={value}"));
    }
    for image in &build.cache_from {
        put("--cache-from", image);
    }
    for (flag, value) in [("--target", &build.target), ("--network", &build.network)] {
        if let Some(value) = value {
            put(flag, value);
        }
    }
    for (flag, set) in [("--no-cache", build.no_cache), ("--pull", build.pull)] {
        if set {
            put(flag, "true");
        }
    }
    if build.dockerfile_inline.is_some() {
        put("--file", "-");
    } else if let Some(file) = &build.dockerfile {
        let absolute = file.starts_with('/');
        put("--file", &if absolute { file.clone() } else { format!("{}/{file}", build.context) });
    }
    words.push("--".to_owned());
    words.push(build.context.clone());
    words
}

/// Hands an image to every node.
async fn bring(session: &Session, image: &str) -> Result<(), Failure> {
    let mut child = docker(&["image", "save", "--", image].map(str::to_owned));
    child.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = child.spawn().map_err(|e| unavailable(&e))?;
    let stdout = child.stdout.take().expect("it was asked for");
    let (bytes, reply) = image::load(session, stdout).await?;
    let status = child.wait().await.map_err(|e| unavailable(&e))?;
    done(status, &format!("saving {image}"))?;
    let sent = format!("{} sent to every node: {}", text::safe(image), text::size(bytes));
    session.out.say(&sent);
    image::failed(&reply).map_or(Ok(()), Err)
}

/// What `docker` prints.
async fn answer(words: &[&str]) -> Result<String, Failure> {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let mut child = docker(&words);
    let output = child
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .map_err(|e| unavailable(&e))?;
    done(output.status, &format!("docker {}", words[..2].join(" ")))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn docker(words: &[String]) -> Command {
    let mut command = Command::new("docker");
    command.args(words).kill_on_drop(true);
    command
}

fn done(status: ExitStatus, what: &str) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(Failure::refused(format!("{what} failed ({status}); nothing was deployed"))
        .next("what went wrong is said above by docker"))
}

fn unavailable(error: &io::Error) -> Failure {
    Failure::refused(format!(
        "images are built by Docker on this machine, and `docker` cannot be run: {error}"
    ))
    .next("install it here, or build the image elsewhere and name it under `image`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_says_reaches_the_builder() {
        let build = Build {
            service: "web".into(),
            context: "/src/web".into(),
            dockerfile: Some("Dockerfile.prod".into()),
            target: Some("run".into()),
            args: BTreeMap::from([("V".into(), "1 2".into())]),
            no_cache: true,
            ..Build::default()
        };
        let words = arguments(&build, "shop-web:latest");
        let wanted = [
            "build",
            "--tag",
            "shop-web:latest",
            "--build-arg=V=1 2",
            "--target=run",
            "--no-cache=true",
            "--file=/src/web/Dockerfile.prod",
            "--",
            "/src/web",
        ];
        assert_eq!(words, wanted);
        let inline = Build { dockerfile_inline: Some("FROM scratch".into()), ..build };
        assert!(arguments(&inline, "x").contains(&"--file=-".to_owned()));
    }
}
