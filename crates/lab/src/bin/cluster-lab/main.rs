//! `cluster-lab`
fn main() {}
