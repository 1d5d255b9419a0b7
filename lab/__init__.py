"""The lab: a fleet of containers on one machine, and a container that stands in for the internet."""
