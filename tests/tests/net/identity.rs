//! Identity over QUIC: every way to pretend, in both directions. Pretenders are built here from TLS
//! itself, with a verifier that believes everything and a signer that does not fit the key it
//! shows.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lanspread_actors::{
    api::ErrorCode,
    net::{
        backend::Transport,
        endpoint::{DialError, Dialled, dial},
        identity::Identity,
        tls,
    },
};
use lanspread_tests::hub::{Hub, Link};
use lanspread_wire::{ALPN, PeerId};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, ServerConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use tokio::time::{sleep, timeout};

use crate::transport::{address, identity, node};

/// Believes whatever key and signature it is shown.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Credulous {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Shows `shown` and signs with the key that grows from `number`.
fn key(shown: Vec<u8>, number: u8) -> Arc<CertifiedKey> {
    let prefix = hex::decode("302e020100300506032b657004220420").unwrap();
    let pkcs8 = PrivatePkcs8KeyDer::from([prefix, vec![number; 32]].concat());
    let signer = ring::sign::any_eddsa_type(&pkcs8).unwrap();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(shown)], signer))
}

/// Shows the key of `victim` and signs with its own.
pub(crate) fn forged(victim: u8, own: u8) -> Arc<CertifiedKey> {
    key(tls::spki_of_peer(identity(victim).peer_id()), own)
}

/// A dialler that shows `key`, or nothing, and speaks `alpn`. It would send early data if it could.
pub(crate) fn dialler(key: Option<Arc<CertifiedKey>>, alpn: &[u8]) -> ClientConfig {
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous));
    let mut config = match key {
        Some(key) => {
            builder.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_early_data = true;
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

/// A listener that shows `key`.
fn listener(key: Arc<CertifiedKey>, alpn: &[u8]) -> ServerConfig {
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Credulous))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
    config.alpn_protocols = vec![alpn.to_vec()];
    ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).unwrap()))
}

/// An endpoint of the pretender.
pub(crate) fn pretender(hub: &Hub, number: u8, server: Option<ServerConfig>) -> Endpoint {
    let Transport::Virtual { socket, runtime, .. } = hub.transport(address(number)) else {
        unreachable!("a hub is virtual")
    };
    let config = EndpointConfig::default();
    Endpoint::new_with_abstract_socket(config, server, socket, runtime).unwrap()
}

fn hub() -> Hub {
    Hub::new(1, Link::default())
}

/// What an honest listener makes of one dial of a pretender, and what the pretender makes of it.
/// The pretender sends as soon as its side believes to be connected.
async fn attack(config: ClientConfig) -> (Result<PeerId, ConnectionError>, ConnectionError) {
    let hub = hub();
    let honest = node(&hub, 1);
    let attacker = pretender(&hub, 9, None);
    let accept = async {
        let connection = honest.endpoint.accept().await.unwrap().await?;
        assert!(connection.accept_bi().await.is_err(), "not one byte of the pretender counts");
        Ok(tls::proved(&connection).unwrap())
    };
    let attack = async {
        let connecting = attacker.connect_with(config, address(1), "lanspread").unwrap();
        match connecting.await {
            Err(error) => error,
            Ok(connection) => push(&connection).await,
        }
    };
    tokio::join!(biased; accept, attack)
}

async fn push(connection: &Connection) -> ConnectionError {
    if let Ok((mut send, _receive)) = connection.open_bi().await {
        send.write_all(b"let me in").await.ok();
    }
    connection.closed().await
}

fn assert_alert(error: &ConnectionError, expected: u8) {
    assert_eq!(tls::alert_of(error), Some(expected), "{error}");
}

/// An honest node dials whoever listens at node 9.
async fn dial_to(server: ServerConfig, expected: Option<u8>) -> Result<Dialled, DialError> {
    let hub = hub();
    let honest = node(&hub, 1);
    let attacker = pretender(&hub, 9, Some(server));
    let serve = async {
        let mut kept = Vec::new();
        while let Some(incoming) = attacker.accept().await {
            kept.extend(incoming.await);
        }
    };
    let expected = expected.map(|number| identity(number).peer_id());
    let own = identity(1);
    let dialling = dial(&honest.endpoint, &own, address(9), expected);
    tokio::select! { biased; result = dialling => result, () = serve => unreachable!() }
}

/// Proves T04: a dialler that shows the victim's key cannot sign for it.
#[tokio::test(start_paused = true)]
async fn a_forged_dialler_is_refused_before_a_byte_counts() {
    let (accepted, ended) = attack(dialler(Some(forged(2, 9)), ALPN)).await;
    assert_alert(&accepted.unwrap_err(), tls::alert::DECRYPT_ERROR);
    assert_alert(&ended, tls::alert::DECRYPT_ERROR);
}

/// Proves T04, T11: a listener that shows the victim's key cannot sign for it.
#[tokio::test(start_paused = true)]
async fn a_forged_listener_is_refused() {
    let error = dial_to(listener(forged(2, 9), ALPN), Some(2)).await.unwrap_err();
    let DialError::NotProved { claimed, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*claimed, Some(identity(2).peer_id()));
    assert_eq!(error.error_code(), ErrorCode::IdentityMismatch);
}

/// Proves T01: a man in the middle has a valid key of its own, but it is not the expected one.
#[tokio::test(start_paused = true)]
async fn a_man_in_the_middle_with_his_own_key_is_named() {
    let error = dial_to(listener(forged(9, 9), ALPN), Some(2)).await.unwrap_err();
    let DialError::IdentityMismatch { expected, got, .. } = error else { panic!("{error:?}") };
    assert_eq!((expected, got), (identity(2).peer_id(), identity(9).peer_id()));
}

/// Proves P1: the same listener is welcome as who it is.
#[tokio::test(start_paused = true)]
async fn an_honest_listener_is_known_by_its_key() {
    for expected in [None, Some(9)] {
        let dialled = dial_to(listener(forged(9, 9), ALPN), expected).await.unwrap();
        assert_eq!(dialled.peer, identity(9).peer_id());
    }
}

/// Proves T01: the other address of the wanted peer still works after a false one.
#[tokio::test(start_paused = true)]
async fn the_true_address_works_after_a_false_one() {
    let hub = hub();
    let (me, impostor, wanted) = (node(&hub, 1), node(&hub, 8), node(&hub, 2));
    let serve = async |endpoint: Endpoint| {
        let mut kept = Vec::new();
        while let Some(incoming) = endpoint.accept().await {
            kept.extend(incoming.await);
        }
    };
    let dialling = async {
        let own = identity(1);
        let expected = Some(identity(2).peer_id());
        let error = dial(&me.endpoint, &own, address(8), expected).await.unwrap_err();
        assert!(matches!(error, DialError::IdentityMismatch { .. }));
        dial(&me.endpoint, &own, address(2), expected).await.unwrap().peer
    };
    let peer = tokio::select! {
        biased;
        peer = dialling => peer,
        () = serve(impostor.endpoint) => unreachable!(),
        () = serve(wanted.endpoint) => unreachable!(),
    };
    assert_eq!(peer, identity(2).peer_id());
}

/// Proves T06: our own key is refused in both directions.
#[tokio::test(start_paused = true)]
async fn our_own_identity_is_refused_on_both_sides() {
    let error = dial_to(listener(forged(1, 1), ALPN), None).await.unwrap_err();
    assert!(matches!(error, DialError::SelfConnect { .. }), "{error:?}");
    let (accepted, _) = attack(dialler(Some(forged(1, 1)), ALPN)).await;
    assert_alert(&accepted.unwrap_err(), tls::alert::ACCESS_DENIED);
}

/// Proves T02: no key, no connection.
#[tokio::test(start_paused = true)]
async fn a_dialler_without_a_key_is_refused() {
    let (accepted, ended) = attack(dialler(None, ALPN)).await;
    let error = accepted.unwrap_err();
    assert!(tls::alert_of(&error).is_some(), "{error}");
    assert!(tls::alert_of(&ended).is_some(), "{ended}");
}

/// Proves T08: another protocol or version of it is refused, with its own code.
#[tokio::test(start_paused = true)]
async fn another_protocol_is_refused() {
    for alpn in [&b"lanspread/2"[..], b"lanspread/0", b"h3"] {
        let (accepted, ended) = attack(dialler(Some(forged(9, 9)), alpn)).await;
        assert_alert(&accepted.unwrap_err(), tls::alert::NO_APPLICATION_PROTOCOL);
        assert_alert(&ended, tls::alert::NO_APPLICATION_PROTOCOL);
        let error = dial_to(listener(forged(9, 9), alpn), Some(9)).await.unwrap_err();
        assert_eq!(error.error_code(), ErrorCode::VersionMismatch, "{error:?}");
    }
}

/// Proves T03: other kinds of key, several keys, and keys of absurd size are refused.
#[tokio::test(start_paused = true)]
async fn only_one_ed25519_key_is_accepted() {
    let good = tls::spki_of_peer(identity(9).peer_id());
    // The key of another algorithm (P-256), and ours with bytes before, after and inside.
    let p256 = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    let shown = [
        [p256, vec![4; 65]].concat(),
        [&good[..], b"x"].concat(),
        good[..43].to_vec(),
        vec![0x30; 3000],
        Vec::new(),
    ];
    for bytes in shown {
        let length = bytes.len();
        let (accepted, _) = attack(dialler(Some(key(bytes.clone(), 9)), ALPN)).await;
        assert!(accepted.is_err(), "{length} bytes");
        let dialled = dial_to(listener(key(bytes, 9), ALPN), None).await;
        assert!(dialled.is_err(), "{length} bytes");
    }
    let mut chain = CertifiedKey::clone(&forged(9, 9));
    chain.cert = vec![chain.cert[0].clone(); 10];
    let (accepted, _) = attack(dialler(Some(Arc::new(chain)), ALPN)).await;
    assert!(accepted.is_err());
}

/// Proves T09: a second dial does not resume the first, and nothing can be sent before the proof.
#[tokio::test(start_paused = true)]
async fn there_is_no_early_data() {
    let hub = hub();
    let honest = node(&hub, 1);
    let other = pretender(&hub, 9, None);
    // Keeps tickets if it is given any.
    let config = dialler(Some(forged(9, 9)), ALPN);
    let serve = async {
        let mut kept = Vec::new();
        while let Some(incoming) = honest.endpoint.accept().await {
            kept.extend(incoming.await);
        }
    };
    let dialling = async {
        for _ in 0..3 {
            let connecting = other.connect_with(config.clone(), address(1), "lanspread").unwrap();
            let connection = match connecting.into_0rtt() {
                Ok(_) => panic!("early data was possible"),
                Err(connecting) => connecting.await.unwrap(),
            };
            // Time for a ticket to arrive.
            sleep(Duration::from_millis(100)).await;
            connection.close(0_u32.into(), b"");
        }
    };
    tokio::select! { biased; () = dialling => {}, () = serve => unreachable!() }
}

/// A dial to a hole ends within its deadline, whatever QUIC would wait.
#[tokio::test(start_paused = true)]
async fn a_dial_to_a_hole_ends_in_time() {
    let hub = hub();
    let me = node(&hub, 1);
    let nobody: SocketAddr = address(77);
    let own: Identity = identity(1);
    let dialling = dial(&me.endpoint, &own, nobody, None);
    let error = timeout(Duration::from_secs(6), dialling).await.unwrap().unwrap_err();
    assert!(matches!(error, DialError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.to_refused().code, ErrorCode::Unreachable);
}
