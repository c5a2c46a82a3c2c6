//! The rules of the planner, one file per question, each as a table of situations and what follows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod clocks;
mod depends;
mod jobs;
mod lost;
mod mesh;
mod once;
mod pace;
mod place;
mod restart;
mod rollout;
mod runs;
mod scale;
mod standstill;
mod together;
mod verdict;
mod voters;
mod world;
