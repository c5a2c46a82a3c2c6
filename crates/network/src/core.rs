//! What all parts of a running edge share, and how a new picture takes effect.

use crate::clock::Clock;
use crate::counters::{Counters, count};
use crate::door::{Behind, Door};
use crate::edge::Config;
use crate::http::{Entrances, Http};
use crate::inbound::Guards;
use crate::lane::Lane;
use crate::limits::{CLIENT_SHARE, FLOWS, FLOWS_PER_ADDRESS, OTHER_FILES, STRANGERS_EVERY};
use crate::peer;
use crate::picture::{Bind, Current, Picture};
use crate::remark::Remark;
use crate::route::Served;
use crate::security::CertificatePair;
use crate::status::{Link, PublishedPort};
use crate::tally::{Inside, Tally};
use model::{NodeId, Time};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A running edge.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    /// Where accepting and everything that is not carrying runs.
    pub(crate) main: Handle,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) picture: watch::Sender<Arc<Current>>,
    pub(crate) guards: Guards,
    /// What is carried to replicas here on behalf of other edges.
    pub(crate) for_others: Counters,
    /// Connections refused because as many as may be were open.
    pub(crate) refused: AtomicU64,
    /// Connections to the edge port that did not come from a node of the cluster.
    pub(crate) strangers: AtomicU64,
    stranger_remarked: AtomicU64,
    misspoken_remarked: AtomicU64,
    /// What is answered over HTTP, and through which doors.
    pub(crate) http: Http,
    pub(crate) entrances: Entrances,
    clients: Arc<Tally<IpAddr>>,
    flows: Arc<Tally<IpAddr>>,
    /// Most connections carried at once.
    pub(crate) most: usize,
    carried: Arc<AtomicUsize>,
    turn: AtomicUsize,
    routes: Mutex<BTreeMap<Bind, Arc<Served>>>,
    doors: Mutex<BTreeMap<Bind, Door>>,
    admissions: Mutex<BTreeMap<NodeId, CancellationToken>>,
    down: Mutex<BTreeSet<NodeId>>,
    mesh_trouble: Mutex<Option<String>>,
}

impl Core {
    pub(crate) fn new(config: Config, lanes: Vec<Lane>) -> Self {
        let most = config.connections.min(affordable_connections(config.connections));
        Self {
            most,
            clients: Arc::new(Tally::new(usize::MAX, most.div_ceil(CLIENT_SHARE))),
            flows: Arc::new(Tally::new(FLOWS, FLOWS_PER_ADDRESS)),
            strangers: AtomicU64::new(0),
            stranger_remarked: AtomicU64::new(0),
            misspoken_remarked: AtomicU64::new(0),
            config,
            clock: Clock::start(),
            main: Handle::current(),
            lanes,
            picture: watch::Sender::new(Arc::new(Current::new(None))),
            guards: Guards::default(),
            for_others: Counters::default(),
            refused: AtomicU64::new(0),
            http: Http::new(),
            entrances: Entrances::default(),
            carried: Arc::default(),
            turn: AtomicUsize::new(0),
            routes: Mutex::default(),
            doors: Mutex::default(),
            admissions: Mutex::default(),
            down: Mutex::default(),
            mesh_trouble: Mutex::default(),
        }
    }

    /// Serves from `picture` from now on, unless it is older than the one in force. Returns whether it does.
    pub(crate) fn serve(self: &Arc<Self>, picture: Picture) -> bool {
        // Held to the end: pictures take effect one after the other.
        let mut doors = lock(&self.doors);
        let stale = self.picture.borrow().picture.as_ref().is_some_and(|p| !picture.supersedes(p));
        if stale {
            return false;
        }
        self.set_routes(&picture);
        let serving = self.http.set(&picture);
        let replicas = serving.clone().unwrap_or_default();
        self.lanes.iter().for_each(|lane| lane.pool.serve(&replicas));
        self.set_admissions(&picture);
        let remotes = picture.remotes();
        self.picture.send_replace(Arc::new(Current::new(Some(picture))));
        for (lane, place) in self.lanes.iter().enumerate() {
            for peer in place.set_peers(&remotes) {
                place.handle.spawn(peer::tend(Arc::clone(self), lane, peer));
            }
        }
        let binds: BTreeSet<Bind> = lock(&self.routes).keys().copied().collect();
        doors.retain(|bind, _| binds.contains(bind));
        for bind in binds {
            doors.entry(bind).or_insert_with(|| Door::open(self, bind, Behind::Service));
        }
        self.entrances.set(self, serving.is_some());
        true
    }

    /// Shows these certificates of services from now on, and opens the port for them when there is any.
    pub(crate) fn certify(self: &Arc<Self>, pairs: &[CertificatePair]) {
        let any = self.config.http.take.as_ref().is_none_or(|take| take(pairs));
        self.entrances.certify(self, any);
    }

    fn set_routes(&self, picture: &Picture) {
        let mut routes = lock(&self.routes);
        let mut old = std::mem::take(&mut *routes);
        for route in picture.ports() {
            let bind = Bind::from(route.port);
            let same = old.remove(&bind).filter(|served| served.belongs_to(route));
            let served = same.unwrap_or_else(|| Arc::new(Served::new(route)));
            served.set(route);
            // The manager refuses two services that want one port; should it happen, the first has it.
            routes.entry(bind).or_insert(served);
        }
    }

    fn set_admissions(&self, picture: &Picture) {
        let nodes: BTreeSet<NodeId> = picture.nodes.iter().map(|n| n.id).collect();
        lock(&self.admissions).retain(|node, admitted| {
            let stays = nodes.contains(node);
            if !stays {
                admitted.cancel();
            }
            stays
        });
    }

    /// Cancelled when `node` is no longer one of the cluster. Ask only for nodes that are.
    pub(crate) fn admission(&self, node: NodeId) -> CancellationToken {
        lock(&self.admissions).entry(node).or_default().clone()
    }

    /// What is served on `bind`.
    pub(crate) fn served(&self, bind: Bind) -> Option<Arc<Served>> {
        lock(&self.routes).get(&bind).cloned()
    }

    /// The node this edge runs on; 0, which is nobody, before the first picture.
    pub(crate) fn node(&self) -> NodeId {
        self.picture.borrow().picture.as_ref().map_or(NodeId(0), |p| p.node)
    }

    /// The lane whose turn it is.
    pub(crate) fn next_lane(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.lanes.len()
    }

    /// Room for one more connection, if there is; counted when there is not.
    pub(crate) fn slot(&self) -> Option<Slot> {
        if self.carried.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(Slot { _carried: Carried(Arc::clone(&self.carried)), _client: None });
        }
        self.carried.fetch_sub(1, Ordering::Relaxed);
        count(&self.refused);
        None
    }

    /// Room for one more connection of a client, who must not have its share already.
    pub(crate) fn client_slot(&self, client: IpAddr) -> Option<Slot> {
        self.slot_of(client, self.slot()?)
    }

    /// Makes a connection's place that of a client, who must not have its share already.
    pub(crate) fn slot_of(&self, client: IpAddr, slot: Slot) -> Option<Slot> {
        let Some(inside) = self.clients.enter(network_of(client)) else {
            count(&self.refused);
            return None;
        };
        Some(Slot { _client: Some(inside), ..slot })
    }

    /// Whether what connects from `address` says by a PROXY header who the client is.
    pub(crate) fn proxied(&self, address: IpAddr) -> bool {
        self.config.proxied_from.iter().any(|source| source.contains(address))
    }

    /// Room for one more flow of datagrams of a client, among those and among all connections.
    pub(crate) fn flow_slot(&self, client: IpAddr) -> Option<Slot> {
        let Some(inside) = self.flows.enter(network_of(client)) else {
            count(&self.refused);
            return None;
        };
        let slot = self.slot()?;
        Some(Slot { _client: Some(inside), ..slot })
    }

    /// Connections carried now.
    pub(crate) fn carried(&self) -> usize {
        self.carried.load(Ordering::Relaxed)
    }

    pub(crate) fn link_down(&self, node: NodeId, why: &str) {
        let now = self.clock.now();
        for served in lock(&self.routes).values() {
            served.node_failed(now, node);
        }
        self.http.each(|served| served.node_failed(now, node));
        if lock(&self.down).insert(node) {
            self.remark(&Remark::LinkDown { node, why: why.into() });
        }
    }

    pub(crate) fn link_up(&self, node: NodeId) {
        for served in lock(&self.routes).values() {
            served.node_back(node);
        }
        self.http.each(|served| served.node_back(node));
        if lock(&self.down).remove(&node) {
            self.remark(&Remark::LinkUp { node });
        }
    }

    /// Someone at the edge port was refused.
    pub(crate) fn stranger(&self, from: SocketAddr, why: String) {
        count(&self.strangers);
        self.seldom(&self.stranger_remarked, &Remark::Stranger { from, why });
    }

    /// A balancer's connection did not begin with a PROXY header.
    pub(crate) fn misspoken(&self, from: SocketAddr, why: String) {
        self.seldom(&self.misspoken_remarked, &Remark::Misspoken { from, why });
    }

    /// Remarks on what outsiders can make happen as often as they like.
    fn seldom(&self, last: &AtomicU64, remark: &Remark) {
        let now = self.clock.now();
        if now.since(Time(last.load(Ordering::Relaxed))) >= STRANGERS_EVERY {
            last.store(now.millis(), Ordering::Relaxed);
            self.remark(remark);
        }
    }

    pub(crate) fn set_mesh_trouble(&self, trouble: Option<String>) {
        *lock(&self.mesh_trouble) = trouble;
    }

    /// What keeps the mesh from being as it should.
    pub(crate) fn mesh_trouble(&self) -> Option<String> {
        lock(&self.mesh_trouble).clone()
    }

    pub(crate) fn remark(&self, remark: &Remark) {
        (self.config.observe)(remark);
    }

    /// Stops listening on published and shared ports; clients of the latter are sent elsewhere.
    pub(crate) fn close_doors(&self) {
        lock(&self.doors).clear();
        self.entrances.close();
        self.http.leaving.cancel();
    }

    /// The published ports as they are served here.
    pub(crate) fn ports(&self) -> Vec<PublishedPort> {
        let now = self.clock.now();
        let doors = lock(&self.doors);
        let port = |(bind, served): (&Bind, &Arc<Served>)| PublishedPort {
            bind: *bind,
            project: served.project.clone(),
            service: served.service.clone(),
            state: doors.get(bind).map(Door::state).unwrap_or_default(),
            ejected: served.ejected(now),
            counts: served.counters.counts(),
        };
        lock(&self.routes).iter().map(port).collect()
    }

    /// The nodes with replicas, and whether they can be reached from here.
    pub(crate) fn links(&self) -> Vec<Link> {
        let mut links = BTreeMap::new();
        for peer in self.lanes.iter().flat_map(Lane::peers) {
            *links.entry(peer.node).or_insert(true) &= peer.reachable();
        }
        links.into_iter().map(|(node, reachable)| Link { node, reachable }).collect()
    }
}

/// One connection's share of the limit; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _carried: Carried,
    _client: Option<Inside<IpAddr>>,
}

#[derive(Debug)]
struct Carried(Arc<AtomicUsize>);

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What counts as one client: an IPv4 address, or the network of 64 bits that an IPv6 host commands.
fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Raises the limit of open files as far as needed and allowed. Returns for how many connections it does.
fn affordable_connections(wanted: usize) -> usize {
    let needed = 2 * wanted as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let mut files = limit.current.unwrap_or(u64::MAX);
    if files < needed {
        let raised = Rlimit { current: Some(needed.min(most)), maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            files = needed.min(most);
        }
    }
    // Where there are few files at all, connections get most of them.
    (files.saturating_sub(OTHER_FILES.min(files / 4)) / 2).max(1) as usize
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
