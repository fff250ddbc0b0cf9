//! Reads the catalog file (P11). Blocking. Its rules are those of [`lanspread_wire::catalog`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use lanspread_fs_txn::{
    atomic::read_limited,
    vfs::{FsError, Vfs, shown},
};
use lanspread_wire::{BadCatalog, Catalog, limits::CATALOG_BYTES_MAX};

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Nothing there.
    #[error("the catalog {} does not exist", shown(path))]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be read, or is larger than any catalog.
    #[error("the catalog cannot be read: {0}")]
    Unreadable(#[from] FsError),
    /// It is not text.
    #[error("the catalog {} is not UTF-8 text", shown(path))]
    NotText {
        /// The path.
        path: PathBuf,
    },
    /// It breaks a rule; the reason names the line or the field.
    #[error("the catalog {} is refused: {source}", shown(path))]
    Bad {
        /// The path.
        path: PathBuf,
        /// Which rule.
        source: BadCatalog,
    },
}

/// The catalog of a node: `None` is the open mode, in which every well-formed game counts.
pub fn load(vfs: &dyn Vfs, path: Option<&Path>) -> Result<Arc<Option<Catalog>>, CatalogError> {
    let Some(path) = path else {
        return Ok(Arc::new(None));
    };
    let owned = || path.to_path_buf();
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
    else {
        return Err(CatalogError::Missing { path: owned() });
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let missing = |error: FsError| match error.is_not_found() {
        true => CatalogError::Missing { path: owned() },
        false => CatalogError::Unreadable(error),
    };
    let dir = vfs.open_root(folder).map_err(missing)?;
    let bytes = read_limited(&*dir, name, CATALOG_BYTES_MAX as u64).map_err(missing)?;
    let bytes = bytes.ok_or_else(|| CatalogError::Missing { path: owned() })?;
    let text = String::from_utf8(bytes).map_err(|_| CatalogError::NotText { path: owned() })?;
    match Catalog::parse(&text) {
        Ok(catalog) => Ok(Arc::new(Some(catalog))),
        Err(source) => Err(CatalogError::Bad { path: owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lanspread_fs_txn::vfs::RealVfs;

    use super::*;

    fn load_text(text: &[u8]) -> Result<Arc<Option<Catalog>>, CatalogError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.toml");
        fs::write(&path, text).unwrap();
        load(&RealVfs, Some(&path))
    }

    #[test]
    fn without_a_file_the_mode_is_open() {
        assert_eq!(*load(&RealVfs, None).unwrap(), None);
    }

    #[test]
    fn a_catalog_is_read() {
        let catalog = load_text(b"[games.quake]\ntitle = \"Quake\"\n").unwrap();
        assert_eq!(catalog.as_ref().as_ref().unwrap().games.len(), 1);
    }

    /// Proves T70 for the catalog: damage is an error that names file and place, never a panic.
    #[test]
    fn a_bad_catalog_is_named_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let missing = load(&RealVfs, Some(&dir.path().join("none.toml"))).unwrap_err();
        assert!(missing.to_string().contains("none.toml"), "{missing}");
        let line = load_text(b"[games.quake]\ntitel = \"Quake\"\n").unwrap_err();
        assert!(line.to_string().contains("line 2"), "{line}");
        assert!(matches!(load_text(b"\xff\xfe"), Err(CatalogError::NotText { .. })));
        let folder = load(&RealVfs, Some(dir.path())).unwrap_err();
        assert!(matches!(folder, CatalogError::Unreadable(_)), "{folder}");
    }

    #[test]
    fn a_huge_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.toml");
        fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        let error = load(&RealVfs, Some(&path)).unwrap_err();
        assert!(matches!(error, CatalogError::Unreadable(_)), "{error}");
    }
}
