//! TLS 1.3 with raw public keys, mutual: each side proves the key that is its peer id (P1).
//!
//! Owns the verifiers and the two configurations. Must never accept a key whose owner did not sign
//! the handshake, never resume a session, never send early data, and never speak another version.

use std::sync::{Arc, OnceLock};

use lanspread_wire::{ALPN, PeerId};
use quinn::{
    ConnectionError,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};

use super::identity::Identity;

/// The name a dialler must pass along. It names nothing and is not sent.
pub const SERVER_NAME: &str = "lanspread";

/// The public key on the wire is this prefix (RFC 8410) and the key. Anything else is refused: other
/// algorithms, chains, dates and extensions have no place here.
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// TLS alerts that tell us why a handshake failed (RFC 8446), as the other side or we sent them.
pub mod alert {
    /// No common cipher or, here, no raw public key from the other side.
    pub const HANDSHAKE_FAILURE: u8 = 40;
    /// The key does not parse.
    pub const BAD_CERTIFICATE: u8 = 42;
    /// A verifier said no: another identity than expected, or our own.
    pub const ACCESS_DENIED: u8 = 49;
    /// The signature is not by the key that was shown.
    pub const DECRYPT_ERROR: u8 = 51;
    /// The other side showed no key at all.
    pub const CERTIFICATE_REQUIRED: u8 = 116;
    /// No common application protocol: another version of this program.
    pub const NO_APPLICATION_PROTOCOL: u8 = 120;
}

/// Who the other side of one handshake claims to be. Set before the proof, so it stays known when the
/// proof fails; then it is good for a message and for nothing else.
#[derive(Clone, Debug, Default)]
pub struct Claim(Arc<OnceLock<PeerId>>);

impl Claim {
    /// The claimed id, if the handshake came that far and the key was well formed.
    pub fn get(&self) -> Option<PeerId> {
        self.0.get().copied()
    }
}

/// Reads a peer id out of the key on the wire; `None` unless it is exactly one Ed25519 key.
pub fn peer_of_spki(spki: &[u8]) -> Option<PeerId> {
    Some(PeerId(spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()?))
}

/// The key on the wire of `peer`.
pub fn spki_of_peer(peer: PeerId) -> Vec<u8> {
    [&SPKI_PREFIX[..], &peer.0[..]].concat()
}

/// The id that the other side of a finished handshake has proved.
pub fn proved(connection: &quinn::Connection) -> Option<PeerId> {
    let keys = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    match keys.as_slice() {
        [key] => peer_of_spki(key),
        _ => None,
    }
}

/// The TLS alert behind the end of a connection, if it was one, whichever side sent it.
pub fn alert_of(error: &ConnectionError) -> Option<u8> {
    let code = match error {
        ConnectionError::TransportError(error) => error.code,
        ConnectionError::ConnectionClosed(close) => close.error_code,
        _ => return None,
    };
    // RFC 9001: alerts are the transport errors from 0x100 on.
    u64::from(code).checked_sub(0x100).and_then(|alert| u8::try_from(alert).ok())
}

/// The configuration of the listening side of one handshake, and where its claim will appear.
pub fn server(identity: &Identity) -> Result<(QuicServerConfig, Claim), Error> {
    let claim = Claim::default();
    let verifier = Verifier::new(identity, None, claim.clone());
    let resolver = AlwaysResolvesServerRawPublicKeys::new(identity.key());
    let mut config = rustls::ServerConfig::builder_with_provider(identity.provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // No tickets: no session is resumed, so no early data can ever be replayed (T09).
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let config = QuicServerConfig::try_from(config)
        .map_err(|error| Error::General(format!("no cipher for QUIC: {error}")))?;
    Ok((config, claim))
}

/// The configuration of one dial. `expected` is the only identity it accepts; `None` accepts any but
/// our own (a dial by hand, to an address whose owner is not known yet).
pub fn client(
    identity: &Identity,
    expected: Option<PeerId>,
) -> Result<(QuicClientConfig, Claim), Error> {
    let claim = Claim::default();
    let verifier = Verifier::new(identity, expected, claim.clone());
    let resolver = AlwaysResolvesClientRawPublicKeys::new(identity.key());
    let mut config = rustls::ClientConfig::builder_with_provider(identity.provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    config.enable_early_data = false;
    config.resumption = Resumption::disabled();
    let config = QuicClientConfig::try_from(config)
        .map_err(|error| Error::General(format!("no cipher for QUIC: {error}")))?;
    Ok((config, claim))
}

/// Decides whether the other side is who it must be, and checks that it owns the key it shows.
#[derive(Debug)]
struct Verifier {
    me: PeerId,
    expected: Option<PeerId>,
    claim: Claim,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(identity: &Identity, expected: Option<PeerId>, claim: Claim) -> Self {
        Self { me: identity.peer_id(), expected, claim, provider: identity.provider() }
    }

    /// Whether this key may be the other side's. Says nothing about who owns it: that is the
    /// signature's business.
    fn identify(&self, key: &[u8], rest: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !rest.is_empty() {
            return Err(CertificateError::BadEncoding.into());
        }
        let peer = peer_of_spki(key).ok_or(CertificateError::BadEncoding)?;
        // A second claim within one handshake cannot happen; the first one counts.
        self.claim.0.set(peer).ok();
        if peer != self.me && self.expected.is_none_or(|expected| expected == peer) {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    /// The only proof that the other side owns the key it shows.
    fn verify_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(key.as_ref()),
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.identify(key, rest)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls13_only())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.identify(key, rest)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls13_only())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn tls13_only() -> Error {
    Error::General("only TLS 1.3 is spoken here".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(number: u8) -> Identity {
        Identity::from_seed(&[number; 32]).unwrap()
    }

    fn verdict(me: u8, expected: Option<u8>, shown: &[u8]) -> Result<(), Error> {
        let expected = expected.map(|number| identity(number).peer_id());
        Verifier::new(&identity(me), expected, Claim::default()).identify(shown, &[])
    }

    fn key(number: u8) -> Vec<u8> {
        spki_of_peer(identity(number).peer_id())
    }

    /// Proves T01, T06.
    #[test]
    fn only_the_expected_identity_passes_and_never_our_own() {
        assert_eq!(verdict(1, Some(2), &key(2)), Ok(()));
        assert_eq!(verdict(1, None, &key(2)), Ok(()));
        let refused = Err(CertificateError::ApplicationVerificationFailure.into());
        assert_eq!(verdict(1, Some(2), &key(3)), refused);
        assert_eq!(verdict(1, Some(1), &key(1)), refused);
        assert_eq!(verdict(1, None, &key(1)), refused);
    }

    /// Proves T03: one Ed25519 key in its only encoding, and nothing else.
    #[test]
    fn every_other_form_of_key_is_refused() {
        let good = key(2);
        let refused: Result<(), Error> = Err(CertificateError::BadEncoding.into());
        for length in 0..good.len() {
            assert_eq!(verdict(1, None, &good[..length]), refused, "{length} bytes");
        }
        let long = [&good[..], &[0]].concat();
        assert_eq!(verdict(1, None, &long), refused);
        assert_eq!(verdict(1, None, &vec![0x30; 1 << 20]), refused);
        for position in 0..SPKI_PREFIX.len() {
            let mut flipped = good.clone();
            flipped[position] ^= 1;
            assert_eq!(verdict(1, None, &flipped), refused, "byte {position}");
        }
        let chain: Vec<_> = (0..9).map(|_| CertificateDer::from(good.clone())).collect();
        let verifier = Verifier::new(&identity(1), None, Claim::default());
        assert_eq!(verifier.identify(&good, &chain), refused);
    }

    /// Proves P1: a refused claim is still known, for the message that names it.
    #[test]
    fn a_refused_claim_can_be_named() {
        let claim = Claim::default();
        let expected = identity(2).peer_id();
        let verifier = Verifier::new(&identity(1), Some(expected), claim.clone());
        assert_eq!(claim.get(), None);
        assert!(verifier.identify(&key(3), &[]).is_err());
        assert_eq!(claim.get(), Some(identity(3).peer_id()));
    }
}
