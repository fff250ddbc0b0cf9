//! Random states and random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;

use super::games::{GAME, context, file_content, games, in_root, plant, setup_error};
use super::place::Place;
use crate::intent::{INTENT_SCHEMA, Intent, Operation, Phase};
use crate::marker::{MARKER_SCHEMA, Marker};
use crate::ops::{DownloadPlan, DownloadStaging, InstallStaging, PlannedFile, TxnError};
use crate::recover::{Outcome, recover};
use crate::vfs::sim::{Crash, Fault, Node, SimVfs};
use crate::{OpId, create_game_root, layout, remove, uninstall};

/// What may stand under one of our names.
#[derive(Clone, Debug)]
enum Thing {
    Nothing,
    File(Vec<u8>),
    Link,
    Unmarked,
    Foreign,
    Owned { generation: u64, sealed: bool },
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        3 => Just(Thing::Nothing),
        1 => proptest::collection::vec(any::<u8>(), 0..8).prop_map(Thing::File),
        1 => Just(Thing::Link),
        1 => Just(Thing::Unmarked),
        1 => Just(Thing::Foreign),
        4 => (0..9_u64, any::<bool>())
            .prop_map(|(generation, sealed)| Thing::Owned { generation, sealed }),
    ]
}

fn operation() -> impl Strategy<Value = (Operation, Phase)> {
    use Operation::{Download, Install, Remove, Uninstall, Update};
    let operation = prop::sample::select(vec![Download, Install, Update, Uninstall, Remove]);
    let phase =
        prop::sample::select(vec![Phase::Staging, Phase::Promoting, Phase::Swap, Phase::Removing]);
    (operation, phase)
}

const NAMES: [&str; 9] = [
    layout::LOCAL,
    layout::LOCAL_INSTALLING,
    layout::LOCAL_BACKUP,
    layout::DOWNLOAD,
    layout::SENTINEL,
    layout::SENTINEL_TMP,
    layout::SENTINEL_DISCARDED,
    layout::INTENT_TMP,
    ".trash-foreign",
];

fn put(machine: &SimVfs, name: &str, thing: &Thing) {
    let marker = |game: &str, generation, sealed| Marker {
        schema: MARKER_SCHEMA,
        op_id: OpId::parse("op").unwrap(),
        generation,
        game_id: game.to_owned(),
        version: None,
        manifest_id: None,
        sealed,
    };
    let inside = |file: &str| in_root(name).join(file);
    let put = |path: PathBuf, bytes: Vec<u8>| machine.plant(&path, Node::File(bytes, false));
    match thing {
        Thing::Nothing => {}
        Thing::File(bytes) => put(in_root(name), bytes.clone()),
        Thing::Link => machine.plant(&in_root(name), Node::Link),
        Thing::Unmarked => put(inside("content"), b"unmarked".to_vec()),
        Thing::Foreign => {
            put(inside(layout::MARKER), marker("doom", 1, true).encode().unwrap());
            put(inside("content"), b"foreign".to_vec());
        }
        Thing::Owned { generation, sealed } => {
            put(inside(layout::MARKER), marker(GAME, *generation, *sealed).encode().unwrap());
            put(inside("content"), name.as_bytes().to_vec());
        }
    }
}

/// Paths that no recovery may change: what carries no marker of ours.
fn untouchable(machine: &SimVfs, things: &[Thing]) -> BTreeMap<PathBuf, Node> {
    let protected: BTreeSet<PathBuf> = NAMES
        .iter()
        .zip(things)
        .filter(|(name, thing)| {
            let is_tmp = name.starts_with(".version.ini") || **name == layout::INTENT_TMP;
            match thing {
                Thing::Unmarked | Thing::Foreign | Thing::Link => true,
                Thing::File(_) => !is_tmp,
                Thing::Nothing | Thing::Owned { .. } => false,
            }
        })
        .map(|(name, _)| in_root(name))
        .collect();
    let mut tree = machine.tree();
    tree.retain(|path, _| protected.iter().any(|root| path.starts_with(root)));
    tree
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Proves T5: recovery is total, ends, changes nothing that is not ours, keeps every game
    /// that has a copy left, and done twice is done once.
    #[test]
    fn recovery_of_any_state(
        things in proptest::collection::vec(thing(), NAMES.len()),
        intent in proptest::option::of(operation()),
    ) {
        let machine = SimVfs::new();
        create_game_root(&*games(&machine), GAME).unwrap();
        for (name, thing) in NAMES.iter().zip(&things) {
            put(&machine, name, thing);
        }
        if let Some((operation, phase)) = intent {
            let intent = Intent {
                schema: INTENT_SCHEMA,
                op_id: OpId::parse("op").unwrap(),
                generation: 5,
                game_id: GAME.to_owned(),
                operation,
                phase,
                from_version: None,
                to_version: None,
                manifest_id: None,
            };
            let bytes = intent.encode().unwrap();
            machine.plant(&in_root(layout::INTENT), Node::File(bytes, false));
        }
        let removes = matches!(intent, Some((Operation::Remove, _)));
        let untouchable = untouchable(&machine, &things);
        let context = context(&Place::of(&machine)).unwrap();
        let recovery = recover(&context).unwrap();
        let after = machine.tree();
        for (path, node) in untouchable {
            prop_assert!(removes || after.get(&path) == Some(&node), "{path:?} was changed");
        }
        let uninstalls = matches!(intent, Some((Operation::Uninstall, _)));
        let owned = |at: usize| matches!(things[at], Thing::Owned { .. });
        if owned(0) || (owned(2) && matches!(things[0], Thing::Nothing)) {
            let copy_left = after.contains_key(&in_root("local/content"))
                || after.contains_key(&in_root(layout::LOCAL_BACKUP).join("content"));
            prop_assert!(copy_left || removes || uninstalls, "the game is lost");
        }
        if matches!(recovery.outcome, Outcome::NeedsAttention(_)) {
            prop_assert_eq!(recovery.actions.len(), 0);
        }
        let again = recover(&context).unwrap();
        prop_assert_eq!(again.actions, vec![], "I5");
        prop_assert_eq!(machine.tree(), after, "I5");
    }
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Download(u8),
    Park(u8),
    Install(u8),
    Uninstall,
    Remove,
    Save(u8),
}

/// What happens in its middle.
#[derive(Clone, Debug)]
enum Disturbance {
    None,
    Crash { after: usize, kept: Option<Vec<usize>> },
    Fault { call: usize },
}

fn step() -> impl Strategy<Value = (Step, Disturbance)> {
    let step = prop_oneof![
        3 => (1..4_u8).prop_map(Step::Download),
        1 => (1..4_u8).prop_map(Step::Park),
        4 => (1..4_u8).prop_map(Step::Install),
        1 => Just(Step::Uninstall),
        1 => Just(Step::Remove),
        2 => (0..4_u8).prop_map(Step::Save),
    ];
    let kept = proptest::option::of(proptest::collection::vec(0..40_usize, 0..30));
    let disturbance = prop_oneof![
        1 => Just(Disturbance::None),
        4 => (0..160_usize, kept).prop_map(|(after, kept)| Disturbance::Crash { after, kept }),
        2 => (0..260_usize).prop_map(|call| Disturbance::Fault { call }),
    ];
    (step, disturbance)
}

/// What a user has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    downloaded: Option<u8>,
    installed: Option<u8>,
    saves: BTreeMap<u8, String>,
}

impl Model {
    /// After `step` has succeeded.
    fn after(&self, step: &Step) -> Self {
        let mut next = self.clone();
        match step {
            Step::Download(version) => next.downloaded = Some(*version),
            Step::Park(_) | Step::Save(_) => {}
            Step::Install(version) => next.installed = Some(*version),
            Step::Uninstall => (next.installed, next.saves) = (None, BTreeMap::new()),
            Step::Remove => next = Self::default(),
        }
        next
    }

    /// What must be seen; parked stagings aside.
    fn view(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut view = BTreeMap::new();
        if let Some(version) = self.downloaded {
            view.insert(in_root(layout::SENTINEL), version.to_string().into_bytes());
            for path in payload(version) {
                view.insert(in_root(&path), file_content(&path, &version.to_string()));
            }
        }
        if let Some(version) = self.installed {
            for path in shipped(version) {
                let bytes = file_content(&path, &version.to_string());
                view.insert(in_root("local").join(path), bytes);
            }
        }
        for (number, text) in &self.saves {
            view.insert(in_root(&format!("local/saves/{number}")), text.clone().into_bytes());
        }
        view
    }
}

fn payload(version: u8) -> Vec<String> {
    vec!["game.rar".to_owned(), format!("dir/only{version}.sh")]
}

fn shipped(version: u8) -> Vec<String> {
    vec!["game.exe".to_owned(), format!("data/only{version}")]
}

fn plan(version: u8) -> DownloadPlan {
    let text = version.to_string();
    let file = |path: &String| PlannedFile {
        path: path.clone(),
        size: file_content(path, &text).len() as u64,
        keep: false,
    };
    let manifest_bytes = format!("manifest {version}").into_bytes();
    DownloadPlan {
        manifest_id: blake3::hash(&manifest_bytes).to_hex().to_string(),
        manifest_bytes,
        files: payload(version).iter().map(file).collect(),
        empty_dirs: Vec::new(),
        sentinel: text.clone().into_bytes(),
        old_files: (1..4).flat_map(payload).collect::<BTreeSet<_>>().into_iter().collect(),
    }
}

fn run(place: &Place, step: &Step) -> Result<(), TxnError> {
    let context = context(place).map_err(setup_error)?;
    match step {
        Step::Download(version) | Step::Park(version) => {
            let plan = plan(*version);
            let (staging, _) = DownloadStaging::open_or_create(&context, &plan)?;
            for (number, file) in plan.files.iter().enumerate() {
                let bytes = file_content(&file.path, &version.to_string());
                staging.write_at(number, 0, &bytes)?;
                if matches!(step, Step::Park(_)) {
                    return staging.park();
                }
            }
            staging.commit().map(drop)
        }
        Step::Install(version) => {
            let text = version.to_string();
            let mut staging = InstallStaging::create(&context, &text, None)?;
            for path in shipped(*version) {
                let mut file = staging.create_file(&path, None)?;
                file.write(&file_content(&path, &text))?;
                file.finish()?;
            }
            staging.commit().map(drop)
        }
        Step::Uninstall => uninstall(&context).map(drop),
        Step::Remove => {
            let games = place.open("/games").map_err(setup_error)?;
            remove(&context, &*games).map(drop)
        }
        Step::Save(_) => Ok(()),
    }
}

/// Files the user sees.
fn seen(machine: &SimVfs) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (path, node) in super::check::view(machine) {
        match node {
            Node::File(bytes, _) => files.insert(path, bytes),
            _ => None,
        };
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Proves T6 over histories: whatever is interrupted however, the user has what he had
    /// before or what he asked for, and his files.
    #[test]
    fn any_history_of_operations(steps in proptest::collection::vec(step(), 1..10)) {
        let mut machine = SimVfs::new();
        games(&machine);
        let mut model = Model::default();
        for (number, (step, disturbance)) in steps.iter().enumerate() {
            if let Step::Save(save) = step {
                if model.installed.is_some() {
                    let text = format!("saved at step {number}");
                    plant(&machine, &format!("local/saves/{save}"), &text);
                    model.saves.insert(*save, text);
                }
                continue;
            }
            machine.reset_calls();
            match disturbance {
                Disturbance::None => {}
                Disturbance::Crash { after, .. } => machine.stop_after_changes(Some(*after)),
                Disturbance::Fault { call } => machine.fail_after_calls(*call, Fault::Errno(5)),
            }
            let result = run(&Place::of(&machine), step);
            if let Disturbance::Crash { kept, .. } = disturbance {
                let crash = kept.clone().map_or(Crash::Kill, Crash::PowerOnly);
                machine = machine.crash(&crash);
            }
            machine.reset_calls();
            let recovery = recover(&context(&Place::of(&machine)).unwrap()).unwrap();
            prop_assert!(recovery.outcome.is_usable(), "step {number}: {:?}", recovery.outcome);
            let next = model.after(step);
            let found = seen(&machine);
            if found == next.view() {
                model = next;
            } else {
                prop_assert!(result.is_err(), "step {number} {step:?}: said done and was not");
                prop_assert_eq!(found, model.view(), "step {} {:?}", number, step);
            }
        }
    }
}
