//! Decoders, protocol and policy together, in one process: what the child's code writes is fed to
//! the parent's code in odd pieces.

use std::{
    cell::RefCell,
    io::{Cursor, Write},
    rc::Rc,
};

use super::{
    SinkError, TreeSink, UnpackError, UnpackLimits,
    child::{LastWords, Source, decode_caught},
    detect::{Format, HEAD_BYTES},
    emit::Emitter,
    parent::{UnpackSummary, Unpacking},
    policy::Policy,
    protocol::FrameParser,
    volumes::LocatedArchive,
};

#[path = "damage_tests.rs"]
mod damage;
#[path = "hostile_tests.rs"]
mod hostile;
#[path = "memory_sink.rs"]
mod memory_sink;
#[path = "round_trip_tests.rs"]
mod round_trip;

pub(super) use memory_sink::{MemorySink, Node};

/// A writer whose bytes can be looked at from outside.
#[derive(Clone, Default)]
pub(super) struct Shared(Rc<RefCell<Vec<u8>>>);

impl Shared {
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the child would write for these volumes.
pub(super) fn stream_of(format: Format, volumes: &[Vec<u8>]) -> Vec<u8> {
    let sources: Vec<Source> =
        volumes.iter().map(|volume| Box::new(Cursor::new(volume.clone())) as Source).collect();
    let out = Shared::default();
    let emitter = Emitter::new(Box::new(out.clone()));
    let decoded = decode_caught(format, sources, &emitter, &LastWords::default());
    emitter.finish(decoded);
    out.take()
}

/// The archive's volumes by name, as the parent sees them.
pub(super) fn located(names: &[&str]) -> LocatedArchive {
    LocatedArchive {
        name: names[0].to_owned(),
        volumes: names.iter().map(|name| format!("/games/x/{name}").into()).collect(),
    }
}

/// Unpacks in memory as the parent and the child would together.
pub(super) fn unpack_named(
    names: &[&str],
    volumes: &[Vec<u8>],
    limits: UnpackLimits,
) -> (MemorySink, Result<UnpackSummary, UnpackError>) {
    let head = &volumes[0][..volumes[0].len().min(HEAD_BYTES)];
    let format = Format::detect(head, names[0]).expect("a known format");
    let stream = stream_of(format, volumes);
    let archive = located(names);
    let mut policy = Policy::new(limits);
    policy.open(names[0], volumes.iter().map(|volume| volume.len() as u64).sum());
    let mut sink = MemorySink::default();
    let mut summary = UnpackSummary::default();
    let mut progress = |_: super::UnpackProgress<'_>| {};
    let mut unpacking =
        Unpacking::new(&archive, &mut policy, &mut sink, &mut progress, &mut summary);
    let mut parser = FrameParser::new();
    let mut pieces = stream.chunks(4099);
    let result = pieces.try_for_each(|piece| unpacking.on_bytes(&mut parser, piece));
    if result.is_ok() {
        assert!(parser.is_empty() && policy.is_done(), "the stream ended without its end");
    }
    (sink, result.map(|()| summary))
}

/// The same for one volume with the usual limits.
pub(super) fn unpack_one(
    name: &str,
    archive: &[u8],
) -> (MemorySink, Result<UnpackSummary, UnpackError>) {
    unpack_named(&[name], &[archive.to_vec()], UnpackLimits::default())
}

/// The reason why this archive is refused, and the sentence.
pub(super) fn refusal(name: &str, archive: &[u8]) -> (&'static str, String) {
    let (sink, result) = unpack_one(name, archive);
    match result {
        Ok(_) => panic!("{name} was unpacked: {:?}", sink.tree.keys()),
        Err(error) => (error.reason(), error.to_string()),
    }
}
