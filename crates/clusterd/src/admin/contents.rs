//! Secrets and configs that come in: each gets its version, secrets are sealed before they are proposed. And those
//! that no project owns, for people.

use crate::admin::write::{propose, reply};
use crate::managing::Managing;
use crate::serve::contents::purpose;
use api::v1;
use identity::{Certificates, Sealer};
use model::{
    Bytes, Command, Content, ContentId, ContentKey, ContentKind, ContentRefusal, ContentSource,
    CreateContent, GivenSecret, ProjectSpec, Refusal, ServiceSpec, State, limits,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::Status;

/// Gives each file of a project the version that it is to show, and returns what its own ones hold, ready for the
/// log.
pub(crate) fn settle(
    managing: &Managing,
    spec: &mut ProjectSpec,
    given: Vec<v1::GivenContent>,
) -> Result<BTreeMap<ContentId, Content>, Status> {
    let mut given = given
        .into_iter()
        .map(|g| Ok((key(&g.kind, &g.name)?, g.content)))
        .collect::<Result<BTreeMap<_, _>, Status>>()?;
    let (mut versions, mut contents) = (BTreeMap::new(), BTreeMap::new());
    let state = managing.log.state();
    for (key, source) in &spec.contents {
        let plain = match source {
            ContentSource::External(name) => {
                let external = ContentKey { kind: key.kind, name: name.clone() };
                // Where there is none, the state says so, and which service asks for it.
                let version = state.externals.get(&external).map(|e| e.version.clone());
                versions.insert(key.clone(), version.unwrap_or_default());
                continue;
            }
            ContentSource::Written(text) => text.clone().into_bytes(),
            ContentSource::File(_) | ContentSource::Environment(_) => {
                given.remove(key).ok_or_else(|| refused(ContentRefusal::NotSent(key.clone())))?
            }
        };
        let (version, content) = sealed(&managing.sealer, key.kind, &plain)?;
        contents.insert(ContentId { kind: key.kind, version: version.clone() }, content);
        versions.insert(key.clone(), version);
    }
    for service in spec.services.values_mut().filter(|s| s.contents().next().is_some()) {
        let mut changed: ServiceSpec = (**service).clone();
        changed.show(|key| versions.get(key).cloned().unwrap_or_default());
        *service = Arc::new(changed);
    }
    refuse_certificates(managing, spec, &contents)?;
    Ok(contents)
}

/// Refuses two secrets that are no certificate with its key: before they are kept, because no node could use them.
fn refuse_certificates(
    managing: &Managing,
    spec: &ProjectSpec,
    brought: &BTreeMap<ContentId, Content>,
) -> Result<(), Status> {
    let state = managing.log.state();
    let held = |id: &ContentId| brought.get(id).or_else(|| state.contents.get(id));
    for (name, service) in &spec.services {
        for tls in service.http.iter().filter_map(|rule| rule.tls.as_ref()) {
            let [certificate, key] = [&tls.certificate, &tls.key].map(GivenSecret::id);
            // What is missing is said by the state, with what to do.
            let (Some(chain), Some(private)) = (held(&certificate), held(&key)) else { continue };
            let open = |content: &Content, id: &ContentId| {
                let opened = managing.sealer.open(&content.bytes.0, &purpose(&id.version));
                opened.map(|plain| String::from_utf8_lossy(&plain).into_owned()).ok()
            };
            let pair = open(chain, &certificate).zip(open(private, &key));
            let (chain, private) = pair.ok_or_else(unopened)?;
            Certificates::new([(chain.as_str(), private.as_str())]).map_err(|why| {
                let (certificate, key) = (&tls.certificate.name, &tls.key.name);
                let why = anyhow::Error::from(why);
                Status::invalid_argument(format!(
                    "service `{name}`: the secrets `{certificate}` and `{key}` are no certificate with its key: {why:#}"
                ))
            })?;
        }
    }
    Ok(())
}

fn unopened() -> Status {
    Status::internal("a secret cannot be opened with this manager's cluster key")
}

/// Those of a kind that no project owns.
pub(crate) fn list(state: &State, kind: &str) -> Result<Vec<v1::ContentSummary>, Status> {
    let kind: ContentKind = api::parse("kind", kind)?;
    let of = state.externals.iter().filter(|(key, _)| key.kind == kind);
    let summary = of.map(|(key, external)| v1::ContentSummary {
        name: key.name.to_string(),
        created_ms: external.created.0,
        used_by: state.users_of(key),
    });
    Ok(summary.collect())
}

/// Makes one that no project owns.
pub(crate) async fn create(
    managing: &Managing,
    message: v1::CreateContentRequest,
) -> Result<v1::WriteReply, Status> {
    let given = message.content.unwrap_or_default();
    let key = key(&given.kind, &given.name)?;
    let (version, content) = sealed(&managing.sealer, key.kind, &given.content)?;
    let command = Command::CreateContent(CreateContent { key, version, content });
    let (index, outcome) = propose(managing, command, message.request).await?;
    Ok(reply(index, &outcome))
}

/// Removes one that no project owns, and nobody uses.
pub(crate) async fn remove(
    managing: &Managing,
    message: v1::RemoveContentRequest,
) -> Result<v1::WriteReply, Status> {
    let command = Command::RemoveContent(key(&message.kind, &message.name)?);
    let (index, outcome) = propose(managing, command, message.request).await?;
    Ok(reply(index, &outcome))
}

fn key(kind: &str, name: &str) -> Result<ContentKey, Status> {
    Ok(ContentKey { kind: api::parse("kind", kind)?, name: api::parse("name", name)? })
}

/// The version of a content, and the content as the log may hold it.
fn sealed(sealer: &Sealer, kind: ContentKind, plain: &[u8]) -> Result<(String, Content), Status> {
    if plain.len() > limits::CONTENT_BYTES {
        let what = format!("a {kind} is");
        let limit = limits::CONTENT_BYTES as u64;
        return Err(refused(ContentRefusal::TooLarge { what, limit }));
    }
    let version = sealer.digest(plain, kind.to_string().as_bytes());
    let bytes = match kind {
        ContentKind::Secret => sealer.seal(plain, &purpose(&version)),
        ContentKind::Config => plain.to_vec(),
    };
    Ok((version, Content { bytes: Bytes(bytes.into()), size: plain.len() as u64 }))
}

fn refused(why: ContentRefusal) -> Status {
    crate::serve::refusal(&Refusal::Content(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use identity::ClusterKey;

    #[test]
    fn a_secret_is_sealed_and_a_config_is_not() {
        let sealer = Sealer::new(&ClusterKey::generate());
        let (version, secret) = sealed(&sealer, ContentKind::Secret, b"hunter2").unwrap();
        let holds = |content: &Content| content.bytes.0.windows(7).any(|w| w == b"hunter2");
        assert!(!holds(&secret));
        assert_eq!(secret.size, 7);
        let opened = sealer.open(&secret.bytes.0, &purpose(&version)).unwrap();
        assert_eq!(&opened[..], b"hunter2");
        let (again, _) = sealed(&sealer, ContentKind::Secret, b"hunter2").unwrap();
        assert_eq!(again, version);
        let (other, config) = sealed(&sealer, ContentKind::Config, b"hunter2").unwrap();
        assert!(holds(&config) && other != version);
    }

    #[test]
    fn one_that_is_too_large_is_refused_before_it_is_sealed() {
        let sealer = Sealer::new(&ClusterKey::generate());
        let large = vec![b'x'; limits::CONTENT_BYTES + 1];
        let why = sealed(&sealer, ContentKind::Config, &large).unwrap_err();
        assert_eq!(why.message(), "a config is too large: at most 500 KiB");
    }
}
