//! Any number of sources, each with a fault of its own, and one that is sound.

use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        2 => Just(Behaviour::Honest),
        2 => (0u64..1_000_000).prop_map(Behaviour::DiesAt),
        2 => (0u64..1_000_000).prop_map(Behaviour::BreaksAt),
        2 => (0u64..1_000_000).prop_map(Behaviour::FallsSilentAt),
        2 => (0u64..1_000_000, 1u64..100_000).prop_map(|(at, every)| Behaviour::Lies { at, every }),
        1 => Just(Behaviour::WrongLength),
        1 => prop::sample::select(Refusal::ALL).prop_map(Behaviour::Refuses),
    ]
}

fn rate() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![3e4, 3e5, 5e6, 1e8])
}

/// Files with some equal chunks among them.
fn files(sizes: &[usize], same: bool) -> Vec<(String, Vec<Vec<u8>>)> {
    (0u8..)
        .zip(sizes)
        .map(|(number, count)| {
            let seed = if same { 1 } else { number };
            (format!("f{number}"), chunks(seed, *count, 30_000 + usize::from(number)))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Proves R4, R5, T38, T51, T53, T54: whatever the others do, one sound source is enough, every
    /// byte is right, and only liars are named.
    #[test]
    fn one_sound_source_is_enough(
        sizes in prop::collection::vec(1usize..20, 1..4),
        same: bool,
        others in prop::collection::vec((behaviour(), rate()), 0..6),
        sound_rate in rate(),
    ) {
        let files = files(&sizes, same);
        let named: Vec<(&str, Vec<Vec<u8>>)> =
            files.iter().map(|(path, chunks)| (path.as_str(), chunks.clone())).collect();
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let rig = Rig::of(&named);
            let mut sources = vec![rig.source_at(100, sound_rate, Behaviour::Honest)];
            for (number, (behaviour, rate)) in (1u8..).zip(&others) {
                sources.push(rig.source_at(number, *rate, behaviour.clone()));
            }
            let account = account(rig.run(&sources).await);
            rig.check();
            let total = rig.target.manifest.bytes_total();
            assert_eq!(account.bytes_received + account.bytes_reused, total);
            for peer in rig.rejected() {
                let (behaviour, _) = &others[usize::from(peer.0[0]) - 1];
                assert!(matches!(behaviour, Behaviour::Lies { .. }), "{behaviour:?} is no liar");
            }
            assert_eq!(rig.peers_gone(), 0, "one source was always there");
        });
    }
}
