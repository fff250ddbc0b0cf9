//! The socket of a node on the virtual network, and the runtime that QUIC runs on there.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use quinn::{
    AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit},
};

use super::{Datagram, Shared};

/// Datagrams that QUIC may hand over in one call, as on Linux.
const SEGMENTS_PER_CALL: usize = 10;

/// One node's socket.
pub struct HubSocket {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl HubSocket {
    pub(super) fn new(shared: Arc<Shared>, address: SocketAddr) -> Self {
        Self { shared, address }
    }
}

impl fmt::Debug for HubSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HubSocket({})", self.address)
    }
}

impl UdpPoller for HubSocket {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for HubSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Self::new(self.shared.clone(), self.address))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let whole = transmit.contents.len();
        let segment = transmit.segment_size.unwrap_or(whole).max(1);
        self.shared.send(transmit.contents.chunks(segment).map(|bytes| Datagram {
            from: self.address,
            to: transmit.destination,
            ecn: transmit.ecn,
            bytes: bytes.to_vec(),
        }));
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [io::IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.shared.lock();
        let Some(inbox) = state.inboxes.get_mut(&self.address) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if inbox.queue.is_empty() {
            if !inbox.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                inbox.wakers.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let count = buffers.len().min(meta.len()).min(inbox.queue.len());
        for (index, datagram) in inbox.queue.drain(..count).enumerate() {
            let length = datagram.bytes.len();
            inbox.queued_bytes -= length;
            buffers[index][..length].copy_from_slice(&datagram.bytes);
            meta[index] = RecvMeta {
                addr: datagram.from,
                len: length,
                stride: length,
                ecn: datagram.ecn,
                dst_ip: Some(self.address.ip()),
            };
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS_PER_CALL
    }

    /// Otherwise QUIC would not look for the size of the largest datagram.
    fn may_fragment(&self) -> bool {
        false
    }
}

/// Tokio's clock and tasks, but no real socket.
#[derive(Debug)]
pub struct HubRuntime;

impl Runtime for HubRuntime {
    fn new_timer(&self, at: std::time::Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(task);
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::Error::other("a virtual network has no real sockets"))
    }

    fn now(&self) -> std::time::Instant {
        TokioRuntime.now()
    }
}
