//! Tests of the manager: one story per rule of liveness, and the property of two witnesses.

mod liveness;
mod witnesses;
mod world;
