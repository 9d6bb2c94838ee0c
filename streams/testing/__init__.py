"""Stand-ins for the real parts. Each keeps its port's promises and passes the same tests as the adapter."""
