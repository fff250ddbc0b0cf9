//! Which rejections are told: each once in a while, so that a hostile host cannot fill a log.

use std::{collections::BTreeMap, net::IpAddr, net::SocketAddr, time::Duration};

use lanspread_wire::PeerId;

use super::types::Effect;
use crate::peer_connection::limits::{REJECTION_INTERVAL, REJECTIONS_MAX};

/// What was told lately.
#[derive(Debug, Default)]
pub(crate) struct Rejections(BTreeMap<(IpAddr, &'static str), Duration>);

impl Rejections {
    /// Tells of a rejection, or merely counts it.
    pub(crate) fn tell(
        &mut self,
        now: Duration,
        address: SocketAddr,
        claimed: Option<PeerId>,
        code: &'static str,
        text: &str,
    ) -> Vec<Effect> {
        let mut effects = vec![Effect::Count("peers-rejected")];
        self.0.retain(|_, at| now.saturating_sub(*at) < REJECTION_INTERVAL);
        let key = (address.ip(), code);
        if !self.0.contains_key(&key) && self.0.len() < REJECTIONS_MAX {
            self.0.insert(key, now);
            effects.push(Effect::Rejected { address, claimed, code, text: text.to_owned() });
        }
        effects
    }
}
