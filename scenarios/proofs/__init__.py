"""What is known of the reference for every interleaving: claims with their actors, faults and bounds, and what became of each."""
