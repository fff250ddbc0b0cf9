//! Opens the endpoint of the node: at the address the user gave, else at the port this node had,
//! else at a free one that is then kept.

use std::net::SocketAddr;

use tokio::time::{Instant, sleep};

use super::NetworkArgs;
use crate::{
    net::{
        endpoint::{self, BindError, Bound, Listen},
        limits,
    },
    view::ViewMsg,
};

/// Opens the endpoint and notes its port. A port that this node had may be held for a moment by the
/// connections of its predecessor: it is waited for.
pub(super) async fn open(args: &NetworkArgs) -> Result<Bound, BindError> {
    let kept = *args.port.borrow();
    let wanted = listen(args.ports.config.listen, kept);
    let bound = match patiently(args, wanted).await {
        Err(error) if error.is_port_taken() => match fallback(args, wanted) {
            Some(free) => elsewhere(args, free, kept)?,
            None => return Err(error),
        },
        result => result?,
    };
    args.port.send_replace(Some(bound.local.port()));
    if let Some(buffers) = bound.buffers {
        tracing::info!(local = %bound.local, ?buffers, "listening");
    }
    Ok(bound)
}

/// Another program took the port while this node was away. Peers find the new one.
fn elsewhere(args: &NetworkArgs, free: Listen, kept: Option<u16>) -> Result<Bound, BindError> {
    let bound = bind(args, free)?;
    let message = format!(
        "the port {} of this node is taken by another program; it listens on {} now",
        kept.unwrap_or_default(),
        bound.local.port()
    );
    args.ports.view.tell(ViewMsg::Notice { game: None, message });
    Ok(bound)
}

/// Where to listen: what the user gave, with the kept port where it leaves that open.
fn listen(given: Option<SocketAddr>, kept: Option<u16>) -> Listen {
    let kept = kept.unwrap_or(0);
    match given {
        None => Listen::Everywhere(kept),
        Some(given) if given.port() == 0 => Listen::At(SocketAddr::new(given.ip(), kept)),
        Some(given) => Listen::At(given),
    }
}

/// The same with a free port; `None` if the user asked for exactly this port.
fn fallback(args: &NetworkArgs, wanted: Listen) -> Option<Listen> {
    match (wanted, args.ports.config.listen) {
        (Listen::Everywhere(_), _) => Some(Listen::Everywhere(0)),
        (Listen::At(address), Some(given)) if given.port() == 0 => {
            Some(Listen::At(SocketAddr::new(address.ip(), 0)))
        }
        (Listen::At(_), _) => None,
    }
}

async fn patiently(args: &NetworkArgs, wanted: Listen) -> Result<Bound, BindError> {
    let tried_since = Instant::now();
    loop {
        match bind(args, wanted) {
            Err(error)
                if error.is_port_taken() && tried_since.elapsed() < limits::REBIND_DEADLINE =>
            {
                tracing::debug!(%error, "the port is not free yet");
                sleep(limits::REBIND_PAUSE).await;
            }
            result => return result,
        }
    }
}

fn bind(args: &NetworkArgs, listen: Listen) -> Result<Bound, BindError> {
    endpoint::bind(&args.ports.config.transport, listen, &args.ports.identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// The user's word counts, then the kept port, then a free one.
    #[test]
    fn the_kept_port_fills_what_the_user_left_open() {
        assert_eq!(listen(None, None), Listen::Everywhere(0));
        assert_eq!(listen(None, Some(4000)), Listen::Everywhere(4000));
        let (open, fixed) = (address("127.0.0.1:0"), address("127.0.0.1:5000"));
        assert_eq!(listen(Some(open), None), Listen::At(open));
        assert_eq!(listen(Some(open), Some(4000)), Listen::At(address("127.0.0.1:4000")));
        assert_eq!(listen(Some(fixed), Some(4000)), Listen::At(fixed));
    }
}
