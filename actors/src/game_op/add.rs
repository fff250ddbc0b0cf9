//! `lanspread add`: any folder becomes a game root, by a copy or by moving its files.
//!
//! The folder stays as it is until the game is complete here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lanspread_fs_txn::{AdoptMode, AdoptRequest, FsError, TxnContext, TxnError, adopt, vfs::look};
use lanspread_wire::VersionStamp;

use super::{
    download::tell_leftovers,
    failure::Failure,
    operation::{Operation, RootWanted},
};
use crate::{
    api::{ErrorCode, Phase},
    operations::table::order::AddOrder,
};

/// Adds the folder; returns the version it has now.
pub async fn add(op: &Operation, order: &AddOrder) -> Result<Option<VersionStamp>, Failure> {
    op.check_stop()?;
    op.phase(Phase::Committing);
    let request = request(op, order).await?;
    let held = op.hold(RootWanted::Created).await?;
    let meter = op.meter();
    let job = move |context: TxnContext| -> Result<_, TxnError> {
        let context = context.observed(move |progress| {
            if progress.total > 0 {
                meter.tell(progress.done, progress.total);
            }
        });
        adopt(&context, &request)
    };
    let done = op.transact(&held, "add the folder", job).await?;
    tell_leftovers(op, &done);
    if order.title.is_some() {
        let game = op.game();
        op.notice(format!("{game}: titles come from the catalog; the one given is not kept"));
    }
    let state = op.inspect(&held).await?;
    Ok(state.sentinel.bytes().and_then(|bytes| VersionStamp::parse(bytes).ok()))
}

/// The version is the one given, else the folder's own, else today.
async fn request(op: &Operation, order: &AddOrder) -> Result<AdoptRequest, Failure> {
    let given = match &order.version {
        None => None,
        Some(text) => Some(VersionStamp::parse(text.as_bytes()).map_err(|error| {
            Failure::new(ErrorCode::BadCommand, format!("not a version: {error}"))
        })?),
    };
    let (vfs, path) = (op.ports.vfs.clone(), order.path.clone());
    let open = move || -> Result<_, FsError> {
        let source = vfs.open_root(&path)?;
        let has_version = look(&*source, lanspread_fs_txn::layout::SENTINEL.as_ref())?.is_some();
        Ok((source, has_version))
    };
    let opened = op.ports.disk.run_unleased("open the folder", open).await?;
    let (source, has_version) = opened.map_err(|error| Failure::of_fs(op.game(), &error))?;
    let sentinel = match given {
        Some(version) => Some(version.as_str().as_bytes().to_vec()),
        None if has_version => None,
        None => Some(today(SystemTime::now()).into_bytes()),
    };
    let mode = if order.move_files { AdoptMode::Move } else { AdoptMode::Copy };
    Ok(AdoptRequest { source, sentinel, mode })
}

/// The date in UTC as a version stamp.
fn today(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (year, month, day) = civil(since.as_secs() / SECONDS_PER_DAY);
    format!("{year:04}{month:02}{day:02}")
}

/// The Gregorian date of a day since 1970, counted in years that begin with March, so that leap
/// days come last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + DAYS_TO_1970;
    let era = shifted / DAYS_PER_ERA;
    let day_of_era = shifted % DAYS_PER_ERA;
    let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

const SECONDS_PER_DAY: u64 = 86_400;
/// Four hundred Gregorian years.
const DAYS_PER_ERA: u64 = 146_097;
/// From the first of March of the year 0.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        let date = |days: u64| today(UNIX_EPOCH + Duration::from_secs(days * SECONDS_PER_DAY));
        assert_eq!(date(0), "19700101");
        assert_eq!(date(11_016), "20000229");
        assert_eq!(date(11_017), "20000301");
        assert_eq!(date(19_723), "20240101");
        assert_eq!(date(20_088), "20241231");
        assert_eq!(date(47_540), "21000228");
        assert_eq!(date(47_541), "21000301", "no leap day in 2100");
    }
}
