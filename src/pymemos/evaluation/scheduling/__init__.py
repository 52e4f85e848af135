"""How good the scheduler's decisions are: traces of use, policies, and the best that could be done."""
