"""hopline: the tied end-to-end memory network and the contracts between the steps of its pipeline."""
