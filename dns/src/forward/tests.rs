mod cast;
mod health;
mod origins;
mod routes;
