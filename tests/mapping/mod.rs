//! `toolbox mapping`, whole commands.

mod cases;
mod live;
mod planning;
mod quality;
