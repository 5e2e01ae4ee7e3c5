//! Whole rolls of a small cluster whose servers die and come back: never two are out by the roll, each is restarted, and the
//! roll ends once all are well.

use proptest::prelude::*;

use crate::commands::rollout::plan::standing::Standing;
use crate::commands::rollout::plan::tests::unit;
use crate::commands::rollout::plan::{Next, Unit, next};

/// What happens beside the roll in one pass.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Nothing,
    Dies(usize),
    Heals,
    Killed,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Nothing), 1 => (0_usize..4).prop_map(Fate::Dies), 3 => Just(Fate::Heals), 1 => Just(Fate::Killed)]
}

struct World {
    units: Vec<Unit>,
    stopped: Option<i32>,
}

impl World {
    fn out(&self) -> usize {
        self.units.iter().filter(|unit| unit.standing != Standing::Complete).count()
    }

    fn happens(&mut self, fate: Fate) {
        match fate {
            Fate::Nothing | Fate::Killed => {}
            Fate::Dies(index) => {
                let unit = &mut self.units[index];
                unit.standing = Standing::Out("dead".to_owned());
            }
            Fate::Heals => {
                let is_stopped = |unit: &Unit| self.stopped == Some(unit.id);
                let out = self.units.iter().position(|unit| unit.standing != Standing::Complete && !is_stopped(unit));
                if let Some(index) = out {
                    self.units[index].standing = match self.units[index].standing {
                        Standing::Out(_) => Standing::Behind("copies".to_owned()),
                        _ => Standing::Complete,
                    };
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_roll_takes_out_one_at_a_time_and_ends(fates in proptest::collection::vec(any_fate(), 0..60)) {
        let mut world = World { units: (1..=4).map(unit).collect(), stopped: None };
        world.units[0].is_active = true;
        let calm = std::iter::repeat_n(Fate::Heals, 60);
        let mut is_finished = false;
        for fate in fates.into_iter().chain(calm) {
            world.happens(fate);
            match next(&world.units, world.stopped, None) {
                Next::Try(index) => {
                    let others = world.out() - usize::from(world.units[index].standing != Standing::Complete);
                    let is_out = |(at, unit): (usize, &Unit)| at != index && matches!(unit.standing, Standing::Out(_));
                    prop_assert!(!world.units.iter().enumerate().any(is_out), "{others} others are out");
                    prop_assert!(world.units.iter().all(|unit| !unit.is_done || unit.standing == Standing::Complete));
                    world.units[index].standing = Standing::Out("stopped".to_owned());
                    world.stopped = Some(world.units[index].id);
                    // A run that is killed here leaves it stopped; the next one starts it.
                    if matches!(fate, Fate::Killed) {
                        continue;
                    }
                }
                Next::Start(index) => {
                    prop_assert_eq!(Some(world.units[index].id), world.stopped.take());
                    world.units[index].is_done = true;
                    world.units[index].standing = Standing::Behind("copies".to_owned());
                }
                Next::Wait(_) => prop_assert!(world.out() > 0, "it waits although all are well"),
                Next::Finished => {
                    prop_assert!(world.units.iter().all(|unit| unit.is_done && unit.standing == Standing::Complete));
                    is_finished = true;
                    break;
                }
            }
        }
        prop_assert!(is_finished, "it does not end: {:?}", world.units);
    }
}
