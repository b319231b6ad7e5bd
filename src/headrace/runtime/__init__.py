"""The runtime: it observes, executes steps in workers, publishes in waves, and takes over what a dead run left."""
