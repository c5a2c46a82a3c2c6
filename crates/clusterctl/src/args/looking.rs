//! The words of commands that look at what is used.

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct Stats {
    /// Only these services or replicas, as in web or web.2
    #[arg(value_name = "SERVICE|REPLICA")]
    pub(crate) names: Vec<String>,
    /// Show it once, and end
    #[arg(long)]
    pub(crate) no_stream: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Top {
    /// Only these services or replicas, as in web or web.2
    #[arg(value_name = "SERVICE|REPLICA")]
    pub(crate) names: Vec<String>,
    /// Show it once, and end
    #[arg(long)]
    pub(crate) no_stream: bool,
}
