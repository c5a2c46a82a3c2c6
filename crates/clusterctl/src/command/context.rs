//! `context`: certificates for people, and which one to use.

use crate::args::{Context as Words, Global};
use crate::contexts::{Context, LOCAL, write_secret};
use crate::failure::{Failure, chain};
use crate::out::Out;
use crate::retry;
use crate::session::{Session, contexts};
use crate::table::Table;
use api::v1::CertifyRequest;
use identity::KeyRequest;
use serde_json::json;
use std::path::{Path, PathBuf};

pub(crate) async fn run(out: Out, global: &Global, words: Words) -> Result<(), Failure> {
    match words {
        Words::New { name, out: file } => {
            let session = Session::new(out, global.clone())?;
            new(&session, &name, file).await
        }
        Words::Import { file, name } => import(out, &file, name),
        Words::Ls => list(out, global),
        Words::Use { name } => {
            contexts()?.choose(&name)?;
            let text = if name == LOCAL {
                "the socket of this host".into()
            } else {
                format!("context {name}")
            };
            out.either(|| format!("Using {text}.\n"), || json!({"current": name}))
        }
        Words::Rm { name } => {
            contexts()?.remove(&name)?;
            out.either(
                || format!("Context {name} is forgotten here; its certificate counts until it expires.\n"),
                || json!({"removed": name}),
            )
        }
    }
}

async fn new(session: &Session, name: &str, file: Option<PathBuf>) -> Result<(), Failure> {
    let request = KeyRequest::generate().map_err(|e| Failure::refused(chain(&e)))?;
    let reply = retry::read(&session.cluster, async |mut client| {
        client.certify(CertifyRequest { csr: request.csr_der.clone(), name: name.into() }).await
    })
    .await?;
    let context = Context {
        cluster: reply.cluster,
        members: reply.members.into_iter().map(|m| m.address).collect(),
        authority: reply.authority,
        certificate: reply.certificate,
        key: request.key_pem.to_string(),
    };
    let path = match &file {
        Some(file) => {
            write_secret(file, &context.to_text())?;
            file.clone()
        }
        None => contexts()?.store(name, &context)?,
    };
    let shown = path.display().to_string();
    let next = match file {
        Some(_) => format!(
            "Take it to the other host by a safe way and run there:\n\n    clusterctl context import --name {name} {shown}\n"
        ),
        None => format!(
            "Use it with --context {name}, or by default after `clusterctl context use {name}`."
        ),
    };
    session.out.say(&next);
    session.out.either(
        || format!("{shown}: holds a key; whoever has it administers the cluster.\n"),
        || json!({"name": name, "file": shown, "members": context.members}),
    )
}

fn import(out: Out, file: &Path, name: Option<String>) -> Result<(), Failure> {
    let context = Context::read(file)?;
    let stem = || file.file_stem().map(|s| s.to_string_lossy().into_owned());
    let name = name.or_else(stem).filter(|n| n != "-").ok_or_else(|| {
        Failure::usage("a context from standard input has no name").next("give it one: --name NAME")
    })?;
    let path = contexts()?.store(&name, &context)?;
    out.say(&format!("Remove {} now; the key is kept in {}.", file.display(), path.display()));
    out.either(
        || format!("Context {name} is here; use it with --context {name}.\n"),
        || json!({"name": name, "file": path.display().to_string(), "members": context.members}),
    )
}

fn list(out: Out, global: &Global) -> Result<(), Failure> {
    let contexts = contexts()?;
    let current = global.context.clone().or_else(|| contexts.current());
    let current = current.unwrap_or_else(|| LOCAL.to_owned());
    let mut table = Table::new(&["NAME", "CURRENT", "CLUSTER", "MEMBERS", "PROBLEM"]);
    let mut documents = Vec::new();
    let mark = |name: &str| if name == current { "*".to_owned() } else { String::new() };
    table.row([LOCAL.to_owned(), mark(LOCAL)]);
    for name in contexts.names()? {
        let (cluster, members, problem) = match contexts.load(&name) {
            Ok(context) => (context.cluster, context.members, String::new()),
            Err(failure) => (String::new(), Vec::new(), failure.message),
        };
        documents.push(json!({
            "name": name, "current": name == current, "cluster": cluster, "members": members,
            "problem": problem,
        }));
        table.row([name.clone(), mark(&name), cluster, members.join(" "), problem]);
    }
    out.either(|| table.render(), || documents.into())
}
