"""Streams of events that many read: read from the database and encoded once for all of them."""
