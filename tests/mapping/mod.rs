//! `toolbox mapping`, whole commands.

mod cases;
mod live;
mod measured;
mod measuring;
mod planning;
mod quality;
