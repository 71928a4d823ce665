"""One job, from claim to terminal status."""
