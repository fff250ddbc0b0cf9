//! The accept loop: one gate decision per attempt, one bounded task per handshake.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use lanspread_wire::{CloseCode, PeerId};
use quinn::{ConnectionError, Incoming};
use tokio::{
    task::{JoinError, JoinSet, consume_budget},
    time::{Instant, sleep_until, timeout},
};

use super::{
    ListenerArgs,
    gate::{Admission, Attempt, Verdict},
};
use crate::{
    api::Event,
    net::{
        addresses::canonical,
        bucket::Bucket,
        endpoint::{BindError, server_config},
        limits,
        tls::{self, Claim, alert},
    },
    peers::PeersMsg,
    ports::Ports,
    view::ViewMsg,
};

/// The accept loop and what it needs.
pub(super) struct Acceptor {
    args: ListenerArgs,
    /// Settings of every accepted connection; the keys are made anew for each, to name its claim.
    settings: quinn::ServerConfig,
    handshakes: JoinSet<Option<Rejection>>,
    notes: Bucket,
    /// Counted since the last flush: a flood must not fill the mailbox of `View`.
    counts: BTreeMap<&'static str, u64>,
    flush_at: Instant,
}

/// An incoming connection that was not handed over.
struct Rejection {
    address: SocketAddr,
    claimed: Option<PeerId>,
    code: &'static str,
    message: String,
}

impl Acceptor {
    pub(super) fn new(args: ListenerArgs) -> Result<Self, BindError> {
        let settings = server_config(&args.ports.identity)?.0;
        let now = Instant::now();
        Ok(Self {
            args,
            settings,
            handshakes: JoinSet::new(),
            notes: Bucket::new(limits::REJECTIONS_BURST_MAX, limits::REJECTION_PAUSE, now),
            counts: BTreeMap::new(),
            flush_at: now,
        })
    }

    /// Accepts until the endpoint accepts nothing any more.
    pub(super) async fn run(mut self) -> String {
        loop {
            // Attempts may come without end; other tasks of this thread must have their turn.
            consume_budget().await;
            tokio::select! {
                biased;
                () = sleep_until(self.flush_at), if !self.counts.is_empty() => self.flush(),
                Some(ended) = self.handshakes.join_next() => self.on_handshake_end(ended),
                incoming = self.args.endpoint.accept() => match incoming {
                    Some(incoming) => self.on_incoming(incoming),
                    None => return "the endpoint accepts nothing any more".to_owned(),
                },
            }
        }
    }

    fn on_incoming(&mut self, incoming: Incoming) {
        let attempt = self.attempt(&incoming);
        match self.args.gate.admit(&attempt) {
            Ok(admission) => self.begin(incoming, admission),
            Err(verdict) => {
                let counter = match verdict {
                    Verdict::Retry => "incoming-retried",
                    Verdict::Refuse => "incoming-refused",
                    Verdict::Ignore | Verdict::Accept => "incoming-ignored",
                };
                self.count(counter);
                turn_away(incoming, verdict);
            }
        }
    }

    fn count(&mut self, counter: &'static str) {
        if self.counts.is_empty() {
            self.flush_at = Instant::now() + limits::COUNTS_FLUSH_AFTER;
        }
        *self.counts.entry(counter).or_default() += 1;
    }

    fn flush(&mut self) {
        for (counter, by) in std::mem::take(&mut self.counts) {
            self.args.ports.view.tell(ViewMsg::Count { counter, by });
        }
    }

    fn attempt(&self, incoming: &Incoming) -> Attempt {
        let ip = incoming.remote_address().ip().to_canonical();
        let interfaces = self.args.interfaces.borrow();
        let is_own = |ip| interfaces.iter().any(|own| own.ip == ip);
        let is_restricted = !self.args.ports.config.interfaces.is_empty();
        let reached = incoming.local_ip().map(|ip| ip.to_canonical());
        Attempt {
            ip,
            validated: incoming.remote_address_validated(),
            is_for_us: !is_restricted || reached.is_none_or(is_own),
            is_here: ip.is_loopback() || is_own(ip),
            connections: self.args.endpoint.open_connections(),
        }
    }

    fn begin(&mut self, incoming: Incoming, admission: Admission) {
        let address = canonical(incoming.remote_address());
        let (crypto, claim) = match tls::server(&self.args.ports.identity) {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(%error, "cannot make the settings of a connection");
                incoming.refuse();
                return;
            }
        };
        let mut settings = self.settings.clone();
        settings.crypto = Arc::new(crypto);
        match incoming.accept_with(Arc::new(settings)) {
            Ok(connecting) => {
                let ports = self.args.ports.clone();
                let handshake = Handshake { address, claim, admission, ports };
                self.handshakes.spawn(handshake.run(connecting));
            }
            Err(error) => self.note(&Rejection::new(address, None, &error)),
        }
    }

    fn on_handshake_end(&mut self, ended: Result<Option<Rejection>, JoinError>) {
        match ended {
            Ok(None) => {}
            Ok(Some(rejection)) => self.note(&rejection),
            Err(error) => tracing::error!(%error, "a handshake task died"),
        }
    }

    /// Tells the user of a refusal; a flood of them is only counted.
    fn note(&mut self, rejection: &Rejection) {
        let Rejection { address, claimed, code, message } = rejection;
        self.count("handshakes-failed");
        if self.notes.take(Instant::now()).is_ok() {
            tracing::info!(%address, ?claimed, code, message, "incoming connection refused");
            self.args.ports.view.tell(ViewMsg::Event(Event::PeerRejected {
                address: *address,
                claimed_id: *claimed,
                code: (*code).to_owned(),
                message: message.clone(),
            }));
        }
    }
}

fn turn_away(incoming: Incoming, verdict: Verdict) {
    match verdict {
        Verdict::Retry => {
            if let Err(error) = incoming.retry() {
                // It has come back from a retry already; nothing is gained by another.
                error.into_incoming().ignore();
            }
        }
        Verdict::Refuse => incoming.refuse(),
        Verdict::Ignore | Verdict::Accept => incoming.ignore(),
    }
}

/// One handshake, from the gate to `Peers`.
struct Handshake {
    address: SocketAddr,
    claim: Claim,
    admission: Admission,
    ports: Ports,
}

impl Handshake {
    async fn run(mut self, connecting: quinn::Connecting) -> Option<Rejection> {
        let address = self.address;
        let connection = match timeout(limits::HANDSHAKE_DEADLINE, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Some(Rejection::new(address, self.claim.get(), &error)),
            Err(_) => return Some(Rejection::timed_out(address, self.claim.get())),
        };
        let Some(peer) = tls::proved(&connection) else {
            close(&connection, CloseCode::AuthRequired);
            return Some(Rejection::unproved(address, self.claim.get(), "it showed no key"));
        };
        if !self.admission.prove() {
            close(&connection, CloseCode::Limit);
            return Some(Rejection {
                address,
                claimed: Some(peer),
                code: CloseCode::Limit.code(),
                message: format!("{address} has more connections than one address gets"),
            });
        }
        let admission = self.admission;
        let message = PeersMsg::Incoming { peer, connection, admission };
        if let Err(PeersMsg::Incoming { connection, .. }) = self.ports.peers.cast(message) {
            // `Peers` is restarting; who dialled tries again.
            close(&connection, CloseCode::Internal);
        }
        None
    }
}

fn close(connection: &quinn::Connection, code: CloseCode) {
    connection.close(code.as_u32().into(), code.code().as_bytes());
}

impl Rejection {
    fn new(address: SocketAddr, claimed: Option<PeerId>, error: &ConnectionError) -> Self {
        let code = match tls::alert_of(error) {
            // Our verifier accepts anybody but ourselves.
            Some(alert::ACCESS_DENIED) => CloseCode::SelfConnect,
            Some(alert::NO_APPLICATION_PROTOCOL) => CloseCode::VersionMismatch,
            Some(_) => CloseCode::AuthRequired,
            None => {
                let message = format!("the handshake with {address} failed: {error}");
                return Self { address, claimed, code: "handshake-failed", message };
            }
        };
        let message = match code {
            CloseCode::SelfConnect => format!("{address} uses the identity of this node"),
            CloseCode::VersionMismatch => format!(
                "{address} speaks another protocol than {}",
                String::from_utf8_lossy(lanspread_wire::ALPN)
            ),
            _ => return Self::unproved(address, claimed, &error.to_string()),
        };
        Self { address, claimed, code: code.code(), message }
    }

    fn unproved(address: SocketAddr, claimed: Option<PeerId>, why: &str) -> Self {
        let who = claimed.map_or_else(String::new, |peer| format!(" that it is {}", peer.short()));
        Self {
            address,
            claimed,
            code: CloseCode::AuthRequired.code(),
            message: format!("{address} did not prove{who}: {why}"),
        }
    }

    fn timed_out(address: SocketAddr, claimed: Option<PeerId>) -> Self {
        let message = format!("{address} did not finish its handshake in time");
        Self { address, claimed, code: "handshake-timeout", message }
    }
}
