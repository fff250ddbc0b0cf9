//! The first step of a start: locks, settings, key, catalog. Blocking; nothing of the node runs
//! yet.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use lanspread_fs_txn::{
    lock::{FolderLock, FolderLockError},
    vfs::{Dir, RealVfs, Vfs, shown},
};
use lanspread_wire::{Catalog, DisplayName};

use crate::{
    api::ErrorCode,
    config::NodeConfig,
    handle::StartError,
    library::{catalog, folder},
    net::identity::Identity,
    settings::{Settings, made_up_name},
};

/// What other programs are told about who holds a folder.
const PROGRAM: &str = concat!("lanspread ", env!("CARGO_PKG_VERSION"));

/// What a node is made of before its parts start.
pub(crate) struct Boot {
    pub(crate) state_dir: Arc<dyn Dir>,
    pub(crate) settings: Settings,
    pub(crate) name: String,
    pub(crate) identity: Arc<Identity>,
    pub(crate) catalog: Arc<Option<Catalog>>,
    pub(crate) games_dir: Option<PathBuf>,
    pub(crate) locks: Locks,
    /// What the user should know.
    pub(crate) notices: Vec<String>,
}

/// The folders that belong to this process as long as the value lives.
pub(crate) struct Locks {
    pub(crate) _state: FolderLock,
    /// Absent while no folder is chosen, or where the folder allows no lock (read only).
    pub(crate) games: Option<FolderLock>,
}

/// Takes the locks and reads what a start needs.
pub(crate) fn boot(config: &NodeConfig) -> Result<Boot, StartError> {
    let state_dir = open_state_dir(&config.state_dir)?;
    let state_lock = FolderLock::acquire(state_dir.clone(), PROGRAM)
        .map_err(|error| locked(&error, ErrorCode::StateDirBusy))?;
    let mut notices = Vec::new();
    let loaded = Settings::load(&*state_dir).map_err(|error| io(&error))?;
    notices.extend(loaded.notice);
    let mut settings = loaded.settings;
    let found = Identity::load_or_create(&config.state_dir).map_err(|error| io(&error))?;
    notices.extend(found.notice);
    let catalog = catalog::load(&RealVfs, config.catalog.as_deref())
        .map_err(|error| StartError { code: ErrorCode::BadCatalog, message: error.to_string() })?;
    let games_dir = choose_games_dir(config, &mut settings, &mut notices)?;
    let games_lock = match &games_dir {
        Some(path) => lock_games_dir(path, &mut notices)?,
        None => None,
    };
    let name = choose_name(config, &mut settings)?;
    settings.save(&*state_dir).map_err(|error| io(&error))?;
    Ok(Boot {
        state_dir,
        settings,
        name,
        identity: Arc::new(found.identity),
        catalog,
        games_dir,
        locks: Locks { _state: state_lock, games: games_lock },
        notices,
    })
}

fn open_state_dir(path: &Path) -> Result<Arc<dyn Dir>, StartError> {
    let dir = RealVfs.create_root(path).map_err(|error| io(&error))?;
    // The control socket stands in it, and the key: nobody else has any business here (T71).
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(path, mode).map_err(|error| StartError {
            code: ErrorCode::Io,
            message: format!("the state folder {}: {error}", shown(path)),
        })?;
    }
    Ok(dir)
}

/// A folder of the command line must be good; one of the settings may be away for a while (T68).
fn choose_games_dir(
    config: &NodeConfig,
    settings: &mut Settings,
    notices: &mut Vec<String>,
) -> Result<Option<PathBuf>, StartError> {
    let Some(given) = &config.games_dir else {
        if let Some(path) = &settings.games_dir
            && let Err(error) = folder::validate(&RealVfs, path)
        {
            notices.push(error.to_string());
        }
        return Ok(settings.games_dir.clone());
    };
    let bad = |message| StartError { code: ErrorCode::BadGamesDir, message };
    let path = std::path::absolute(given)
        .map_err(|error| bad(format!("the games folder {}: {error}", shown(given))))?;
    folder::validate(&RealVfs, &path).map_err(|error| bad(error.to_string()))?;
    settings.games_dir = Some(path.clone());
    Ok(Some(path))
}

/// Locks a games folder for this process. A folder that is away or allows no lock is no obstacle.
pub(super) fn lock_games_dir(
    path: &Path,
    notices: &mut Vec<String>,
) -> Result<Option<FolderLock>, StartError> {
    let taken = RealVfs
        .open_root(path)
        .map_err(FolderLockError::Fs)
        .and_then(|dir| FolderLock::acquire(dir, PROGRAM));
    match taken {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ FolderLockError::Held { .. }) => Err(locked(&error, ErrorCode::GamesDirBusy)),
        Err(error) => {
            notices.push(format!("the games folder is used without a lock: {error}"));
            Ok(None)
        }
    }
}

fn choose_name(config: &NodeConfig, settings: &mut Settings) -> Result<String, StartError> {
    if let Some(name) = &config.name {
        let name = DisplayName::parse(name).map_err(|error| StartError {
            code: ErrorCode::BadCommand,
            message: error.to_string(),
        })?;
        settings.name = Some(name.to_string());
    }
    Ok(settings.name.get_or_insert_with(|| made_up_name(&mut rand::rng())).clone())
}

fn locked(error: &FolderLockError, busy: ErrorCode) -> StartError {
    let code = match error {
        FolderLockError::Held { .. } => busy,
        FolderLockError::Fs(_) => ErrorCode::Io,
    };
    StartError { code, message: error.to_string() }
}

fn io(error: &dyn std::error::Error) -> StartError {
    StartError { code: ErrorCode::Io, message: error.to_string() }
}
