//! Which services a service speaks of: names of its neighbours on a shared network that appear as a host
//! would in its environment, command or entry point. A guess by spelling, good enough for placing them
//! together; nothing else rests on it.

use model::{ServiceName, ServiceSpec};
use std::collections::{BTreeMap, BTreeSet};

/// Fills in `refers_to` of every service.
pub(crate) fn fill(services: &mut BTreeMap<ServiceName, ServiceSpec>) {
    let networks: BTreeMap<ServiceName, BTreeSet<String>> = services
        .iter()
        .map(|(name, spec)| (name.clone(), spec.networks.iter().cloned().collect()))
        .collect();
    for (name, spec) in services.iter_mut() {
        let words = words(spec);
        let mine = &networks[name];
        spec.refers_to = words
            .iter()
            .filter_map(|word| word.parse::<ServiceName>().ok())
            .filter(|other| other != name)
            .filter(|other| networks.get(other).is_some_and(|theirs| !theirs.is_disjoint(mine)))
            .collect();
    }
}

fn words(spec: &ServiceSpec) -> BTreeSet<String> {
    let container = &spec.container;
    let lists = [&container.command, &container.entrypoint];
    let texts = lists.into_iter().flatten().flatten().chain(container.environment.values());
    texts.flat_map(|text| hosts(text)).map(str::to_owned).collect()
}

/// The words of a text that could be host names. The scheme of a URL is none.
fn hosts(text: &str) -> impl Iterator<Item = &str> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.split(move |c| !word(c)).filter(move |w| {
        let start = w.as_ptr() as usize - text.as_ptr() as usize;
        !w.is_empty() && !text[start + w.len()..].starts_with("://")
    })
}

#[cfg(test)]
mod tests {
    use super::hosts;

    #[test]
    fn words_that_could_be_hosts() {
        let all = |t| hosts(t).collect::<Vec<_>>().join(" ");
        assert_eq!(all("redis://user:pw@cache:6379/0"), "user pw cache 6379 0");
        assert_eq!(all("db,db2;db.internal"), "db db2 db.internal");
        assert_eq!(all("--host=db -p 5432"), "--host db -p 5432");
        assert_eq!(all(""), "");
    }
}
