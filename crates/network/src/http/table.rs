//! What is answered over HTTP at this moment, shared by all lanes.

use crate::http::meter::Meter;
use crate::http::router::Router;
use crate::http::target::Target;
use crate::picture::Picture;
use crate::route::Served;
use crate::status::HttpSite;
use hyper::header::HeaderValue;
use model::{ProjectName, ServiceName, TaskId, Time};
use rustls::crypto::ring;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio_util::sync::CancellationToken;

/// A site in service: its replicas, and what was counted.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) port: u16,
    pub(crate) served: Arc<Served>,
    pub(crate) meter: Meter,
}

#[derive(Debug, Default)]
struct Table {
    router: Router,
    sites: Vec<Arc<Site>>,
    /// By rule of the router: its site, and whether requests are to come over TLS.
    rules: Vec<(usize, bool)>,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Http {
    table: RwLock<Arc<Table>>,
    /// Requests that are being answered.
    open: Arc<AtomicUsize>,
    /// First half of the numbers of requests: what tells them from those of other edges.
    edge: u64,
    number: AtomicU64,
    /// Cancelled when clients are to go elsewhere, once their requests are answered.
    pub(crate) leaving: CancellationToken,
}

impl Http {
    pub(crate) fn new() -> Self {
        let mut edge = [0; 8];
        // Numbers without a random half still name requests; they are no secret.
        let _ = ring::default_provider().secure_random.fill(&mut edge);
        Self {
            table: RwLock::default(),
            open: Arc::default(),
            edge: u64::from_ne_bytes(edge),
            number: AtomicU64::new(0),
            leaving: CancellationToken::new(),
        }
    }

    /// Answers by what `picture` says from now on. Sites that stay keep their counts. Returns the replicas that
    /// may get requests; `None` when there is no site at all.
    pub(crate) fn set(&self, picture: &Picture) -> Option<BTreeSet<TaskId>> {
        let old = self.table();
        let mut known: BTreeMap<(&ProjectName, &ServiceName, u16), &Arc<Site>> = old
            .sites
            .iter()
            .map(|site| ((&site.served.project, &site.served.service, site.port), site))
            .collect();
        let mut sites = Vec::new();
        for site in picture.sites.iter() {
            let kept = known.remove(&(&site.project, &site.service, site.port)).map(Arc::clone);
            let kept = kept.unwrap_or_else(|| {
                let served = Served::of(site.project.clone(), site.service.clone());
                Arc::new(Site {
                    port: site.port,
                    served: Arc::new(served),
                    meter: Meter::default(),
                })
            });
            kept.served.set_backends(&site.backends, site.port);
            sites.push(kept);
        }
        let all = picture.sites.iter().enumerate();
        let all = all.flat_map(|(i, site)| {
            site.matches.iter().map(move |rule| (rule, (i, site.secured.contains(rule))))
        });
        let (matches, rules): (Vec<_>, Vec<_>) = all.unzip();
        let router = Router::new(matches.into_iter().zip(0..));
        let table = Table { router, sites, rules };
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        let backends = picture.sites.iter().flat_map(|site| &site.backends);
        let serving = backends.filter(|b| b.serving).map(|b| b.task).collect();
        (!picture.sites.is_empty()).then_some(serving)
    }

    /// Whose a request is, and whether it is to come over TLS.
    pub(crate) fn site(&self, target: &Target) -> Option<(Arc<Site>, bool)> {
        let table = self.table();
        let found = table.router.route(target.host.as_deref(), &target.path)?;
        let &(site, secured) = table.rules.get(found)?;
        Some((Arc::clone(table.sites.get(site)?), secured))
    }

    /// What every site's requests may do to their node and its replicas.
    pub(crate) fn each(&self, mut act: impl FnMut(&Served)) {
        self.table().sites.iter().for_each(|site| act(&site.served));
    }

    /// Room for one more request among `most`, until the guard is dropped.
    pub(crate) fn enter(&self, most: usize) -> Option<Request> {
        let request = Request(Arc::clone(&self.open));
        (self.open.fetch_add(1, Ordering::Relaxed) < most).then_some(request)
    }

    /// A number for a request that no other has.
    pub(crate) fn number(&self) -> HeaderValue {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:016x}{number:016x}", self.edge);
        HeaderValue::from_str(&text).expect("digits are a header's value")
    }

    /// How the sites are.
    pub(crate) fn status(&self, now: Time) -> Vec<HttpSite> {
        let site = |site: &Arc<Site>| HttpSite {
            project: site.served.project.clone(),
            service: site.served.service.clone(),
            port: site.port,
            ejected: site.served.ejected(now),
            counts: site.served.counters.counts(),
            http: site.meter.counts(),
        };
        self.table().sites.iter().map(site).collect()
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One request's share of the limit.
#[derive(Debug)]
pub(crate) struct Request(Arc<AtomicUsize>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
