//! Commands about secrets and configs: what a deploy brings is kept while a spec refers to it, what no project
//! owns until it is removed.

use super::Now;
use crate::limits::{CLUSTER_CONTENT_BYTES, CONTENT_BYTES, EXTERNALS, PROJECT_CONTENT_BYTES};
use crate::{
    Content, ContentId, ContentKey, ContentRefusal, CreateContent, Deploy, Event, External,
    Outcome, Referred, Refusal, State,
};
use imbl::OrdSet;
use std::collections::{BTreeMap, BTreeSet};

type Applied = Result<Outcome, Refusal>;

impl State {
    /// Everything that services of a deploy are handed must be there, or come with it.
    pub(super) fn refuse_contents(&self, deploy: &Deploy) -> Result<(), Refusal> {
        for (name, spec) in &deploy.spec.services {
            for referred in spec.contents() {
                let service = || format!("{}/{name}", deploy.spec.name);
                self.refuse_content(deploy, referred, service).map_err(Refusal::Content)?;
            }
        }
        let sizes = || deploy.contents.values().map(|c| c.size);
        if let Some((id, _)) = deploy.contents.iter().find(|(_, c)| too_large(c)) {
            return Err(large(format!("a {} is", id.kind), CONTENT_BYTES));
        }
        if sizes().sum::<u64>() > PROJECT_CONTENT_BYTES as u64 {
            let what = "the secrets and configs of one project together are";
            return Err(large(what.to_owned(), PROJECT_CONTENT_BYTES));
        }
        self.refuse_more(&deploy.contents)
    }

    fn refuse_content(
        &self,
        deploy: &Deploy,
        referred: Referred,
        service: impl Fn() -> String,
    ) -> Result<(), ContentRefusal> {
        let Referred { key, external, id } = referred;
        let Some(key) = external else {
            let known = deploy.contents.contains_key(&id) || self.contents.contains_key(&id);
            return if known { Ok(()) } else { Err(ContentRefusal::NotSent(key)) };
        };
        match self.externals.get(&key) {
            Some(external) if external.version == id.version => Ok(()),
            _ => Err(ContentRefusal::MissingFor { key, service: service() }),
        }
    }

    /// Whether the cluster has room for these.
    fn refuse_more(&self, contents: &BTreeMap<ContentId, Content>) -> Result<(), Refusal> {
        let new = contents.iter().filter(|(id, _)| !self.contents.contains_key(*id));
        let new: u64 = new.map(|(_, c)| c.size).sum();
        let held: u64 = self.contents.values().map(|c| c.size).sum();
        if new > 0 && held + new > CLUSTER_CONTENT_BYTES as u64 {
            let what = "the secrets and configs of all projects together would be";
            return Err(large(what.to_owned(), CLUSTER_CONTENT_BYTES));
        }
        Ok(())
    }

    /// Takes in what is not known yet. Sealing the same twice gives different bytes: the first stay.
    pub(super) fn keep_contents(&mut self, contents: &BTreeMap<ContentId, Content>) {
        for (id, content) in contents {
            if !self.contents.contains_key(id) {
                self.contents.insert(id.clone(), content.clone());
            }
        }
    }

    /// Forgets versions that no spec in use, and none of those that no project owns, refers to.
    pub(super) fn collect_contents(&mut self) {
        if self.contents.is_empty() {
            return;
        }
        let specs = self.services.values().flat_map(|s| s.specs.values());
        let mut used: OrdSet<ContentId> =
            specs.flat_map(|spec| spec.contents().map(|referred| referred.id)).collect();
        used.extend(
            self.externals
                .iter()
                .map(|(key, e)| ContentId { kind: key.kind, version: e.version.clone() }),
        );
        let unused: BTreeSet<ContentId> =
            self.contents.keys().filter(|id| !used.contains(*id)).cloned().collect();
        for id in &unused {
            self.contents.remove(id);
        }
    }

    pub(super) fn create_content(&mut self, now: Now, create: &CreateContent) -> Applied {
        let CreateContent { key, version, content } = create;
        if self.externals.contains_key(key) {
            return Err(Refusal::Content(ContentRefusal::Exists(key.clone())));
        }
        if self.externals.len() >= EXTERNALS {
            let what = "secrets and configs that no project owns".to_owned();
            return Err(Refusal::Limit { what, limit: EXTERNALS as u64 });
        }
        if too_large(content) {
            return Err(large(format!("the {} is", key.kind), CONTENT_BYTES));
        }
        let id = ContentId { kind: key.kind, version: version.clone() };
        let contents = BTreeMap::from([(id, content.clone())]);
        self.refuse_more(&contents)?;
        self.keep_contents(&contents);
        let external = External { version: version.clone(), created: now.wall };
        self.externals.insert(key.clone(), external);
        self.record(now, Event::Content { key: key.clone(), made: true });
        Ok(Outcome::Done)
    }

    pub(super) fn remove_content(&mut self, now: Now, key: &ContentKey) -> Applied {
        if !self.externals.contains_key(key) {
            return Err(Refusal::Content(ContentRefusal::Missing(key.clone())));
        }
        let users = self.users_of(key);
        if !users.is_empty() {
            return Err(Refusal::Content(ContentRefusal::InUse { key: key.clone(), users }));
        }
        self.externals.remove(key);
        self.collect_contents();
        self.record(now, Event::Content { key: key.clone(), made: false });
        Ok(Outcome::Done)
    }
}

fn too_large(content: &Content) -> bool {
    content.size > CONTENT_BYTES as u64
}

fn large(what: String, limit: usize) -> Refusal {
    Refusal::Content(ContentRefusal::TooLarge { what, limit: limit as u64 })
}
