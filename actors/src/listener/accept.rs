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
    handshakes: JoinSet<Result<(), Failure>>,
    notes: Bucket,
    /// Counted since the last flush: a flood must not fill the mailbox of `View`.
    counts: BTreeMap<&'static str, u64>,
    flush_at: Instant,
}

/// Why an incoming connection was not handed over.
enum Failure {
    /// We refused it: worth telling.
    Refused(Rejection),
    /// It came to no end, or the other side did not want us: that happens.
    Broken(SocketAddr, String),
}

/// An incoming connection that we refused.
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
            Err(error) => self.on_failure(Failure::new(address, None, &error)),
        }
    }

    fn on_handshake_end(&mut self, ended: Result<Result<(), Failure>, JoinError>) {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => self.on_failure(failure),
            Err(error) => tracing::error!(%error, "a handshake task died"),
        }
    }

    fn on_failure(&mut self, failure: Failure) {
        match failure {
            Failure::Refused(rejection) => self.note(rejection),
            Failure::Broken(address, why) => {
                self.count("handshakes-broken");
                tracing::debug!(%address, why, "an incoming handshake came to nothing");
            }
        }
    }

    /// Tells the user of a refusal; a flood of them is only counted.
    fn note(&mut self, rejection: Rejection) {
        self.count("handshakes-refused");
        if self.notes.take(Instant::now()).is_ok() {
            let Rejection { address, claimed: claimed_id, code, message } = rejection;
            tracing::info!(%address, ?claimed_id, code, message, "incoming connection refused");
            let code = code.to_owned();
            let event = Event::PeerRejected { address, claimed_id, code, message };
            self.args.ports.view.tell(ViewMsg::Event(event));
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
    async fn run(mut self, connecting: quinn::Connecting) -> Result<(), Failure> {
        let address = self.address;
        let broken = |why: &str| Failure::Broken(address, why.to_owned());
        let connection = timeout(limits::HANDSHAKE_DEADLINE, connecting)
            .await
            .map_err(|_| broken("it took too long"))?
            .map_err(|error| Failure::new(address, self.claim.get(), &error))?;
        let Some(peer) = tls::proved(&connection) else {
            close(&connection, CloseCode::AuthRequired);
            let claimed = self.claim.get();
            return Err(Failure::Refused(Rejection::unproved(address, claimed, "no key")));
        };
        if !self.admission.prove() {
            close(&connection, CloseCode::Limit);
            return Err(Failure::Refused(Rejection {
                address,
                claimed: Some(peer),
                code: CloseCode::Limit.code(),
                message: format!("{address} has more connections than one address gets"),
            }));
        }
        let admission = self.admission;
        let message = PeersMsg::Incoming { peer, connection, admission };
        match self.ports.peers.cast(message) {
            Err(PeersMsg::Incoming { connection, .. }) => {
                close(&connection, CloseCode::Internal);
                Err(broken("this node is restarting a part of itself"))
            }
            _ => Ok(()),
        }
    }
}

fn close(connection: &quinn::Connection, code: CloseCode) {
    connection.close(code.as_u32().into(), code.code().as_bytes());
}

impl Failure {
    fn new(address: SocketAddr, claimed: Option<PeerId>, error: &ConnectionError) -> Self {
        // An alert of the other side means that it refused us, or gave up.
        let ours = matches!(error, ConnectionError::TransportError(_));
        match tls::alert_of(error).filter(|_| ours) {
            Some(alert) => Self::Refused(Rejection::new(address, claimed, alert, error)),
            None => Self::Broken(address, error.to_string()),
        }
    }
}

impl Rejection {
    fn new(
        address: SocketAddr,
        claimed: Option<PeerId>,
        alert: u8,
        error: &ConnectionError,
    ) -> Self {
        let (code, message) = match alert {
            // Our verifier accepts anybody but ourselves.
            alert::ACCESS_DENIED => {
                (CloseCode::SelfConnect, format!("{address} uses the identity of this node"))
            }
            alert::NO_APPLICATION_PROTOCOL => {
                let ours = String::from_utf8_lossy(lanspread_wire::ALPN);
                let text = format!("{address} speaks another protocol than {ours}");
                (CloseCode::VersionMismatch, text)
            }
            _ => return Self::unproved(address, claimed, &error.to_string()),
        };
        Self { address, claimed, code: code.code(), message }
    }

    fn unproved(address: SocketAddr, claimed: Option<PeerId>, why: &str) -> Self {
        let who = claimed
            .map_or_else(|| "who it is".to_owned(), |peer| format!("that it is {}", peer.short()));
        Self {
            address,
            claimed,
            code: CloseCode::AuthRequired.code(),
            message: format!("{address} did not prove {who}: {why}"),
        }
    }
}
