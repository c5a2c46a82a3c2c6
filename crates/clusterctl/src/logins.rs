//! Registry logins of whoever deploys, as `docker login` keeps them. Nothing of them is ever shown.

use crate::failure::Failure;
use crate::project::limited;
use crate::session::variable;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Logins kept by `docker login`.
#[derive(Default)]
pub(crate) struct Logins {
    /// By registry, as the engine takes them: JSON with `username` and `password` or `identitytoken`.
    pub(crate) known: BTreeMap<String, Vec<u8>>,
    /// Registries whose login is kept by a helper program, which is not asked.
    pub(crate) elsewhere: Vec<String>,
}

/// Reads the logins of whoever runs this.
pub(crate) fn read() -> Result<Logins, Failure> {
    let folder = variable("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".docker")));
    let Some(path) = folder.map(|f| f.join("config.json")) else { return Ok(Logins::default()) };
    match File::open(&path).and_then(limited) {
        Ok(bytes) => parse_logins(&bytes).map_err(|why| {
            Failure::refused(format!("{} cannot be used: {why}", path.display()))
                .next("run `docker login` again, or deploy without --with-registry-auth")
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(Failure::refused(format!("there are no logins: {} does not exist", path.display()))
                .next("run `docker login REGISTRY`, or deploy without --with-registry-auth"))
        }
        Err(e) => Err(Failure::file("read", &path, &e)),
    }
}

#[derive(serde::Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, DockerAuth>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct DockerAuth {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
}

/// No message repeats anything of the file: it holds passwords.
fn parse_logins(bytes: &[u8]) -> Result<Logins, String> {
    use base64::Engine as _;
    let config: DockerConfig =
        serde_json::from_slice(bytes).map_err(|_| "it is not Docker's JSON".to_owned())?;
    let mut known = BTreeMap::new();
    let mut elsewhere: Vec<String> = config.helpers.keys().cloned().collect();
    for (server, entry) in &config.auths {
        if entry.auth.is_empty() && entry.identitytoken.is_empty() {
            if config.store.is_some() && !elsewhere.contains(server) {
                elsewhere.push(server.clone());
            }
            continue;
        }
        let wrong = || format!("the login for {server} is damaged");
        let plain =
            base64::engine::general_purpose::STANDARD.decode(&entry.auth).map_err(|_| wrong())?;
        let plain = String::from_utf8(plain).map_err(|_| wrong())?;
        let (username, password) = plain.split_once(':').unwrap_or((&plain, ""));
        let mut login = serde_json::json!({
            "username": username,
            "password": password.trim_end_matches('\0'),
            "serveraddress": server,
        });
        if !entry.identitytoken.is_empty() {
            login["identitytoken"] = entry.identitytoken.clone().into();
        }
        known.insert(registry(server), login.to_string().into_bytes());
    }
    Ok(Logins { known, elsewhere })
}

/// The registry as image references name it: no scheme, no path, and Docker's own under its short name.
fn registry(server: &str) -> String {
    let bare = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://"));
    let host = bare.unwrap_or(server).split('/').next().unwrap_or_default();
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".into(),
        host => host.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_logins_are_named_as_images_name_registries() {
        let config = br#"{"auths":{
            "https://index.docker.io/v1/":{"auth":"YW5uYTpzM2NyOnQ="},
            "ghcr.io":{"auth":"Ym9iOng=","identitytoken":"t"},
            "kept.example:5000":{}},
            "credsStore":"pass","credHelpers":{"gcr.io":"gcr"}}"#;
        let Logins { known, elsewhere } = parse_logins(config).unwrap();
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        assert_eq!(names, ["docker.io", "ghcr.io"]);
        let docker: serde_json::Value = serde_json::from_slice(&known["docker.io"]).unwrap();
        assert_eq!((&docker["username"], &docker["password"]), (&"anna".into(), &"s3cr:t".into()));
        assert_eq!(elsewhere, ["gcr.io", "kept.example:5000"]);
    }

    #[test]
    fn a_damaged_login_is_named_and_not_shown() {
        let why =
            parse_logins(br#"{"auths":{"ghcr.io":{"auth":"secret!"}}}"#).map(drop).unwrap_err();
        assert_eq!(why, "the login for ghcr.io is damaged");
        assert!(
            !parse_logins(b"{\"auths\": \"secret\"}").map(drop).unwrap_err().contains("secret")
        );
    }
}
