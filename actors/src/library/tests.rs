//! The library as an actor, over real folders, with stand-ins for its neighbours.

mod flows;
mod life;
mod rig;
