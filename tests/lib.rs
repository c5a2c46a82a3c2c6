//! Shared pieces of this package's targets.
