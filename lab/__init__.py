"""The lab: a fleet of containers on one machine, and the internet it believes in."""
