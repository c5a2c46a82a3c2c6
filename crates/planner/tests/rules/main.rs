//! The rules of the planner, one file per question, each as a table of situations and what follows.

mod lost;
mod place;
mod restart;
mod rollout;
mod scale;
mod verdict;
mod voters;
mod world;
