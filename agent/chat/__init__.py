"""A conversation: graph, threads, marking, recall traces."""
