//! Registry logins: from the bytes that travel with a view to what the engine wants. Nothing here is
//! ever shown.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::auth::DockerCredentials;
use model::Login;
use serde::Deserialize;

/// A login as an entry of `auths` in Docker's own `config.json`.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    /// `user:password` in base64, which is what `docker login` writes.
    #[serde(default)]
    auth: Option<String>,
    #[serde(default, alias = "identityToken")]
    identitytoken: Option<String>,
    #[serde(default, alias = "registryToken")]
    registrytoken: Option<String>,
}

/// What the engine wants. A login that cannot be read is no login: the registry then says so.
pub(crate) fn credentials(login: &Login, registry: &str) -> Option<DockerCredentials> {
    let entry: Entry = serde_json::from_slice(&login.0).ok()?;
    let pair = entry.auth.as_deref().and_then(|auth| {
        let text = String::from_utf8(BASE64_STANDARD.decode(auth).ok()?).ok()?;
        text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    });
    let (user, password) = pair.map_or((None, None), |(u, p)| (Some(u), Some(p)));
    Some(DockerCredentials {
        username: entry.username.or(user),
        password: entry.password.or(password),
        identitytoken: entry.identitytoken,
        registrytoken: entry.registrytoken,
        serveraddress: Some(registry.to_owned()),
        ..DockerCredentials::default()
    })
}
