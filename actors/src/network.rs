//! The `Network` actor: the QUIC endpoint and discovery as values, and the group `Peers`, `Listener`, `Discovery`.
//!
//! The group is restarted in order (rest-for-one): `Peers` first, then `Listener`, then `Discovery`. The endpoint and its
//! socket outlive each of them.
