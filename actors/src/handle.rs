//! `NodeHandle`: the one door to a node for user interfaces, in this process or over the control socket.
