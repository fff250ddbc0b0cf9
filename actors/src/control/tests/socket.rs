//! The socket as a file: who may connect, what a dead one costs, and the client (T71).

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener, process::CommandExt},
    path::Path,
    process::{Command as Process, Stdio},
    sync::Arc,
};

use crate::{
    api::{Command, ErrorCode, Event, Reply},
    control::{ConnectError, RemoteNode, socket::SOCKET_FILE},
    node::tests::{Rig, config, home, stand_ins::StandIns},
};

async fn start_at(home: tempfile::TempDir, state: &str) -> Rig {
    let mut config = config(home.path());
    config.state_dir = home.path().join(state);
    config.control_socket = true;
    let parts = StandIns::default();
    let handle =
        crate::handle::NodeHandle::launch_with(config, Arc::new(parts.clone())).await.unwrap();
    handle.ready().await.unwrap();
    let events = handle.events();
    Rig { handle, events, parts, home }
}

async fn start() -> Rig {
    start_at(home(), "state").await
}

async fn status(node: &RemoteNode) -> crate::api::Status {
    match node.command(Command::Status {}).await.unwrap() {
        Reply::Status { status } => *status,
        other => panic!("{other:?}"),
    }
}

/// Proves that a remote node is a node: commands, refusals, snapshot, events, shutdown, end.
#[tokio::test]
async fn a_client_has_the_whole_node() {
    let rig = start().await;
    let state = rig.home.path().join("state");
    let remote = RemoteNode::connect(&state).await.unwrap();
    let mut events = remote.events();
    let mut snapshots = remote.snapshot();
    assert_eq!(status(&remote).await.node.state_dir, state);
    let unknown = remote.command(Command::ShowGame { game: "quake".to_owned() }).await;
    assert_eq!(unknown.unwrap_err().code, ErrorCode::UnknownGame);

    rig.parts.kill(crate::node::tests::LIBRARY);
    let event = events.next().await.unwrap();
    assert!(matches!(&event, Event::ActorRestarted { component, .. } if component == "library"));
    let seen = snapshots
        .wait_for(|snapshot| snapshot.status.actors.iter().any(|actor| actor.restarts == 1));
    seen.await.unwrap();

    let second = RemoteNode::connect(&state).await.unwrap();
    remote.shutdown().await.unwrap();
    second.wait_stopped().await;
    assert_eq!(events.next().await, None);
    rig.handle.wait_stopped().await;
    assert!(!state.join(SOCKET_FILE).try_exists().unwrap(), "the socket went with the node");
    let gone = second.command(Command::Status {}).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::ShuttingDown);
}

/// Proves T71: a dead socket is replaced, and until then it says that no node runs.
#[tokio::test]
async fn a_dead_socket_is_replaced() {
    let home = home();
    let state = home.path().join("state");
    let missing = RemoteNode::connect(&state).await.err().unwrap();
    assert!(matches!(missing, ConnectError::NotRunning(_)), "{missing}");
    fs::create_dir(&state).unwrap();
    drop(UnixListener::bind(state.join(SOCKET_FILE)).unwrap());
    let dead = RemoteNode::connect(&state).await.err().unwrap();
    assert!(matches!(dead, ConnectError::NotRunning(_)), "{dead}");
    let rig = start_at(home, "state").await;
    assert_eq!(rig.handle.snapshot().borrow().status.problems, Vec::<String>::new());
    status(&RemoteNode::connect(&state).await.unwrap()).await;
}

/// Proves T71: a living socket is never taken over, a link or a file never removed.
#[tokio::test]
async fn what_is_alive_or_not_ours_stays() {
    for plant in ["living", "link", "file"] {
        let home = home();
        let state = home.path().join("state");
        fs::create_dir(&state).unwrap();
        let path = state.join(SOCKET_FILE);
        let target = home.path().join("target");
        let living = (plant == "living").then(|| UnixListener::bind(&path).unwrap());
        match plant {
            "link" => {
                drop(UnixListener::bind(&target).unwrap());
                std::os::unix::fs::symlink(&target, &path).unwrap();
            }
            "file" => fs::write(&path, "mine").unwrap(),
            _ => {}
        }
        let before = fs::symlink_metadata(&path).unwrap().file_type();
        let error = crate::control::socket::listen(&state).await.err().unwrap();
        let is_right = match plant {
            "living" => matches!(error, ConnectError::Alive(_)),
            _ => matches!(error, ConnectError::NotASocket(_)),
        };
        assert!(is_right, "{plant}: {error}");
        assert_eq!(fs::symlink_metadata(&path).unwrap().file_type(), before, "{plant}");
        drop(living);
    }
}

/// Proves T71: nobody else can enter the folder or write to the socket.
#[tokio::test]
async fn folder_and_socket_are_ours_alone() {
    let rig = start().await;
    let state = rig.home.path().join("state");
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join(SOCKET_FILE)), 0o600);
}

/// A state folder deeper than the name of a socket may be.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_long_path_is_no_obstacle() {
    let deep = ["a-rather-long-folder-name"; 6].join("/");
    let rig = start_at(home(), &deep).await;
    let state = rig.home.path().join(&deep);
    assert!(state.as_os_str().len() > 108);
    status(&RemoteNode::connect(&state).await.unwrap()).await;
}

const AS_NOBODY: &str = "LANSPREAD_TEST_CONNECT_AS_NOBODY";

/// Proves T71: whatever the permissions say, another user is refused. Needs root to become one.
#[tokio::test]
async fn another_user_is_refused() {
    if let Some(socket) = std::env::var_os(AS_NOBODY) {
        return connect_as_nobody(Path::new(&socket));
    }
    if !rustix::process::geteuid().is_root() {
        let is_required = std::env::var("LANSPREAD_LAB").is_ok_and(|lab| lab == "required");
        assert!(!is_required, "becoming another user needs root");
        eprintln!("not proved: becoming another user needs root");
        return;
    }
    let rig = start().await;
    let state = rig.home.path().join("state");
    for path in [rig.home.path(), &state] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let socket = state.join(SOCKET_FILE);
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    // A copy that the other user may run, wherever the tests were built.
    let program = rig.home.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = Process::new(&program);
    child.args(["--exact", "control::tests::socket::another_user_is_refused", "--nocapture"]);
    child.env(AS_NOBODY, &socket).uid(65534).gid(65534);
    let output = tokio::task::spawn_blocking(move || {
        child.stdin(Stdio::null()).stderr(Stdio::piped()).output().unwrap()
    });
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("hung up on"), "{output:?}");
    assert_eq!(
        rig.handle.command(Command::Status {}).await.map(|reply| match reply {
            Reply::Status { status } => status.counters["control-refused"],
            other => panic!("{other:?}"),
        }),
        Ok(1)
    );
}

/// The body of the test in the process of the other user.
fn connect_as_nobody(socket: &Path) {
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    // The node may have hung up already.
    stream.write_all(b"{\"command\":\"shutdown\"}\n").ok();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).ok();
    assert!(said.is_empty(), "the node said {:?}", String::from_utf8_lossy(&said));
    println!("hung up on");
}
