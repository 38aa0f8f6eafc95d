"""A server, worker processes, a proxy and an outside ledger, all made to be broken."""
