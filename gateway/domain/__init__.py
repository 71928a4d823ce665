"""Pure rules: jobs, workflows, messages and events. No I/O, no environment."""
