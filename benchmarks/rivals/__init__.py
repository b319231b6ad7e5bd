"""Other orchestrators, each in an environment of its own, doing the work that Headrace is measured by."""
