//! The start of a node, step by step (A7): boot, the parts in their order with the recovery of the
//! game roots before the library, then `ready`. Nothing polls: each step begins with the end of
//! the one before.

use std::sync::Arc;

use lanspread_wire::PROTOCOL_VERSION;
use ractor::ActorRef;

use super::{
    Body, Internal, NodeMsg, NodeState, Phase,
    boot::{Boot, boot},
    children::{Children, Part, Spawned},
    recovery::recover_all,
    wiring::{Wiring, wire},
};
use crate::{
    api::{Event, NodeInfo},
    control::ControlArgs,
    disk::DiskArgs,
    handle::{Outcome, StartError, Started},
    library::LibraryArgs,
    network::NetworkArgs,
    operations::OperationsArgs,
    view::{ViewArgs, ViewMsg},
};

impl NodeState {
    /// Begins the start.
    pub(super) fn boot(&mut self, me: &ActorRef<NodeMsg>) {
        let (me, config) = (me.clone(), self.config.clone());
        self.tasks.spawn_blocking(move || {
            let booted = boot(&config).map(Box::new);
            me.cast(Internal::Booted(booted).into()).ok();
        });
    }

    pub(super) fn on_booted(
        &mut self,
        me: &ActorRef<NodeMsg>,
        booted: Result<Box<Boot>, StartError>,
    ) {
        if self.phase == Phase::Stopping {
            return self.on_booted_too_late(me, booted.err());
        }
        self.set_phase(Phase::Booted);
        let boot = match booted {
            Ok(boot) => *boot,
            Err(error) => return self.fail_start(me, error),
        };
        // From here on the parts find the name that was chosen where the user might have given one.
        let mut config = (*self.config).clone();
        config.name = Some(boot.name.clone());
        self.config = Arc::new(config);
        let (identity, catalog) = (boot.identity.clone(), boot.catalog.clone());
        let (wiring, slots) = wire(self.config.clone(), identity, catalog, boot.settings.port);
        let info = NodeInfo {
            peer_id: Some(boot.identity.peer_id()),
            name: boot.name.clone(),
            addresses: Vec::new(),
            games_dir: boot.games_dir.clone(),
            state_dir: self.config.state_dir.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL_VERSION,
        };
        let children = Children::new(slots);
        self.body = Some(Body { boot, wiring, children, info, is_switching: false });
        self.start_first(me, Part::View);
    }

    fn start_first(&mut self, me: &ActorRef<NodeMsg>, part: Part) {
        self.set_phase(Phase::Starting(part));
        self.start_part(me, part);
    }

    /// Starts a part for the first time or again.
    pub(super) fn start_part(&mut self, me: &ActorRef<NodeMsg>, part: Part) {
        let Some(body) = &self.body else { return };
        let (parts, parent, wiring) = (self.parts.clone(), me.get_cell(), &body.wiring);
        match part {
            Part::View => {
                let spawning = parts.view(self.view_args(wiring), parent);
                self.spawn_task(me, async { Internal::Spawned(Spawned::View(spawning.await)) });
            }
            Part::Disk => {
                let ports_view = wiring.ports.view.clone();
                let args = DiskArgs { ports_view, disk: body.children.disk.addr() };
                let spawning = parts.disk(args, parent);
                self.spawn_task(me, async { Internal::Spawned(Spawned::Disk(spawning.await)) });
            }
            Part::Library => {
                let args = LibraryArgs {
                    ports: wiring.ports.clone(),
                    local: wiring.facts.local.clone(),
                    announced: wiring.facts.announced.clone(),
                    games_dir: body.boot.games_dir.clone(),
                };
                let spawning = parts.library(args, parent);
                self.spawn_task(me, async { Internal::Spawned(Spawned::Library(spawning.await)) });
            }
            Part::Operations => {
                let (ports, table) = (wiring.ports.clone(), wiring.facts.table.clone());
                let spawning = parts.operations(OperationsArgs { ports, table }, parent);
                self.spawn_task(me, async {
                    Internal::Spawned(Spawned::Operations(spawning.await))
                });
            }
            Part::Network => {
                let spawning = parts.network(self.network_args(body), parent);
                self.spawn_task(me, async { Internal::Spawned(Spawned::Network(spawning.await)) });
            }
            Part::Control => {
                let args = ControlArgs {
                    state_dir: self.config.state_dir.clone(),
                    commander: self.commander.clone(),
                    view: wiring.ports.view.clone(),
                };
                let spawning = parts.control(args, parent);
                self.spawn_task(me, async { Internal::Spawned(Spawned::Control(spawning.await)) });
            }
        }
    }

    fn view_args(&self, wiring: &Wiring) -> ViewArgs {
        ViewArgs {
            ports: wiring.ports.clone(),
            snapshot: self.signals.snapshot.clone(),
            events: self.signals.events.clone(),
            memory: wiring.facts.memory.clone(),
        }
    }

    fn network_args(&self, body: &Body) -> NetworkArgs {
        NetworkArgs {
            ports: body.wiring.ports.clone(),
            peer_table: body.wiring.facts.peer_table.clone(),
            slots: body.wiring.network_slots.clone(),
            port: body.wiring.facts.port.clone(),
            addresses: body.wiring.facts.addresses.clone(),
        }
    }

    /// A part has started for the first time: what comes next.
    pub(super) fn on_first_start(&mut self, me: &ActorRef<NodeMsg>, part: Part) {
        match part {
            Part::View => {
                self.introduce();
                self.start_first(me, Part::Disk);
            }
            Part::Disk => self.recover(me),
            Part::Library => self.start_first(me, Part::Operations),
            Part::Operations => self.start_first(me, Part::Network),
            Part::Network if self.config.control_socket => self.start_first(me, Part::Control),
            Part::Network | Part::Control => self.on_all_started(me),
        }
    }

    fn introduce(&mut self) {
        let Some(body) = &mut self.body else { return };
        let (info, notices) = (body.info.clone(), std::mem::take(&mut body.boot.notices));
        self.tell(ViewMsg::Node(info));
        for message in notices {
            self.tell(ViewMsg::Notice { game: None, message });
        }
    }

    /// No part but the disk runs: nothing else can touch a game root.
    fn recover(&mut self, me: &ActorRef<NodeMsg>) {
        self.set_phase(Phase::Recovering);
        let Some(body) = &self.body else { return };
        let disk = body.wiring.ports.disk.clone();
        let games_dir = body.boot.games_dir.clone();
        self.spawn_task(me, async move {
            Internal::Recovered(match games_dir {
                Some(games_dir) => recover_all(&disk, &games_dir).await,
                None => Vec::new(),
            })
        });
    }

    pub(super) fn on_recovered(&mut self, me: &ActorRef<NodeMsg>, findings: Vec<Event>) {
        if self.phase != Phase::Recovering {
            return; // it is ending
        }
        for finding in findings {
            self.tell(ViewMsg::Event(finding));
        }
        self.start_first(me, Part::Library);
    }

    /// The node goes on without a part that cannot be had.
    pub(super) fn go_on_without(&mut self, me: &ActorRef<NodeMsg>, part: Part) {
        if self.phase == Phase::Starting(part) {
            self.on_first_start(me, part);
        }
    }

    fn on_all_started(&mut self, me: &ActorRef<NodeMsg>) {
        self.set_phase(Phase::Running);
        let Some(body) = &self.body else { return };
        let addresses = body.wiring.facts.addresses.borrow().clone();
        self.follow_addresses(me);
        self.on_addresses(me, addresses);
        self.tell_health();
        let Some(body) = &self.body else { return };
        let info = body.info.clone();
        let ports = body.wiring.ports.clone();
        if let Some(ready) = ready(&info) {
            self.tell(ViewMsg::Event(ready));
        }
        let (info, ports) = (Box::new(info), Box::new(ports));
        self.signals.started.send_replace(Started::Ready { info, ports });
    }

    fn follow_addresses(&mut self, me: &ActorRef<NodeMsg>) {
        let Some(body) = &self.body else { return };
        let mut addresses = body.wiring.facts.addresses.subscribe();
        let me = me.clone();
        self.tasks.spawn(async move {
            while addresses.changed().await.is_ok() {
                let now = addresses.borrow_and_update().clone();
                if me.cast(Internal::Addresses(now).into()).is_err() {
                    return;
                }
            }
        });
    }

    /// The node cannot start at all.
    pub(super) fn fail_start(&mut self, me: &ActorRef<NodeMsg>, error: StartError) {
        self.signals.started.send_replace(Started::Failed(error.clone()));
        self.end(me, Outcome::NotStarted(error));
    }
}

fn ready(info: &NodeInfo) -> Option<Event> {
    Some(Event::Ready {
        peer_id: info.peer_id?,
        name: info.name.clone(),
        addresses: info.addresses.clone(),
        games_dir: info.games_dir.clone(),
        state_dir: info.state_dir.clone(),
        version: info.version.clone(),
        protocol: info.protocol,
    })
}
