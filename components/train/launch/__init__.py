"""How workers are started: as processes of this machine, or as pods of a Job."""
