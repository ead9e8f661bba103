mod cast;
mod causes;
mod health;
mod kept;
mod origins;
mod routes;
mod running;
mod transports;
