//! A peer that is played by the test, frame by frame.

use std::{net::SocketAddr, time::Duration};

use lanspread_actors::net::{
    endpoint::{Listen, bind, dial},
    identity::Identity,
};
use lanspread_tests::hub::Hub;
use lanspread_wire::{
    CloseCode, Control, DisplayName, FrameReader, Hello, LibraryDigest, LibraryState,
    PROTOCOL_VERSION, decode_frame, encode_frame, library_digest,
};
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use tokio::time::timeout;

use super::node::{PATIENCE, address, identity};

/// One end of a connection, and its control stream.
pub(crate) struct Fake {
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    receive: RecvStream,
    reader: FrameReader,
}

/// The endpoint of fake `number`.
pub(crate) fn endpoint(hub: &Hub, number: u8) -> Endpoint {
    bind(&hub.transport(address(number)), Listen::Everywhere(0), &identity(number))
        .unwrap()
        .endpoint
}

impl Fake {
    /// Dials the node at `to` and opens the control stream, without a word.
    pub(crate) async fn dial(hub: &Hub, number: u8, to: SocketAddr) -> Self {
        Self::dial_from(endpoint(hub, number), &identity(number), to).await
    }

    /// The same from an endpoint that stands already.
    pub(crate) async fn dial_from(endpoint: Endpoint, identity: &Identity, to: SocketAddr) -> Self {
        let connection = dial(&endpoint, identity, to, None).await.unwrap().connection;
        let (send, receive) = connection.open_bi().await.unwrap();
        Self { endpoint, connection, send, receive, reader: FrameReader::new() }
    }

    /// Waits for a dial and for the control stream.
    pub(crate) async fn accept(endpoint: Endpoint) -> Self {
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        let (send, receive) = connection.accept_bi().await.unwrap();
        Self { endpoint, connection, send, receive, reader: FrameReader::new() }
    }

    /// Dials and greets with an empty library; the handshake is complete, and the first frames of
    /// the node are read.
    pub(crate) async fn connected(hub: &Hub, number: u8, to: SocketAddr) -> Self {
        let mut fake = Self::dial(hub, number, to).await;
        fake.say(&Control::Hello(hello(number, None))).await;
        let Control::HelloAck(_) = fake.hear().await else { panic!("an answer") };
        let Control::Snapshot(_) = fake.hear().await else { panic!("a library") };
        fake.say(&empty_snapshot()).await;
        fake
    }

    pub(crate) async fn say(&mut self, control: &Control) {
        self.write(&encode_frame(control).unwrap()).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.unwrap();
    }

    /// The next frame of the node.
    pub(crate) async fn hear(&mut self) -> Control {
        timeout(PATIENCE, self.next()).await.expect("the node never said a word").unwrap()
    }

    /// The next frame, unless none comes for a while.
    pub(crate) async fn hear_within(&mut self, time: Duration) -> Option<Control> {
        timeout(time, self.next()).await.ok().flatten()
    }

    async fn next(&mut self) -> Option<Control> {
        loop {
            if let Some(body) = self.reader.next().unwrap() {
                return Some(decode_frame(&body).unwrap());
            }
            let chunk = self.receive.read_chunk(usize::MAX, true).await.ok()??;
            self.reader.push(&chunk.bytes);
        }
    }

    /// Waits for the node to close the connection; the code and the text it gives.
    pub(crate) async fn closed(&self) -> (Option<CloseCode>, String) {
        closed(&self.connection).await
    }
}

/// Waits for the other side to close a connection.
pub(crate) async fn closed(connection: &Connection) -> (Option<CloseCode>, String) {
    match timeout(PATIENCE, connection.closed()).await.expect("it was never closed") {
        ConnectionError::ApplicationClosed(close) => {
            let number = u32::try_from(close.error_code.into_inner()).unwrap();
            (CloseCode::from_u32(number), String::from_utf8_lossy(&close.reason).into_owned())
        }
        other => panic!("{other:?} instead of a close"),
    }
}

/// The greeting of fake `number` with an empty library.
pub(crate) fn hello(number: u8, known: Option<LibraryDigest>) -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        peer: identity(number).peer_id(),
        name: DisplayName::parse(&format!("fake {number}")).unwrap(),
        addresses: vec![address(number)],
        library: empty(),
        known,
    }
}

/// The state of an empty library.
pub(crate) fn empty() -> LibraryState {
    LibraryState { revision: 1, digest: library_digest([].iter()) }
}

/// An empty library on its way.
pub(crate) fn empty_snapshot() -> Control {
    Control::Snapshot(lanspread_wire::snapshot_pages(empty(), &[]).remove(0))
}
