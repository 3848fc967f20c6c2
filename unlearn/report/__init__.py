"""Reports: what an encoder forgets and keeps, as files for people and for programs."""
