//! `vipair sim`: runs the simulator. Only in builds with feature `sim`.

use super::{Failure, print};
use crate::sim;
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct SimArgs {
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// What is done to the nodes
    #[arg(long, value_enum, default_value_t = Mode::Play)]
    mode: Mode,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Mode {
    /// Everything
    Play,
    /// What is no failure
    Disturb,
    /// A host is lost
    LoseHost,
}

pub(super) fn execute(args: &SimArgs) -> Result<(), Failure> {
    let play: fn(&mut sim::Sim) = match args.mode {
        Mode::Play => sim::play,
        Mode::Disturb => sim::disturb,
        Mode::LoseHost => sim::lose_host,
    };
    for seed in args.seed..args.seed.saturating_add(args.count) {
        let story = sim::run(seed, play).map_err(Failure::Failed)?;
        if args.count == 1 {
            let lines: Vec<String> = story.history.iter().cloned().collect();
            print(&format!("{}\n", lines.join("\n")))?;
        }
    }
    Ok(())
}
