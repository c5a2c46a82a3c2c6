//! Images: is it here, what does its name stand for, fetch it, bring it in, give it out.

use crate::engine::SHORT;
use crate::failure::within;
use crate::login::credentials;
use crate::{Engine, Failure};
use agent::ActionResult;
use bollard::query_parameters::{CreateImageOptionsBuilder, ImportImageOptions};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use model::{Login, Pull, registry};
use std::time::Duration;

/// Deadline of a pull.
const PULL: Duration = Duration::from_secs(600);
/// A pull or a load that shows no progress for this long has stopped.
const IDLE: Duration = Duration::from_secs(60);
/// Deadline of asking a registry what a name stands for.
const ASK: Duration = Duration::from_secs(15);

/// What an image's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// `repository@sha256:...`: the same everywhere, and any node can fetch it.
    Digest(String),
    /// `sha256:...`: an image that is on this node and that no registry is known to have.
    LocalOnly(String),
    /// Neither this node nor a registry has it.
    Nowhere {
        /// Why not.
        reason: String,
    },
}

impl Engine {
    /// Identity (`sha256:...`) of an image on this node, or `None`.
    pub async fn image_id(&self, reference: &str) -> Result<Option<String>, Failure> {
        Ok(self.local(reference).await?.and_then(|image| image.id))
    }

    async fn local(
        &self,
        reference: &str,
    ) -> Result<Option<bollard::models::ImageInspect>, Failure> {
        match within(SHORT, self.client().await?.inspect_image(reference)).await {
            Ok(image) => Ok(Some(image)),
            Err(failure) if failure.not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// What an image's name stands for. An image on this node comes first, as with Compose, unless it is
    /// always to be pulled; a registry is asked otherwise.
    pub async fn resolve(
        &self,
        reference: &str,
        pull: Pull,
        login: Option<&Login>,
    ) -> Result<Resolved, Failure> {
        let local = self.local(reference).await?;
        let local = local.and_then(|image| {
            let digests = image.repo_digests.unwrap_or_default();
            let digest = digests.into_iter().find(|d| same_repository(d, reference));
            digest.map(Resolved::Digest).or(image.id.map(Resolved::LocalOnly))
        });
        match (local, pull) {
            (Some(found), Pull::Missing | Pull::Never) => Ok(found),
            (None, Pull::Never) => Ok(Resolved::Nowhere {
                reason: format!("image {reference} is not on this node, and is never to be pulled"),
            }),
            (local, _) => {
                let asked = self.ask_registry(reference, login).await;
                Ok(asked.or_else(|nowhere| local.ok_or(nowhere)).unwrap_or_else(|nowhere| nowhere))
            }
        }
    }

    async fn ask_registry(
        &self,
        reference: &str,
        login: Option<&Login>,
    ) -> Result<Resolved, Resolved> {
        let nowhere = |why: String| Resolved::Nowhere {
            reason: format!("image {reference} is not on this node, and no registry has it: {why}"),
        };
        let client = self.client().await.map_err(|f| nowhere(f.to_string()))?;
        let login = login.and_then(|l| credentials(l, registry(reference)));
        let found = within(ASK, client.inspect_registry_image(reference, login)).await;
        match found.map(|f| f.descriptor.digest) {
            Ok(Some(digest)) => Ok(Resolved::Digest(format!("{}@{digest}", split(reference).0))),
            Ok(None) => Err(nowhere("its answer has no digest".to_owned())),
            Err(failure) => Err(nowhere(failure.to_string())),
        }
    }

    /// Fetches an image from its registry.
    pub(crate) async fn pull(&self, reference: &str, login: Option<&Login>) -> ActionResult {
        let failed = |why: String| {
            format!("image {reference} is not on this node and could not be pulled: {why}")
        };
        match tokio::time::timeout(PULL, self.pull_all(reference, login)).await {
            Ok(Ok(())) => ActionResult::Done(None),
            Ok(Err(failure)) => match failure {
                Failure::Unanswered(_) => failure.into_result(),
                // The engine reports what its registry did; only these words mean that time cannot help.
                ref f if f.says(&HOPELESS) => ActionResult::Never(failed(f.to_string())),
                f => ActionResult::Again(failed(f.to_string())),
            },
            Err(_) => ActionResult::Again(failed(format!("not done within {} s", PULL.as_secs()))),
        }
    }

    async fn pull_all(&self, reference: &str, login: Option<&Login>) -> Result<(), Failure> {
        let (repository, tag) = split(reference);
        let options = CreateImageOptionsBuilder::default().from_image(&repository).tag(&tag);
        let login = login.and_then(|l| credentials(l, registry(reference)));
        let client = self.client().await?;
        let progress = Box::pin(client.create_image(Some(options.build()), None, login));
        watch(progress, |_| ()).await
    }

    /// Brings in the images of an archive, as `docker save` writes it. Returns the names, or ids, of what
    /// was brought in.
    pub async fn load(
        &self,
        archive: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Vec<String>, Failure> {
        let client = self.client().await?;
        let options = ImportImageOptions { quiet: true, ..Default::default() };
        let body = bollard::body_stream(archive);
        let progress = Box::pin(client.import_image(options, body, None));
        let mut said = String::new();
        watch(progress, |step| said.push_str(&step.stream.unwrap_or_default())).await?;
        Ok(loaded(&said))
    }

    /// Gives out an image as an archive that `load` reads. An item that is an error ends it.
    pub async fn export(
        &self,
        reference: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, Failure>> + Send + use<>, Failure> {
        let (client, reference) = (self.client().await?, reference.to_owned());
        Ok(futures::stream::once(async move { client.export_image(&reference).boxed() })
            .flatten()
            .map(|chunk| chunk.map_err(Failure::from)))
    }
}

/// Words of registries and engines after which trying again is in vain.
const HOPELESS: [&str; 8] = [
    "not found",
    "manifest unknown",
    "denied",
    "unauthorized",
    "does not exist",
    "invalid reference",
    "no matching manifest",
    "no basic auth credentials",
];

/// Follows the progress of a transfer to its end.
async fn watch<T>(
    mut progress: impl Stream<Item = Result<T, bollard::errors::Error>> + Unpin,
    mut each: impl FnMut(T),
) -> Result<(), Failure> {
    loop {
        match tokio::time::timeout(IDLE, progress.next()).await {
            Ok(Some(step)) => each(step?),
            Ok(None) => return Ok(()),
            Err(_) => {
                let message = format!("no progress for {} s", IDLE.as_secs());
                return Err(Failure::Refused { status: 0, message });
            }
        }
    }
}

/// Names in the words of a load: `Loaded image: NAME` or `Loaded image ID: sha256:...`, one a line.
fn loaded(said: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.trim().strip_prefix("Loaded image")?;
        rest.trim_start_matches(" ID").strip_prefix(": ").map(str::to_owned)
    };
    said.lines().filter_map(name).collect()
}

/// Repository and tag or digest of a reference. Without either it means `latest`: the engine would fetch
/// every tag there is.
fn split(reference: &str) -> (String, String) {
    if let Some((repository, digest)) = reference.split_once('@') {
        // A tag beside a digest says nothing more.
        return (split(repository).0, digest.to_owned());
    }
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository.to_owned(), tag.to_owned()),
        _ => (reference.to_owned(), "latest".to_owned()),
    }
}

/// Whether a digest that the engine lists is of the repository that was named.
fn same_repository(digest: &str, reference: &str) -> bool {
    short(&split(digest).0) == short(&split(reference).0)
}

/// A repository without the parts that Docker adds to its own.
fn short(repository: &str) -> &str {
    let rest = repository.strip_prefix("docker.io/").unwrap_or(repository);
    rest.strip_prefix("library/").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split_at_the_right_colon() {
        for (reference, repository, tag) in [
            ("busybox", "busybox", "latest"),
            ("busybox:1.36", "busybox", "1.36"),
            ("host:5000/app", "host:5000/app", "latest"),
            ("host:5000/app:v2", "host:5000/app", "v2"),
            ("app:v2@sha256:ab", "app", "sha256:ab"),
        ] {
            assert_eq!(split(reference), (repository.to_owned(), tag.to_owned()), "{reference}");
        }
    }

    #[test]
    fn digests_are_matched_by_repository() {
        assert!(same_repository("busybox@sha256:ab", "docker.io/library/busybox:1"));
        assert!(!same_repository("other/busybox@sha256:ab", "busybox"));
    }

    #[test]
    fn names_of_a_load_are_read() {
        let said = "Loaded image: a:1\nLoaded image ID: sha256:ff\nnoise\n";
        assert_eq!(loaded(said), ["a:1", "sha256:ff"]);
    }
}
