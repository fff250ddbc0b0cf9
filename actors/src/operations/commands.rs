//! The commands that the `Operations` actor answers: accepted with an id, or refused (O2).

use std::path::PathBuf;

use lanspread_fs_txn::OpId;
use lanspread_wire::GameId;
use ractor::RpcReplyPort;

use super::{
    Internal, OperationsMsg,
    state::{State, answer, shutting_down},
    table::{
        order::{Order, Request},
        rules::{Facts, check, check_known},
    },
};
use crate::{
    addr::CallError,
    api::{Command, ErrorCode, Refused},
    library::LibraryMsg,
    limits::operations::GAMES_DIR_DEADLINE,
};

impl State {
    pub(super) async fn on_start(
        &mut self,
        command: Command,
        reply: RpcReplyPort<Result<String, Refused>>,
    ) {
        let accepted = match Request::parse(command) {
            Ok(Request::Cancel { game }) => self.cancel(&game).await,
            Ok(Request::Begin { game, order }) => self.begin(game, order).await,
            Err(refused) => Err(refused),
        };
        answer(reply, accepted);
    }

    pub(super) async fn on_add(
        &mut self,
        command: Command,
        reply: RpcReplyPort<Result<(), Refused>>,
    ) {
        let accepted = match Request::parse(command) {
            Ok(Request::Begin { game, order: order @ Order::Add(_) }) => {
                self.begin(game, order).await
            }
            Ok(_) => Err(Refused::new(ErrorCode::BadCommand, "this is no `add`")),
            Err(refused) => Err(refused),
        };
        match accepted {
            Ok(operation) => {
                self.replies.insert(operation, reply);
            }
            Err(refused) => answer(reply, Err(refused)),
        }
    }

    pub(super) async fn on_park(&mut self, reply: RpcReplyPort<()>) {
        self.parking.push(reply);
        let effects = self.table.park(self.now());
        self.perform(effects).await;
    }

    /// Refused while anything runs; the folder that is shared already may be looked at any time.
    pub(super) fn on_set_games_dir(
        &mut self,
        path: PathBuf,
        reply: RpcReplyPort<Result<(), Refused>>,
    ) {
        let is_same = self.ports.local.borrow().games_dir.as_ref() == Some(&path);
        if self.table.is_parked() {
            return answer(reply, Err(shutting_down()));
        }
        if is_same {
            self.ports.library.tell(LibraryMsg::Rescan { game: None });
            return answer(reply, Ok(()));
        }
        if self.is_changing_folder || !self.table.is_idle() {
            let text = "the games folder cannot be changed while an operation runs";
            return answer(reply, Err(Refused::new(ErrorCode::OperationInProgress, text)));
        }
        self.is_changing_folder = true;
        let (library, me) = (self.ports.library.clone(), self.me.clone());
        self.tasks.spawn(async move {
            let ask = |reply| LibraryMsg::SetGamesDir { path, reply };
            let changed = match library.call(ask, GAMES_DIR_DEADLINE).await {
                Ok(changed) => changed,
                Err(error) => Err(no_answer(error)),
            };
            answer(reply, changed);
            if me.cast(OperationsMsg::Internal(Internal::FolderChanged)).is_err() {
                tracing::debug!("a change of the games folder outlived the operations");
            }
        });
    }

    async fn begin(&mut self, game: GameId, order: Order) -> Result<String, Refused> {
        if self.table.is_parked() {
            return Err(shutting_down());
        }
        if self.is_changing_folder {
            let text = "the games folder is being changed";
            return Err(Refused::of_game(ErrorCode::OperationInProgress, &game, text));
        }
        self.check(&game, &order)?;
        let operation = OpId::fresh().to_string();
        tracing::info!(%game, %operation, ?order, "begins");
        let effects = self.table.begin(game, operation.clone(), order);
        self.perform(effects).await;
        Ok(operation)
    }

    fn check(&self, game: &GameId, order: &Order) -> Result<(), Refused> {
        let catalog = self.ports.catalog.borrow().clone();
        let local = self.ports.local.borrow().clone();
        let offers = self.op_ports.market.offers(game);
        let facts = Facts {
            catalog: catalog.as_ref().as_ref(),
            local: &local,
            offers: &offers,
            is_announced: self.op_ports.market.is_announced(game),
        };
        check_known(order, game, &facts)?;
        if let Some(kind) = self.table.kind_of(game) {
            let text = format!("{game} is busy: {} is in progress", kind.verb());
            return Err(Refused::of_game(ErrorCode::OperationInProgress, game, text));
        }
        check(order, game, &facts)
    }

    async fn cancel(&mut self, game: &GameId) -> Result<String, Refused> {
        match self.table.cancel(self.now(), game) {
            Some((operation, effects)) => {
                self.perform(effects).await;
                Ok(operation)
            }
            None => {
                let text = format!("nothing is in progress for {game}");
                Err(Refused::of_game(ErrorCode::NoOperation, game, text))
            }
        }
    }
}

fn no_answer(error: CallError) -> Refused {
    let code = match error {
        CallError::Deadline => ErrorCode::Timeout,
        CallError::Absent | CallError::Died => ErrorCode::Internal,
    };
    Refused::new(code, format!("the library: {error}"))
}
