//! Tests of the key file.

use std::fs;

use super::*;

fn seed_of(number: u8) -> [u8; SEED_BYTES] {
    [number; SEED_BYTES]
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Proves P1.
#[test]
fn the_id_is_the_public_key_of_the_seed() {
    // The first test vector of RFC 8032.
    let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let identity = Identity::from_seed(&seed.unwrap().try_into().unwrap()).unwrap();
    assert_eq!(
        identity.peer_id().to_string(),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
}

/// Proves P1.
#[test]
fn the_key_is_made_once_and_kept() {
    let folder = folder();
    let first = Identity::load_or_create(folder.path()).unwrap();
    let again = Identity::load_or_create(folder.path()).unwrap();
    assert_eq!(first.identity.peer_id(), again.identity.peer_id());
    assert_eq!((first.notice, again.notice), (None, None));
    assert_eq!(fs::read(folder.path().join(KEY_FILE)).unwrap().len(), KEY_FILE_BYTES);
}

/// Proves P1.
#[test]
fn two_installations_are_two_peers() {
    let (one, two) = (folder(), folder());
    let one = Identity::load_or_create(one.path()).unwrap().identity;
    let two = Identity::load_or_create(two.path()).unwrap().identity;
    assert_ne!(one.peer_id(), two.peer_id());
}

/// Proves T10: a bad file is kept beside a new one, and the user is told.
#[test]
fn a_bad_key_file_is_set_aside_and_replaced() {
    let good = encode(&seed_of(7));
    let mut flipped = good;
    flipped[3] ^= 1;
    let mut long = good.to_vec();
    long.push(0);
    let cases: [&[u8]; 6] =
        [b"", &good[..KEY_FILE_BYTES - 1], &long, &flipped, &[0xff; 1 << 16], b"-----BEGIN"];
    let folder = folder();
    let path = folder.path().join(KEY_FILE);
    let mut seen = Vec::new();
    for (number, bytes) in cases.iter().enumerate() {
        fs::write(&path, bytes).unwrap();
        let loaded = Identity::load_or_create(folder.path()).unwrap();
        let kept = folder.path().join(format!("{KEY_FILE}.bad-{}", number + 1));
        assert_eq!(&fs::read(&kept).unwrap(), bytes);
        assert!(loaded.notice.unwrap().contains(&kept.display().to_string()));
        let peer = loaded.identity.peer_id();
        assert!(!seen.contains(&peer), "each replacement is a new identity");
        seen.push(peer);
        assert_eq!(Identity::load_or_create(folder.path()).unwrap().identity.peer_id(), peer);
    }
}

/// Proves T10: every truncation of a key file is bad, none is half used.
#[test]
fn no_truncated_key_is_accepted() {
    let good = encode(&seed_of(9));
    assert_eq!(decode(&good), Ok(seed_of(9)));
    for length in 0..KEY_FILE_BYTES {
        assert!(decode(&good[..length]).is_err(), "{length} bytes");
    }
}

/// Proves T10: what cannot be read is not replaced, since it may be the right key.
#[test]
fn an_unreadable_place_is_an_error_that_names_the_file() {
    let folder = folder();
    let missing = folder.path().join("absent");
    let error = Identity::load_or_create(&missing).unwrap_err();
    assert!(matches!(error, IdentityError::Io { .. }));
    assert!(error.to_string().contains(KEY_FILE), "{error}");
}

/// Proves T10.
#[test]
fn a_folder_in_the_place_of_the_key_is_set_aside() {
    let folder = folder();
    fs::create_dir(folder.path().join(KEY_FILE)).unwrap();
    let loaded = Identity::load_or_create(folder.path()).unwrap();
    assert!(loaded.notice.unwrap().contains("not a regular file"));
    assert!(folder.path().join(format!("{KEY_FILE}.bad-1")).is_dir());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// Proves T10.
    #[test]
    fn only_the_owner_can_read_a_new_key() {
        let folder = folder();
        Identity::load_or_create(folder.path()).unwrap();
        assert_eq!(mode(&folder.path().join(KEY_FILE)), 0o600);
    }

    /// Proves T10.
    #[test]
    fn a_key_that_others_can_read_is_narrowed_and_said() {
        let folder = folder();
        let path = folder.path().join(KEY_FILE);
        let first = Identity::load_or_create(folder.path()).unwrap().identity.peer_id();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let loaded = Identity::load_or_create(folder.path()).unwrap();
        assert_eq!(loaded.identity.peer_id(), first);
        assert!(loaded.notice.unwrap().contains("mode 644"));
        assert_eq!(mode(&path), 0o600);
        assert_eq!(Identity::load_or_create(folder.path()).unwrap().notice, None);
    }

    /// Proves T10: a link is not followed, so nobody can make us adopt or damage another file.
    #[test]
    fn a_link_in_the_place_of_the_key_is_set_aside() {
        let folder = folder();
        let target = folder.path().join("target");
        fs::write(&target, encode(&seed_of(3))).unwrap();
        symlink(&target, folder.path().join(KEY_FILE)).unwrap();
        let loaded = Identity::load_or_create(folder.path()).unwrap();
        let linked = Identity::from_seed(&seed_of(3)).unwrap();
        assert_ne!(loaded.identity.peer_id(), linked.peer_id());
        assert_eq!(fs::read(&target).unwrap(), encode(&seed_of(3)));
    }
}
