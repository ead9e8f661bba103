mod cast;
mod health;
mod kept;
mod origins;
mod routes;
mod running;
mod transports;
