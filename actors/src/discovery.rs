//! The `Discovery` actor: what is advertised and who was seen.

/// Messages of the `Discovery` actor.
pub enum DiscoveryMsg {
    /// From `Peers`: somebody was lost; advertise again so that it finds us.
    Refresh,
}
