//! The key pair of this installation.

use lanspread_wire::PeerId;

/// This installation's key pair.
pub struct Identity {
    peer: PeerId,
}

impl Identity {
    /// The public key.
    pub fn peer_id(&self) -> PeerId {
        self.peer
    }
}
