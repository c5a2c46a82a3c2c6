//! Reads the small part of the Dockerfile language that an image built from nothing can use, so that the
//! demo's image is described in a file that `docker build` takes as well.

use crate::{ImageSource, LabError, image};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// A Dockerfile whose stages are one: `FROM scratch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    steps: Vec<(usize, String, String)>,
}

/// What is wrong with a Dockerfile, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct DockerfileError {
    /// From 1.
    pub line: usize,
    /// The complaint.
    pub problem: String,
}

impl Dockerfile {
    /// Splits a text into steps.
    ///
    /// # Errors
    /// The text does not start `FROM scratch`.
    pub fn parse(text: &str) -> Result<Self, DockerfileError> {
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let split = |(at, line): (usize, &str)| {
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (at, word.to_uppercase(), rest.trim().to_owned())
        };
        let mut steps: Vec<_> = lines.map(split).collect();
        match steps.first() {
            Some((_, word, rest)) if word == "FROM" && rest == "scratch" => {
                steps.remove(0);
                Ok(Self { steps })
            }
            first => {
                let line = first.map_or(1, |(line, ..)| *line);
                Err(DockerfileError { line, problem: "it must start with FROM scratch".to_owned() })
            }
        }
    }

    /// Builds the image that `folder/Dockerfile` describes. Files that the folder lacks are taken from the
    /// lab: `lab-server`, `sh` and `start`.
    ///
    /// # Errors
    /// [`LabError::Dockerfile`] with the line, or a file that cannot be read.
    pub fn build(folder: &Path, name: &str) -> Result<ImageSource, LabError> {
        let path = folder.join("Dockerfile");
        let text = fs::read_to_string(&path).map_err(LabError::io("read", &path))?;
        let wrong = |source| LabError::Dockerfile { path: path.clone(), source };
        let file = Self::parse(&text).map_err(wrong)?;
        let parts = image::parts()?;
        let read = |name: &str| {
            let given =
                parts.iter().find(|(part, _)| *part == name).map(|(_, bytes)| bytes.clone());
            fs::read(folder.join(name)).ok().or(given)
        };
        file.apply(ImageSource::new(name), &read).map_err(wrong)
    }

    /// Applies all steps to `image`; `read` gives the build context's files.
    ///
    /// # Errors
    /// The first step that is not understood, or whose file is absent.
    pub fn apply(
        &self,
        image: ImageSource,
        read: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<ImageSource, DockerfileError> {
        self.steps.iter().try_fold(image, |image, (line, word, rest)| {
            step(image, word, rest, read)
                .map_err(|problem| DockerfileError { line: *line, problem })
        })
    }
}

fn step(
    image: ImageSource,
    word: &str,
    rest: &str,
    read: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<ImageSource, String> {
    Ok(match word {
        "COPY" => copy(image, rest, read)?,
        "ENV" => {
            let (key, value) = rest.split_once('=').ok_or("write ENV KEY=VALUE")?;
            image.env(key.trim(), value.trim().trim_matches('"'))
        }
        "EXPOSE" => {
            let port = if rest.contains('/') { rest.to_owned() } else { format!("{rest}/tcp") };
            image.set("ExposedPorts", json!({ port: {} }))
        }
        "ENTRYPOINT" => image.set("Entrypoint", list(rest)?),
        "CMD" => image.set("Cmd", list(rest)?),
        "HEALTHCHECK" => image.set("Healthcheck", healthcheck(rest)?),
        "STOPSIGNAL" => image.set("StopSignal", json!(rest)),
        "USER" => image.set("User", json!(rest)),
        "WORKDIR" => image.set("WorkingDir", json!(rest)),
        other => return Err(format!("{other} is not possible in an image built from nothing")),
    })
}

fn copy(
    image: ImageSource,
    rest: &str,
    read: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<ImageSource, String> {
    let (mode, rest) = match rest.strip_prefix("--chmod=") {
        Some(rest) => rest.split_once(' ').ok_or("COPY --chmod=MODE FROM... TO")?,
        None => ("644", rest),
    };
    let mode = u32::from_str_radix(mode, 8).map_err(|_| format!("{mode} is no mode"))?;
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    let target = words.pop().filter(|_| !words.is_empty()).ok_or("COPY FROM... TO")?;
    words.iter().try_fold(image, |image, source| {
        let content = read(source).ok_or_else(|| format!("there is no file {source}"))?;
        let base = source.rsplit('/').next().unwrap_or(source);
        let path =
            if target.ends_with('/') { format!("{target}{base}") } else { target.to_owned() };
        Ok(image.file(&path, &content, mode))
    })
}

fn healthcheck(rest: &str) -> Result<Value, String> {
    let mut check = json!({});
    let mut words = rest;
    while let Some(option) = words.strip_prefix("--") {
        let (option, after) = option.split_once(' ').ok_or("HEALTHCHECK [--OPTION=..] CMD [..]")?;
        let (key, value) = option.split_once('=').ok_or("write --interval=1s")?;
        let field = match key {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "retries" => "Retries",
            other => return Err(format!("--{other} is not known")),
        };
        check[field] = if key == "retries" { number(value)?.into() } else { nanos(value)?.into() };
        words = after.trim_start();
    }
    let command = words.strip_prefix("CMD").ok_or("HEALTHCHECK needs CMD")?;
    let Value::Array(mut test) = list(command.trim())? else { return Err("CMD [..]".to_owned()) };
    test.insert(0, json!("CMD"));
    check["Test"] = Value::Array(test);
    Ok(check)
}

fn nanos(text: &str) -> Result<u64, String> {
    if let Some(millis) = text.strip_suffix("ms") {
        return Ok(number(millis)? * 1_000_000);
    }
    let seconds = text.strip_suffix('s').ok_or_else(|| format!("{text}: write 500ms or 2s"))?;
    Ok(number(seconds)? * 1_000_000_000)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn list(text: &str) -> Result<Value, String> {
    let words: Vec<String> = serde_json::from_str(text)
        .map_err(|_| format!("{text}: without a shell, write [\"/bin/program\", \"argument\"]"))?;
    Ok(json!(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(text: &str) -> Result<ImageSource, DockerfileError> {
        let read = |name: &str| (name == "server").then(|| b"program".to_vec());
        Dockerfile::parse(text)?.apply(ImageSource::new("demo/x:1"), &read)
    }

    #[test]
    fn builds_what_it_says() {
        let text = "# a comment\nFROM scratch\nCOPY --chmod=755 server /bin/\nENV A=b\n\
                    HEALTHCHECK --interval=500ms --retries=2 CMD [\"/bin/server\", \"check\"]\n\
                    ENTRYPOINT [\"/bin/server\"]\n";
        let shown = format!("{:?}", build(text).unwrap());
        for part in ["\"bin/server\": ", "A=b", "500000000", "\"Retries\": Number(2)"] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }

    #[test]
    fn complains_with_the_line() {
        let at = |text: &str| build(text).unwrap_err().line;
        assert_eq!(at("FROM debian"), 1);
        assert_eq!(at("FROM scratch\n\nRUN make"), 3);
        assert_eq!(at("FROM scratch\nCOPY absent /bin/"), 2);
        assert_eq!(at("FROM scratch\nCMD server --now"), 2);
    }
}
