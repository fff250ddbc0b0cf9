//! The control stream beside bulk, on real sockets: what the virtual network cannot show, because
//! its readers take no time.

use std::time::Duration;

use lanspread_actors::net::{
    backend::Transport,
    endpoint::{Bound, Listen, bind, widen},
    limits,
};
use quinn::{Connection, RecvStream, SendStream};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::transport::{connect, identity};

/// Bytes of one control message.
const MESSAGE_BYTES: usize = 64;
/// Round trips that are measured.
const SAMPLES: usize = 60;

fn real(number: u8) -> Bound {
    let loopback = Listen::At(([127, 0, 0, 1], 0).into());
    bind(&Transport::Udp, loopback, &identity(number)).unwrap()
}

/// Sends without end, as an upload does.
async fn flood(connection: Connection) {
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.set_priority(limits::PRIORITY_BULK).unwrap();
    let piece = bytes::Bytes::from(vec![7; 256 * 1024]);
    while send.write_chunk(piece.clone()).await.is_ok() {}
}

/// Reads whatever comes, on every stream but the control stream.
async fn swallow(mut receive: RecvStream) {
    while let Ok(Some(_)) = receive.read_chunk(1 << 20, true).await {}
}

async fn echo(mut send: SendStream, mut receive: RecvStream) {
    send.set_priority(limits::PRIORITY_CONTROL).unwrap();
    let mut message = [0; MESSAGE_BYTES];
    while receive.read_exact(&mut message).await.is_ok() {
        if send.write_all(&message).await.is_err() {
            return;
        }
    }
}

/// Proves F15, P9: as many bulk streams as there can be leave the control stream its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_does_not_starve_the_control_stream() {
    let (one, two) = (real(1), real(2));
    let (dialled, accepted) = connect(&one, 1, &two).await;
    widen(&dialled);
    widen(&accepted);
    let (mut send, mut receive) = dialled.open_bi().await.unwrap();
    send.set_priority(limits::PRIORITY_CONTROL).unwrap();
    send.write_all(&[1; MESSAGE_BYTES]).await.unwrap();
    let (answer, question) = accepted.accept_bi().await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(echo(answer, question));
    for _ in 0..limits::REQUEST_STREAMS_MAX - 1 {
        tasks.spawn(flood(dialled.clone()));
    }
    tasks.spawn(async move {
        let mut readers = JoinSet::new();
        while let Ok((_send, receive)) = accepted.accept_bi().await {
            readers.spawn(swallow(receive));
        }
    });
    let mut message = [0; MESSAGE_BYTES];
    let mut trips = Vec::new();
    for _ in 0..SAMPLES {
        let asked_at = Instant::now();
        let answer = timeout(Duration::from_secs(10), receive.read_exact(&mut message));
        answer.await.unwrap().unwrap();
        trips.push(asked_at.elapsed());
        sleep(Duration::from_millis(5)).await;
        send.write_all(&message).await.unwrap();
    }
    trips.sort();
    let (median, late) = (trips[SAMPLES / 2], trips[SAMPLES * 9 / 10]);
    assert!(median < Duration::from_millis(100), "median {median:?}, late {late:?}");
    assert!(late < Duration::from_millis(300), "median {median:?}, late {late:?}");
    eprintln!("median {median:?}, late {late:?}, last {:?}", trips[SAMPLES - 1]);
}
