"""Back end on a Ray cluster: replicas, each with models of its own, and their scaling."""
