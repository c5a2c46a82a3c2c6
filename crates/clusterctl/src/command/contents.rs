//! `secret` and `config create`, `ls`, `rm`: secrets and configs that no project owns. What one holds goes to the
//! cluster and is never shown again.

use crate::args::Content;
use crate::failure::Failure;
use crate::session::Session;
use crate::table::Table;
use crate::{clock, json, retry, text};
use api::v1::{
    ContentSummary, ContentsRequest, CreateContentRequest, GivenContent, RemoveContentRequest,
};
use model::ContentKind;
use model::limits::CONTENT_BYTES;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

pub(crate) async fn run(
    session: &Session,
    kind: ContentKind,
    words: Content,
) -> Result<(), Failure> {
    match words {
        Content::Create { name, file } => create(session, kind, name, &file).await,
        Content::Ls => list(session, kind).await,
        Content::Rm { name } => remove(session, kind, name).await,
    }
}

async fn create(
    session: &Session,
    kind: ContentKind,
    name: String,
    file: &Path,
) -> Result<(), Failure> {
    let given = GivenContent { kind: kind.to_string(), name, content: read(kind, file)? };
    let stamp = session.stamp().await?;
    retry::write(&session.cluster, stamp, async |mut client, id| {
        let request = CreateContentRequest { request: Some(id), content: Some(given.clone()) };
        client.create_content(request).await
    })
    .await?;
    done(session, kind, &given.name, "is there; services use it by `external: true`", "created")
}

/// No more than the cluster takes is read, so nothing endless is.
fn read(kind: ContentKind, file: &Path) -> Result<Vec<u8>, Failure> {
    let limited = |from: &mut dyn Read| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        from.take(CONTENT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = if file == Path::new("-") {
        limited(&mut io::stdin().lock())
    } else {
        File::open(file).and_then(|mut file| limited(&mut file))
    };
    let bytes = bytes.map_err(|e| Failure::file("read", file, &e))?;
    let from = file.display();
    if bytes.is_empty() {
        return Err(Failure::refused(format!("{from} is empty, so no {kind} is made of it")));
    }
    if bytes.len() > CONTENT_BYTES {
        let most = CONTENT_BYTES >> 10;
        let message = format!("{from} is too large for a {kind}: more than {most} KiB");
        return Err(Failure::refused(message).next("put large files into a volume or an image"));
    }
    Ok(bytes)
}

async fn list(session: &Session, kind: ContentKind) -> Result<(), Failure> {
    let request = ContentsRequest { read: Some(session.read_request("")), kind: kind.to_string() };
    let reply =
        retry::read(&session.cluster, async |mut c| c.contents(request.clone()).await).await?;
    session.out.banner(reply.read.as_ref());
    session.out.either(
        || table(&reply.contents, clock::wall_ms()),
        || json::list(&reply.contents, json::content),
    )
}

fn table(contents: &[ContentSummary], now_ms: i64) -> String {
    let mut table = Table::new(&["NAME", "CREATED", "USED BY"]);
    for content in contents {
        let age = u64::try_from(now_ms - content.created_ms).unwrap_or(0);
        let age = text::age(Duration::from_millis(age));
        table.row([content.name.clone(), format!("{age} ago"), content.used_by.join(", ")]);
    }
    table.render()
}

async fn remove(session: &Session, kind: ContentKind, name: String) -> Result<(), Failure> {
    let stamp = session.stamp().await?;
    let request = RemoveContentRequest { request: None, kind: kind.to_string(), name };
    retry::write(&session.cluster, stamp, async |mut client, id| {
        client.remove_content(RemoveContentRequest { request: Some(id), ..request.clone() }).await
    })
    .await?;
    done(session, kind, &request.name, "is gone", "removed")
}

fn done(
    session: &Session,
    kind: ContentKind,
    name: &str,
    said: &str,
    word: &str,
) -> Result<(), Failure> {
    session.out.say(&text::safe(&format!("{kind} {name} {said}")));
    if session.out.json {
        return session.out.document(&serde_json::json!({"name": name, "outcome": word}));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_who_uses_what() {
        let content = |name: &str, used_by: &[&str]| ContentSummary {
            name: name.into(),
            created_ms: 0,
            used_by: used_by.iter().map(ToString::to_string).collect(),
        };
        let shown =
            table(&[content("tls", &["shop/web", "blog/web"]), content("old", &[])], 120_000);
        let expected =
            "NAME   CREATED   USED BY\ntls    2m ago    shop/web, blog/web\nold    2m ago\n";
        assert_eq!(shown, expected);
    }
}
