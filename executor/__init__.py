"""The process beside ComfyUI: takes jobs from the queue, runs them, stores what they produced."""
