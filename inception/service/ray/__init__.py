"""Back end on a Ray cluster: replicas, each with networks of its own, and their scaling."""
