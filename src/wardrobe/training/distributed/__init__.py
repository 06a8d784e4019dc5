"""Training in several processes: launch, collectives, supervisor."""
