//! Sessions over pipes and over the real socket, against a node of stand-ins.

#[cfg(unix)]
mod socket;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};

use super::session::{InputEnd, SessionOptions, serve};
use crate::{
    handle::Outcome,
    limits::control::{COMMAND_LINE_BYTES_MAX, CONTROL_WRITE_DEADLINE},
    node::tests::{Rig, stand_ins::StandIns, start},
};

struct Script {
    input: Option<WriteHalf<DuplexStream>>,
    output: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    session: tokio::task::JoinSet<std::io::Result<()>>,
}

fn script(rig: &Rig, input_end: InputEnd) -> Script {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (commander, events) = (rig.handle.commander(), rig.handle.events());
    let session = tokio::task::JoinSet::from_iter([async move {
        let (input, output) = tokio::io::split(near);
        let options = SessionOptions { input_end, write_deadline: None };
        serve(input, output, commander, events, options).await
    }]);
    let (output, input) = tokio::io::split(far);
    Script { input: Some(input), output: BufReader::new(output).lines(), session }
}

impl Script {
    async fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).await.unwrap();
        input.write_all(b"\n").await.unwrap();
    }

    async fn record(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(30), self.output.next_line()).await;
        serde_json::from_str(&line.unwrap().unwrap().expect("a record")).unwrap()
    }

    async fn answer(&mut self) -> Value {
        loop {
            let record = self.record().await;
            if record["type"] != "event" {
                return record;
            }
        }
    }
}

/// Proves that a line which is no command costs an error record, never the session.
#[tokio::test]
async fn bad_lines_are_answered_and_survived() {
    let rig = start(StandIns::default()).await;
    let mut script = script(&rig, InputEnd::Leave);
    let too_long = "x".repeat(COMMAND_LINE_BYTES_MAX + 1);
    for line in ["nonsense", r#"{"id":"a","command":"fly"}"#, &too_long] {
        script.say(line).await;
        let record = script.answer().await;
        assert_eq!((&record["type"], &record["code"]), (&json!("error"), &json!("bad-command")));
    }
    script.input.as_mut().unwrap().write_all(b"\xff\xfe\n").await.unwrap();
    assert_eq!(script.answer().await["code"], "bad-command");
    script.say(r#"{"id":[1],"command":"status"}"#).await;
    let status = script.answer().await;
    assert_eq!((&status["id"], &status["type"]), (&json!([1]), &json!("result")));
    assert_eq!(status["status"]["addresses"], json!(["127.0.0.1:45000"]));
}

/// Proves that quick commands keep their order and that a long one does not hold them up.
#[tokio::test(start_paused = true)]
async fn a_waiting_command_is_overtaken() {
    let rig = start(StandIns::default()).await;
    let mut script = script(&rig, InputEnd::Leave);
    script.say(r#"{"id":1,"command":"wait-peers","count":1,"timeout_s":3}"#).await;
    script.say(r#"{"id":2,"command":"list-peers"}"#).await;
    script.say(r#"{"id":3,"command":"show-game","game":"quake"}"#).await;
    script.say(r#"{"id":4,"command":"show-game","game":"../x"}"#).await;
    assert_eq!(script.answer().await, json!({"type": "result", "id": 2, "peers": []}));
    for id in [3, 4] {
        let record = script.answer().await;
        assert_eq!((&record["id"], &record["code"]), (&json!(id), &json!("unknown-game")));
    }
    let waited = script.answer().await;
    assert_eq!((&waited["id"], &waited["code"]), (&json!(1), &json!("timeout")));
}

/// Proves that the end of the input ends the node, and that its last records come before the end.
#[tokio::test]
async fn the_end_of_the_input_is_a_shutdown() {
    let rig = start(StandIns::default()).await;
    let mut script = script(&rig, InputEnd::Shutdown);
    script.say(r#"{"id":1,"command":"status"}"#).await;
    script.answer().await;
    script.input.as_mut().unwrap().shutdown().await.unwrap();
    assert_eq!(rig.handle.wait_stopped().await, Outcome::Stopped);
    script.session.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_ends_only_its_session() {
    let rig = start(StandIns::default()).await;
    let mut script = script(&rig, InputEnd::Leave);
    script.input.as_mut().unwrap().shutdown().await.unwrap();
    script.session.join_next().await.unwrap().unwrap().unwrap();
    assert!(rig.handle.command(crate::api::Command::Status {}).await.is_ok());
}

/// Proves F27: a client that stops reading is let go after its deadline; nobody else notices.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_let_go() {
    let rig = start(StandIns::default()).await;
    let (near, mut far) = tokio::io::duplex(64);
    let (input, output) = tokio::io::split(near);
    let options =
        SessionOptions { input_end: InputEnd::Leave, write_deadline: Some(CONTROL_WRITE_DEADLINE) };
    far.write_all(b"{\"command\":\"status\"}\n").await.unwrap();
    let (commander, events) = (rig.handle.commander(), rig.handle.events());
    let ended = serve(input, output, commander, events, options).await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert!(rig.handle.command(crate::api::Command::Status {}).await.is_ok());
}

/// Proves F27 for a node on a pipe: when nobody reads any more it goes on until its input ends.
#[tokio::test]
async fn a_node_on_a_broken_pipe_still_obeys() {
    let rig = start(StandIns::default()).await;
    let (near, far) = tokio::io::duplex(64);
    let (unread, output) = tokio::io::duplex(64);
    drop(unread);
    let options = SessionOptions { input_end: InputEnd::Shutdown, write_deadline: None };
    let (commander, events) = (rig.handle.commander(), rig.handle.events());
    let mut session =
        tokio::task::JoinSet::from_iter([serve(near, output, commander, events, options)]);
    let mut far = far;
    far.write_all(b"{\"command\":\"status\"}\n{\"command\":\"shutdown\"}\n").await.unwrap();
    assert_eq!(rig.handle.wait_stopped().await, Outcome::Stopped);
    session.join_next().await.unwrap().unwrap().unwrap();
}
