//! The recovery table, row by row: what is seen, what is decided, what stands afterwards.

use std::path::{Path, PathBuf};

use super::check::check_settled;
use super::games::{GAME, context, games, in_root, plant};
use super::place::Place;
use crate::inspect::inspect;
use crate::intent::{INTENT_SCHEMA, Intent, IntentState, Operation, Phase};
use crate::layout;
use crate::marker::{MARKER_SCHEMA, Marker};
use crate::recover::{Action, Attention, Direction, Outcome, RecoveryFailure, plan, recover};
use crate::vfs::sim::{Node, SimVfs};
use crate::{OpId, create_game_root};

/// A root under construction.
struct Root(SimVfs);

impl Root {
    fn new() -> Self {
        let machine = SimVfs::new();
        create_game_root(&*games(&machine), GAME).unwrap();
        Self(machine)
    }

    fn file(self, path: &str, text: &str) -> Self {
        plant(&self.0, path, text);
        self
    }

    fn bytes(self, path: &str, bytes: Vec<u8>) -> Self {
        self.0.plant(&in_root(path), Node::File(bytes, false));
        self
    }

    fn node(self, path: &str, node: Node) -> Self {
        self.0.plant(&in_root(path), node);
        self
    }

    fn intent(self, operation: Operation, phase: Phase) -> Self {
        self.bytes(layout::INTENT, intent(GAME, operation, phase))
    }

    /// A directory with our marker and one file.
    fn owned(self, name: &str, generation: u64, sealed: bool) -> Self {
        let marker = marker(generation, sealed);
        self.bytes(&format!("{name}/{}", layout::MARKER), marker.encode().unwrap())
            .file(&format!("{name}/content"), name)
    }

    /// `local/` as an install of ours leaves it.
    fn local(self) -> Self {
        self.owned(layout::LOCAL, 1, true)
    }

    fn found(&self) -> crate::RootState {
        inspect(context(&Place::of(&self.0)).unwrap().root(), GAME).unwrap()
    }

    fn planned(&self) -> (Vec<Action>, Direction, Option<Attention>) {
        let plan = plan(&self.found());
        (plan.actions, plan.direction, plan.attention)
    }

    /// Decides as `wanted`, does it, and what stands then needs nothing more.
    fn recovers(&self, wanted: &[Action], direction: Direction) {
        assert_eq!(self.planned(), (wanted.to_vec(), direction, None));
        let recovery = recover(&context(&Place::of(&self.0)).unwrap()).unwrap();
        let as_planned = match recovery.outcome {
            Outcome::Clean => direction == Direction::None,
            Outcome::RolledBack => direction == Direction::Back,
            Outcome::RolledForward => direction == Direction::Forward,
            Outcome::NeedsAttention(failure) => panic!("{failure}"),
        };
        assert!(as_planned);
        assert_eq!(recovery.actions, wanted);
        let again = recover(&context(&Place::of(&self.0)).unwrap()).unwrap();
        assert_eq!(again.actions, [], "I5");
    }

    /// Decides to do nothing, and does nothing.
    fn needs_attention(&self, wanted: &Attention) {
        assert_eq!(self.planned(), (vec![], Direction::None, Some(wanted.clone())));
        let before = self.0.tree();
        let recovery = recover(&context(&Place::of(&self.0)).unwrap()).unwrap();
        match recovery.outcome {
            Outcome::NeedsAttention(RecoveryFailure::Unclear { game, attention }) => {
                assert_eq!((game.as_str(), &attention), (GAME, wanted));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(self.0.tree(), before, "nothing is touched");
    }

    fn has(&self, path: &str) -> bool {
        self.0.tree().contains_key(&in_root(path))
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.0.read_file(&in_root(path)).unwrap_or_default()).unwrap()
    }
}

fn intent(game: &str, operation: Operation, phase: Phase) -> Vec<u8> {
    let intent = Intent {
        schema: INTENT_SCHEMA,
        op_id: OpId::parse("op").unwrap(),
        generation: 9,
        game_id: game.to_owned(),
        operation,
        phase,
        from_version: Some("1".into()),
        to_version: Some("2".into()),
        manifest_id: None,
    };
    intent.encode().unwrap()
}

fn marker(generation: u64, sealed: bool) -> Marker {
    Marker {
        schema: MARKER_SCHEMA,
        op_id: OpId::parse("op").unwrap(),
        generation,
        game_id: GAME.to_owned(),
        version: Some("1".into()),
        manifest_id: None,
        sealed,
    }
}

const L: &str = layout::LOCAL;
const S: &str = layout::LOCAL_INSTALLING;
const B: &str = layout::LOCAL_BACKUP;

fn trash(name: &str) -> Action {
    Action::Trash(PathBuf::from(name))
}

fn restore(name: &str) -> Action {
    Action::RestoreBackup(PathBuf::from(name))
}

/// Row 0: a root that is a link or a file is not touched, and says what it is.
#[test]
fn row_0_a_root_that_is_no_directory() {
    let machine = SimVfs::new();
    let games = games(&machine);
    machine.plant(Path::new("/games/linked"), Node::Link);
    machine.plant(Path::new("/games/file"), Node::File(vec![], false));
    let code = |game| crate::open_game_root(&*games, game).err().map(|error| error.code());
    assert_eq!(code("linked"), Some("link"));
    assert_eq!(code("file"), Some("wrong-kind"));
    assert_eq!(code("absent"), Some("not-found"));
    for bad in ["..", "", "a/b", ".hidden"] {
        assert_eq!(code(bad), Some("bad-name"), "{bad:?}");
    }
}

#[test]
fn row_1_nothing_of_ours() {
    Root::new().recovers(&[], Direction::None);
    Root::new().local().file("version.ini", "1").recovers(&[], Direction::None);
}

#[test]
fn row_2_owned_leftovers_beside_local() {
    let trash_name = layout::trash_name(GAME, &OpId::parse("x").unwrap(), 1);
    let root = Root::new().local().owned(S, 3, false).owned(B, 2, true);
    let root = root.owned(&trash_name, 2, false).file(layout::SENTINEL_TMP, "torn");
    let root = root.owned(layout::DOWNLOAD, 3, false);
    root.recovers(
        &[
            trash(S),
            trash(B),
            trash(layout::DOWNLOAD),
            Action::RemoveTrash(trash_name.clone().into()),
            Action::RemoveTmp(layout::SENTINEL_TMP.into()),
        ],
        Direction::Back,
    );
    assert_eq!(root.text("local/content"), L);
    assert!(![S, B, &trash_name, layout::DOWNLOAD].iter().any(|name| root.has(name)));
}

/// Row 3: a lost intent must not lose a game.
#[test]
fn row_3_a_backup_without_local_comes_back() {
    let root = Root::new().owned(B, 2, true).owned(S, 3, true);
    root.recovers(&[restore(B), trash(S), Action::PublishKept], Direction::Back);
    assert_eq!(root.text("local/content"), B);
}

/// Row 4 and proof of T7: nothing is done on the word of a bad intent, and it is not lost.
#[test]
fn row_4_a_bad_intent_is_set_aside() {
    let foreign = intent("doom", Operation::Uninstall, Phase::Removing);
    let mut flipped = intent(GAME, Operation::Uninstall, Phase::Removing);
    flipped[10] ^= 1;
    for bad in [foreign, flipped, Vec::new(), vec![b'x'; 1 << 20]] {
        let root = Root::new().owned(B, 2, true).bytes(layout::INTENT, bad.clone());
        let root = root.file(&layout::corrupt_name(layout::INTENT, 1), "of an earlier time");
        root.recovers(&[Action::SetIntentAside, restore(B), Action::PublishKept], Direction::Back);
        assert_eq!(root.text("local/content"), B);
        let aside = root.0.read_file(&in_root(&layout::corrupt_name(layout::INTENT, 2)));
        assert_eq!(aside, Some(bad), "kept for a person to look at");
    }
    let root = Root::new().node(layout::INTENT, Node::Dir);
    assert!(matches!(root.found().intent, IntentState::Corrupt(_)));
    let root = Root::new().node(layout::INTENT, Node::Link);
    root.recovers(&[Action::SetIntentAside], Direction::None);
}

#[test]
fn row_5_an_install_before_its_commit() {
    for sealed in [false, true] {
        let root = Root::new().intent(Operation::Install, Phase::Staging).owned(S, 9, sealed);
        root.recovers(&[trash(S), Action::DropIntent], Direction::Back);
        assert!(!root.has(L));
    }
    let root = Root::new().intent(Operation::Install, Phase::Staging);
    root.recovers(&[Action::DropIntent], Direction::Back);
}

#[test]
fn row_6_an_install_after_its_commit() {
    let root = Root::new().intent(Operation::Install, Phase::Staging).local();
    root.recovers(&[Action::DropIntent], Direction::Forward);
    assert!(root.has("local/content"));
}

#[test]
fn row_7_an_update_before_the_swap() {
    let root = Root::new().intent(Operation::Update, Phase::Staging).local().owned(S, 9, true);
    root.recovers(&[trash(S), Action::DropIntent], Direction::Back);
    assert_eq!(root.text("local/content"), L);
}

#[test]
fn row_8_a_swap_that_has_not_begun() {
    let root = Root::new().intent(Operation::Update, Phase::Swap).local().owned(S, 9, true);
    root.recovers(&[trash(S), Action::DropIntent], Direction::Back);
    assert_eq!(root.text("local/content"), L);
}

#[test]
fn row_9_the_old_version_comes_back() {
    let swap = || Root::new().intent(Operation::Update, Phase::Swap).owned(B, 1, true);
    let root = swap().owned(S, 9, true);
    root.recovers(
        &[restore(B), trash(S), Action::PublishKept, Action::DropIntent],
        Direction::Back,
    );
    assert_eq!(root.text("local/content"), B);
    swap().recovers(&[restore(B), Action::PublishKept, Action::DropIntent], Direction::Back);
}

#[test]
fn row_9b_only_the_new_version_is_left() {
    let swap = || Root::new().intent(Operation::Update, Phase::Swap);
    let root = swap().owned(S, 9, true);
    root.recovers(
        &[Action::InstallStaging(S.into()), Action::PublishKept, Action::DropIntent],
        Direction::Forward,
    );
    assert_eq!(root.text("local/content"), S);
    swap().owned(S, 9, false).needs_attention(&Attention::StagingUnsealed);
    let root = swap().owned(S, 9, true).file(&format!("{B}/save"), "the marker is lost");
    root.needs_attention(&Attention::BackupUnowned);
}

#[test]
fn row_10_the_swap_is_done() {
    let root = Root::new().intent(Operation::Update, Phase::Swap).local().owned(B, 1, true);
    let root = root.file(&format!("local/{}/1/save", layout::KEPT_PENDING), "of the user");
    root.recovers(&[trash(B), Action::PublishKept, Action::DropIntent], Direction::Forward);
    assert_eq!(root.text("local/content"), L);
    assert_eq!(root.text(".lanspread.kept/1/save"), "of the user");
    assert!(!root.has("local/.lanspread_kept"));
}

#[test]
fn row_10b_only_local_is_left() {
    let root = Root::new().intent(Operation::Update, Phase::Swap).local();
    root.recovers(&[Action::DropIntent], Direction::Forward);
}

/// Not in the table: someone has put a new `local` there meanwhile.
#[test]
fn a_local_that_reappears_during_a_swap_needs_a_person() {
    let swap = || Root::new().intent(Operation::Update, Phase::Swap);
    let root = swap().local().owned(B, 1, true).owned(S, 9, true);
    root.needs_attention(&Attention::LocalReappeared);
    let root = swap().owned(B, 1, true).owned(S, 9, true).node(L, Node::Link);
    root.needs_attention(&Attention::LocalOdd("it is a link".into()));
    let root = swap().owned(B, 1, true).file(L, "planted");
    root.needs_attention(&Attention::LocalOdd("it is a file".into()));
}

/// Row 3 with something at `local` that is no directory: the backup stays where it is.
#[test]
fn a_backup_is_not_deleted_beside_an_odd_local() {
    let root = Root::new().owned(B, 1, true).node(L, Node::Link);
    root.recovers(&[], Direction::None);
    assert!(root.has(&format!("{B}/content")));
}

#[test]
fn row_11_an_uninstall_that_has_not_begun() {
    let root = Root::new().intent(Operation::Uninstall, Phase::Removing).local();
    root.recovers(&[Action::DropIntent], Direction::Back);
    assert!(root.has("local/content"));
}

#[test]
fn row_12_an_uninstall_is_finished() {
    let root = Root::new().intent(Operation::Uninstall, Phase::Removing).owned(B, 1, true);
    root.recovers(&[trash(B), Action::DropIntent], Direction::Forward);
    assert!(!root.has(L) && !root.has(B));
    let root = Root::new().intent(Operation::Uninstall, Phase::Removing);
    root.recovers(&[Action::DropIntent], Direction::Forward);
}

/// Row 16: only files that are named by us and are files.
#[test]
fn row_16_temporary_files() {
    let root = Root::new()
        .file(layout::SENTINEL_TMP, "torn")
        .file(layout::INTENT_TMP, "torn")
        .file(layout::SENTINEL_DISCARDED, "1")
        .file("version.ini", "2")
        .file(".version.ini.tmp2", "not ours");
    let tmp = |name: &str| Action::RemoveTmp(name.to_owned());
    root.recovers(
        &[tmp(layout::INTENT_TMP), tmp(layout::SENTINEL_DISCARDED), tmp(layout::SENTINEL_TMP)],
        Direction::None,
    );
    assert!(root.has(".version.ini.tmp2") && root.has("version.ini"));
    let root =
        Root::new().node(layout::SENTINEL_TMP, Node::Dir).node(layout::INTENT_TMP, Node::Link);
    root.recovers(&[], Direction::None);
}

/// Row 17: what has no valid marker is the user's, whatever the intent says; it is told.
#[test]
fn row_17_names_of_ours_without_our_marker() {
    let foreign = Marker { game_id: "doom".into(), ..marker(1, true) }.encode().unwrap();
    let mut torn = marker(1, true).encode().unwrap();
    torn.truncate(40);
    let cases: [(&str, Option<Vec<u8>>); 3] =
        [("none", None), ("torn", Some(torn)), ("of another game", Some(foreign))];
    for (name, bytes) in cases {
        for intent in [None, Some(Operation::Install), Some(Operation::Uninstall)] {
            let mut root = Root::new().local();
            for dir in [S, B, layout::DOWNLOAD, ".trash-op.1-0000000000000000", ".trash-x"] {
                root = root.file(&format!("{dir}/precious"), "the user's");
                if let Some(bytes) = &bytes {
                    root = root.bytes(&format!("{dir}/{}", layout::MARKER), bytes.clone());
                }
            }
            let drop = intent.map(|operation| {
                root = std::mem::replace(&mut root, Root::new()).intent(operation, Phase::Removing);
                Action::DropIntent
            });
            let found = plan(&root.found());
            assert_eq!(found.actions, drop.into_iter().collect::<Vec<_>>(), "{name} {intent:?}");
            let recovery = recover(&context(&Place::of(&root.0)).unwrap()).unwrap();
            assert_eq!(recovery.warnings.len(), 5, "{:?}", recovery.warnings);
            assert_eq!(root.text(&format!("{S}/precious")), "the user's");
            assert_eq!(root.text(".trash-x/precious"), "the user's");
        }
    }
}

/// Row 18: copies of our directories, with a marker that is right and newer, decide nothing and
/// are not deleted; they are listed.
#[test]
fn row_18_copies_of_our_directories() {
    let copies = [".local.backup.1", ".local.installing (conflict)", ".download~"];
    let with_copies = |mut root: Root| {
        for copy in copies {
            root = root.owned(copy, 50, true);
        }
        root
    };
    let root = with_copies(Root::new().owned(B, 2, true));
    root.recovers(&[restore(B), Action::PublishKept], Direction::Back);
    assert_eq!(root.text("local/content"), B);
    let root = with_copies(Root::new().local().intent(Operation::Update, Phase::Swap));
    root.recovers(&[Action::DropIntent], Direction::Forward);
    let root = with_copies(Root::new());
    root.recovers(&[], Direction::None);
    let recovery = recover(&context(&Place::of(&root.0)).unwrap()).unwrap();
    assert_eq!(recovery.warnings.len(), copies.len(), "{:?}", recovery.warnings);
    assert!(copies.iter().all(|copy| root.has(&format!("{copy}/content"))));
}

/// Every byte of an intent damaged: the root is recovered backwards, and no game is lost (T70).
#[test]
fn a_damaged_intent_is_never_acted_on() {
    let whole = intent(GAME, Operation::Uninstall, Phase::Removing);
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        for bytes in [flipped, whole[..at].to_vec()] {
            let root = Root::new().owned(B, 1, true).bytes(layout::INTENT, bytes);
            recover(&context(&Place::of(&root.0)).unwrap()).unwrap();
            assert!(root.has("local/content"), "byte {at}");
            check_settled_rows(&root);
        }
    }
}

fn check_settled_rows(root: &Root) {
    // the foreign files that the checker looks for
    for (path, node) in super::scenarios::foreign() {
        root.0.plant(Path::new(path), node);
    }
    check_settled(&root.0, false).unwrap();
}
