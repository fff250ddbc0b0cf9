//! Copying a range between two open files: shared blocks, then the kernel's copy, then our own.

use std::fs;
use std::os::unix::fs::FileExt;

use super::super::{CopyKind, Refusal};

/// Copies `len` bytes; offsets name the place in each file.
pub(super) fn copy_range(
    source: &fs::File,
    source_offset: u64,
    target: &fs::File,
    target_offset: u64,
    len: u64,
) -> std::io::Result<CopyKind> {
    if len == 0 {
        return Ok(CopyKind::Shared);
    }
    let whole = source_offset == 0 && target_offset == 0 && source.metadata()?.len() == len;
    if whole && share_blocks(source, target) {
        return Ok(CopyKind::Shared);
    }
    let copied = copy_in_kernel(source, source_offset, target, target_offset, len)?;
    copy_by_hand(source, source_offset + copied, target, target_offset + copied, len - copied)?;
    Ok(CopyKind::Copied)
}

#[cfg(target_os = "linux")]
fn share_blocks(source: &fs::File, target: &fs::File) -> bool {
    rustix::fs::ioctl_ficlone(target, source).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn share_blocks(_source: &fs::File, _target: &fs::File) -> bool {
    false
}

/// Copies as much as the kernel will; the rest is left to [`copy_by_hand`], which also reports
/// what is really wrong.
#[cfg(target_os = "linux")]
fn copy_in_kernel(
    source: &fs::File,
    source_offset: u64,
    target: &fs::File,
    target_offset: u64,
    len: u64,
) -> std::io::Result<u64> {
    let (mut from, mut to, mut left) = (source_offset, target_offset, len);
    while left > 0 {
        let step = usize::try_from(left.min(KERNEL_COPY_BYTES_MAX)).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), step) {
            Ok(0) => break,
            Ok(count) => left -= (count as u64).min(left),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    Ok(len - left)
}

#[cfg(not(target_os = "linux"))]
fn copy_in_kernel(
    _source: &fs::File,
    _source_offset: u64,
    _target: &fs::File,
    _target_offset: u64,
    _len: u64,
) -> std::io::Result<u64> {
    Ok(0)
}

fn copy_by_hand(
    source: &fs::File,
    mut source_offset: u64,
    target: &fs::File,
    mut target_offset: u64,
    mut left: u64,
) -> std::io::Result<()> {
    if left == 0 {
        return Ok(());
    }
    let mut buffer = vec![0; crate::limits::COPY_BUFFER_BYTES];
    while left > 0 {
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = match source.read_at(&mut buffer[..wanted], source_offset) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if count == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, Refusal::Short));
        }
        target.write_all_at(&buffer[..count], target_offset)?;
        source_offset += count as u64;
        target_offset += count as u64;
        left -= count as u64;
    }
    Ok(())
}

/// One call of the kernel's copy: small enough that a cancelled operation does not hang in it.
#[cfg(target_os = "linux")]
const KERNEL_COPY_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_arrive_where_they_belong() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(dir.path().join("a"), &bytes).unwrap();
        let source = fs::File::open(dir.path().join("a")).unwrap();
        let target = fs::File::create_new(dir.path().join("b")).unwrap();
        copy_range(&source, 7, &target, 100, 200_000).unwrap();
        let copied = std::fs::read(dir.path().join("b")).unwrap();
        assert_eq!(copied[..100], [0; 100]);
        assert_eq!(copied[100..], bytes[7..200_007]);
        let by_hand = fs::File::create_new(dir.path().join("c")).unwrap();
        copy_by_hand(&source, 7, &by_hand, 100, 200_000).unwrap();
        assert_eq!(std::fs::read(dir.path().join("c")).unwrap(), copied);
    }

    /// Proves T50: a source that shrank is an error, not a file with a hole.
    #[test]
    fn a_short_source_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "short").unwrap();
        let source = fs::File::open(dir.path().join("a")).unwrap();
        let target = fs::File::create_new(dir.path().join("b")).unwrap();
        let error = copy_range(&source, 0, &target, 0, 6).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    }
}
