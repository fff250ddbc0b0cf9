//! Tests of the endpoint on real sockets of the loopback interface. What needs loss, partitions or a
//! forged handshake is tested over the virtual network.

use super::*;

fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32]).unwrap()
}

fn bound(number: u8, listen: Listen) -> Bound {
    bind(&Transport::Udp, listen, &identity(number)).unwrap()
}

fn loopback() -> Listen {
    Listen::At(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// Accepts everything for ever.
async fn accept_all(endpoint: quinn::Endpoint) {
    let mut kept = Vec::new();
    while let Some(incoming) = endpoint.accept().await {
        if let Ok(connection) = incoming.await {
            kept.push(connection);
        }
    }
}

#[tokio::test]
async fn a_free_port_is_found_and_the_granted_buffers_are_reported() {
    let bound = bound(1, loopback());
    assert_ne!(bound.local.port(), 0);
    let buffers = bound.buffers.unwrap();
    assert_eq!(buffers.asked_bytes, limits::SOCKET_BUFFER_BYTES);
    assert!(buffers.receive_bytes > 0 && buffers.send_bytes > 0, "{buffers:?}");
}

#[tokio::test]
async fn a_taken_port_is_told_as_such() {
    let first = bound(1, loopback());
    let error = bind(&Transport::Udp, Listen::At(first.local), &identity(2)).unwrap_err();
    assert!(error.is_port_taken(), "{error}");
    assert!(error.to_string().contains(&first.local.to_string()));
}

/// Proves P1, P6: one socket answers over IPv4, and over IPv6 where the machine has it.
#[tokio::test]
async fn a_wildcard_listener_is_reached_over_every_family() {
    let listener = bound(1, Listen::Everywhere(0));
    let dialler = bound(2, Listen::Everywhere(0));
    let port = listener.local.port();
    let accepting = accept_all(listener.endpoint.clone());
    let dialling = async {
        let mut targets = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
        if listener.local.is_ipv6() && udp_socket((Ipv6Addr::LOCALHOST, 0).into()).is_ok() {
            targets.push(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        }
        for target in targets {
            let expected = identity(1).peer_id();
            let dialled =
                dial(&dialler.endpoint, &identity(2), target, Some(expected)).await.unwrap();
            assert_eq!(dialled.peer, expected);
            assert_eq!(remote_of(&dialled.connection), target);
        }
    };
    tokio::select! { biased; () = dialling => {}, () = accepting => unreachable!() }
}

/// Proves T27: what a peer may send before we read it is bounded, and datagrams are off.
#[tokio::test]
async fn a_peer_gets_no_more_streams_than_allowed_and_no_datagrams() {
    let listener = bound(1, loopback());
    let dialler = bound(2, loopback());
    let dialling = async {
        let dialled = dial(&dialler.endpoint, &identity(2), listener.local, None).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..limits::STREAMS_MAX {
            streams.push(dialled.connection.open_bi().await.unwrap());
        }
        let wait = std::time::Duration::from_millis(50);
        assert!(timeout(wait, dialled.connection.open_bi()).await.is_err());
        assert!(timeout(wait, dialled.connection.open_uni()).await.is_err());
        assert_eq!(dialled.connection.max_datagram_size(), None);
        let mut sent = 0;
        let bulk = vec![0; 1 << 16];
        while let Ok(written) = timeout(wait, streams[0].0.write(&bulk)).await {
            sent += written.unwrap() as u64;
        }
        // Unread and unacknowledged together: the other side's window and no more than our own.
        assert!(sent >= u64::from(limits::STREAM_WINDOW_BYTES));
        assert!(sent <= limits::SEND_WINDOW_BYTES, "{sent}");
    };
    let accepting = accept_all(listener.endpoint.clone());
    tokio::select! { biased; () = dialling => {}, () = accepting => unreachable!() }
}

/// Proves T01, T06: each refusal has its own name.
#[tokio::test]
async fn a_dial_tells_why_it_failed() {
    let listener = bound(1, loopback());
    let own = bound(2, loopback());
    let (one, two, three) = (identity(1).peer_id(), identity(2), identity(3).peer_id());
    let dialling = async {
        let error = dial(&own.endpoint, &two, listener.local, Some(three)).await.unwrap_err();
        assert!(
            matches!(&error, DialError::IdentityMismatch { expected, got, .. }
                if (*expected, *got) == (three, one)),
            "{error:?}"
        );
        assert_eq!(error.error_code(), ErrorCode::IdentityMismatch);
        let again = bound(2, loopback());
        let accepting = accept_all(again.endpoint.clone());
        let dialling = dial(&own.endpoint, &two, again.local, None);
        let error = tokio::select! {
            biased;
            result = dialling => result.unwrap_err(),
            () = accepting => unreachable!(),
        };
        assert!(matches!(error, DialError::SelfConnect { .. }), "{error:?}");
        assert_eq!(error.to_refused().code, ErrorCode::SelfConnect);
    };
    let accepting = accept_all(listener.endpoint.clone());
    tokio::select! { biased; () = dialling => {}, () = accepting => unreachable!() }
}

/// Proves F23: nobody at the other end is an error in bounded time.
#[tokio::test(start_paused = true)]
async fn a_dial_to_nobody_ends() {
    let own = bound(2, loopback());
    let nobody = bound(1, loopback()).local;
    let error = dial(&own.endpoint, &identity(2), nobody, None).await.unwrap_err();
    assert!(matches!(error, DialError::Unreachable { .. }), "{error:?}");
    let error = dial(&own.endpoint, &identity(2), "[::1]:5".parse().unwrap(), None).await;
    assert!(matches!(error.unwrap_err(), DialError::Local { .. }));
}
