//! Every operation crashed after every change.

use super::explore::{Thorough, explore};
use super::scenarios;

fn run(name: &str) {
    let scenario = scenarios::all().into_iter().find(|scenario| scenario.name == name).unwrap();
    let states = explore(&scenario, Thorough::usual()).unwrap_or_else(|error| panic!("{error}"));
    println!("{name}: {states} different states recovered from");
    assert!(states > 50, "{name}: only {states} states");
}

/// The tests below name every scenario once.
macro_rules! crashed {
    ($($test:ident: $name:literal,)*) => {
        $(
            /// Proves T6, D1, D4, D9 and T5 for this operation: old or new, never between.
            #[test]
            fn $test() {
                run($name);
            }
        )*

        #[test]
        fn every_scenario_is_crashed() {
            let names = [$($name),*];
            for scenario in scenarios::all() {
                assert!(names.contains(&scenario.name), "{} has no test", scenario.name);
            }
        }
    };
}

crashed! {
    download: "download",
    download_of_a_new_version: "download of a new version",
    download_of_the_same_version: "download of the same version",
    download_resumed: "download resumed",
    download_instead_of_another: "download instead of another",
    download_parked: "download parked",
    download_discarded: "download discarded",
    install: "install",
    install_given_up: "install given up",
    update: "update",
    update_of_a_foreign_local: "update of a foreign local",
    uninstall: "uninstall",
    uninstall_of_a_foreign_local: "uninstall of a foreign local",
    remove: "remove",
    remove_without_version: "remove without version",
    adopt_by_copy: "adopt by copy",
    adopt_by_move: "adopt by move",
}
