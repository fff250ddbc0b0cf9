//! Made-up display names. Never made from the host or the user: peers see them before anyone
//! knows whom they trust (T72).

use rand::Rng;

const QUALITIES: [&str; 32] = [
    "Amber", "Bold", "Brave", "Bright", "Calm", "Clever", "Copper", "Crimson", "Daring", "Eager",
    "Fuzzy", "Gentle", "Golden", "Happy", "Humble", "Icy", "Jolly", "Keen", "Lucky", "Merry",
    "Mighty", "Nimble", "Noble", "Proud", "Quick", "Quiet", "Rapid", "Silver", "Sunny", "Swift",
    "Tidy", "Witty",
];

const ANIMALS: [&str; 32] = [
    "Badger", "Bear", "Beaver", "Bison", "Crane", "Crow", "Dolphin", "Eagle", "Falcon", "Ferret",
    "Fox", "Gecko", "Heron", "Ibex", "Jackal", "Koala", "Lemur", "Lynx", "Marten", "Moose", "Newt",
    "Otter", "Owl", "Panda", "Puffin", "Raven", "Seal", "Stoat", "Tiger", "Turtle", "Weasel",
    "Wolf",
];

/// A name such as `Calm Otter 417`.
pub fn made_up_name(random: &mut impl Rng) -> String {
    let quality = QUALITIES[random.next_u32() as usize % QUALITIES.len()];
    let animal = ANIMALS[random.next_u32() as usize % ANIMALS.len()];
    let number = 100 + random.next_u32() % 900;
    format!("{quality} {animal} {number}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_valid_and_differ() {
        let names: BTreeSet<_> = (0..50).map(|_| made_up_name(&mut rand::rng())).collect();
        assert!(names.len() > 40, "two guests rarely have one name: {names:?}");
        for name in names {
            lanspread_wire::DisplayName::parse(&name).expect("a name that travels");
        }
    }
}
