"""Orchestration of `./dev bench`: fetches the peers, runs the servers in turn, makes the table."""
